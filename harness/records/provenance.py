"""Provenance: the machine, the versions, the commit and the switches that a cell ran under."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

#: Set for every worker before torch is imported: one thread, because thread counts change float sums, the workspace
#: that deterministic cuBLAS needs, and one order of sets of strings.
WORKER_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


def make_deterministic() -> None:
    """Set torch's switches so that the same cell gives the same bits: one thread, no TF32, no autotuning."""
    import threadpoolctl
    import torch

    # Not every library reads the variables of WORKER_ENVIRONMENT.
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_default_dtype(torch.float32)


def environment(slot: str = "cpu") -> dict[str, Any]:
    """Everything about this process and machine that can change a result. Plain JSON types."""
    import torch

    content: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.node(),
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "device": slot,
        "source": source_state(),
        "packages": packages(),
        "threads": torch.get_num_threads(),
        "blas": linear_algebra(),
        "torch": {
            "version": torch.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "float32_matmul": torch.get_float32_matmul_precision(),
            "mkldnn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        },
        "switches": {name: os.environ.get(name) for name in WORKER_ENVIRONMENT},
    }
    if slot.startswith("cuda"):
        properties = torch.cuda.get_device_properties(slot)
        content["gpu"] = {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "driver": _driver(),
        }
    return content


def linear_algebra() -> list[dict[str, str | int | None]]:
    """The loaded BLAS and OpenMP libraries with their threads, and the one that torch has built in."""
    import threadpoolctl
    import torch

    libraries: list[dict[str, str | int | None]] = [
        {"name": library["prefix"], **{k: library.get(k) for k in ("version", "num_threads", "architecture")}}
        for library in threadpoolctl.threadpool_info()
    ]
    built_in = re.findall(r"(Math Kernel Library|MKL-DNN|OpenBLAS).*? (v?\d[\w.]+)", torch.__config__.show())
    libraries += [{"name": name, "version": version} for name, version in built_in]
    return sorted(libraries, key=lambda library: (str(library["name"]), str(library["version"])))


def environment_digest(environment: Mapping[str, Any]) -> str:
    """The name of an environment's file, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:16]


@cache
def source_state() -> dict[str, str | bool | None]:
    """The commit of the checkout that this code runs from, and a digest of what differs from it.

    All None for an installed package.
    """
    folder = Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"commit": None, "dirty": None, "diff": None}
    diff = _git(folder, "diff", "HEAD") or ""
    status = _git(folder, "status", "--porcelain") or ""
    dirty = bool(status.strip())
    digest = hashlib.sha256((diff + status).encode()).hexdigest()[:16] if dirty else None
    return {"commit": commit.strip(), "dirty": dirty, "diff": digest}


@cache
def packages() -> dict[str, str]:
    """Versions of every installed distribution, without those that a package brings for itself, as Ray does."""
    folders = [folder for folder in sys.path if "site-packages" not in Path(folder).parts[:-1]]
    installed = importlib.metadata.distributions(path=folders)
    versions = {d.metadata["Name"]: d.version for d in installed if d.metadata["Name"]}
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


@cache
def cpu_name() -> str:
    """The processor's marketing name, or its architecture where that is all there is."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git(folder: Path, *arguments: str) -> str | None:
    return _output("git", *arguments, folder=folder)


def _driver() -> str | None:
    output = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return output.splitlines()[0].strip() if output else None


def _output(*command: str, folder: Path | None = None) -> str | None:
    """What a command prints; None where it fails or does not exist."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def python_line() -> str:
    """Interpreter in one line, for people.

    >>> python_line().startswith("Python 3")
    True
    """
    return f"Python {platform.python_version()} at {sys.executable}"
