"""What on this machine threatens that results repeat, or that times can be compared."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.provenance import usable_cores
from harness.spec import Finding

if TYPE_CHECKING:
    import torch

#: Environment variables that lower the precision of float32 operations, with their harmless values. Workers inherit
#: them.
_PRECISION = {
    "NVIDIA_TF32_OVERRIDE": ("0",),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("0",),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("STRICT", "strict"),
}
_CPUS = Path("/sys/devices/system/cpu")
#: A machine is idle up to this load for each core, a GPU up to this per cent of its time in use.
_IDLE_LOAD = 0.25
_IDLE_GPU = 10
#: Bits 3, 5, 6 and 7 of NVML's reasons for a low clock: hardware slowdown, software thermal, hardware thermal, hardware
#: power brake.
_SLOWDOWN = 0xE8


def findings() -> list[Finding]:
    """Examine this machine; what matters most comes first."""
    return [
        denormals(5e-324 * _one()),
        precision(os.environ),
        same_bits_twice(),
        threads(os.environ, usable_cores()),
        frequency(_CPUS),
        load(os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, usable_cores()),
        *_gpus(),
    ]


def denormals(smallest: float) -> Finding:
    """Whether the processor keeps numbers below 2.2e-308. ``smallest`` is 5e-324 times one, computed at run time."""
    if smallest:
        return Finding(name="denormals", ok=True, message="numbers below the normal range are kept")
    return Finding(
        name="denormals",
        ok=False,
        message="this process flushes numbers below the normal range to zero: a library was built with -ffast-math",
        advice="find the package whose import does it (check 5e-324 * 1.0 after each import) and replace it",
    )


def precision(environment: Mapping[str, str]) -> Finding:
    """Whether an environment variable lowers the precision of float32 operations."""
    name = "TF32 and other short formats"
    harmful = {
        n: environment[n] for n, harmless in _PRECISION.items() if environment.get(n, harmless[0]) not in harmless
    }
    if harmful:
        return Finding(
            name=name,
            ok=False,
            message=f"{', '.join(f'{n}={v}' for n, v in harmful.items())} lowers the precision of float32 products",
            advice=f"unset {' '.join(harmful)}",
        )
    return Finding(
        name=name,
        ok=True,
        message="cells compute float32 as float32 (torch itself allows TF32 in convolutions: set "
        "torch.backends.cudnn.allow_tf32 = False in your own scripts)",
    )


def same_bits_twice() -> Finding:
    """Whether the kernels of training give the same bits twice, under the switches that cells run with."""
    import torch

    from harness.records.provenance import make_deterministic

    name = "non-deterministic kernels"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    make_deterministic()
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        first, second = _gradients(device), _gradients(device)
        if not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
            return Finding(
                name=name,
                ok=False,
                message=f"two equal training steps on {device} give different bits, even with deterministic algorithms",
                advice="update torch and the driver; until then runs of one seed differ too",
            )
    return Finding(
        name=name,
        ok=True,
        message="convolution, product and scatter give the same bits twice, forward and backward",
    )


def threads(environment: Mapping[str, str], cores: int) -> Finding:
    """Whether a script would compute on one thread, as cells do."""
    count = environment.get("OMP_NUM_THREADS")
    if count == "1" or cores == 1:
        return Finding(name="threads", ok=True, message="cells and scripts compute on one thread")
    return Finding(
        name="threads",
        ok=False,
        message=f"cells compute on one thread, your scripts on {count or cores}: sums differ in the last digits",
        advice="export OMP_NUM_THREADS=1 before a script that should give a record's bits",
    )


def frequency(cpus: Path) -> Finding:
    """Whether the processor's clock is fixed, without which times cannot be compared."""
    name = "frequency scaling"
    governors = {path.read_text().strip() for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    if not governors:
        return Finding(
            name=name,
            ok=True,
            message="not visible here (a virtual machine or a container): compare only times of one run",
        )
    # "boost" says 1 where turbo is on, "no_turbo" says 0.
    switches = {cpus / "cpufreq" / "boost": "1", cpus / "intel_pstate" / "no_turbo": "0"}
    turbo = any(path.exists() and path.read_text().strip() == on for path, on in switches.items())
    if governors == {"performance"} and not turbo:
        return Finding(name=name, ok=True, message="the clock is fixed")
    state = f"the governor is {', '.join(sorted(governors))}" + (", and turbo is on" if turbo else "")
    return Finding(
        name=name,
        ok=False,
        message=f"{state}: times depend on load and temperature (results do not)",
        advice="sudo cpupower frequency-set -g performance before measuring times",
    )


def load(average: float, cores: int) -> Finding:
    """Whether other processes compute here. ``average`` is the load of the last minute."""
    name = "busy machine"
    if average <= _IDLE_LOAD * cores:
        return Finding(name=name, ok=True, message=f"the machine is idle (load {average:.1f} on {cores} cores)")
    return Finding(
        name=name,
        ok=False,
        message=f"the load of the last minute is {average:.1f} on {cores} cores: measured times are too long",
        advice="measure times when nothing else runs; results do not depend on it",
    )


def _gpus() -> Sequence[Finding]:
    """Whether other processes compute on a GPU."""
    query = ("nvidia-smi", "--query-gpu=name,utilization.gpu,clocks_throttle_reasons.active", "--format=csv,noheader")
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [gpu(line) for line in done.stdout.splitlines() if line.count(",") == 2] if done.returncode == 0 else []


def gpu(line: str) -> Finding:
    """Read one line of nvidia-smi: name, share of the time in use, and the reasons for a low clock.

    >>> gpu("NVIDIA H100, 97 %, 0x0000000000000000").message
    'in use 97 % of the time'
    """
    name, use, reasons = (part.strip() for part in line.split(","))
    busy = int(use.split()[0]) if use.split()[0].isdecimal() else 0
    slow = int(reasons, 16) & _SLOWDOWN if reasons.lower().startswith("0x") else 0
    problems = [f"in use {busy} % of the time"] if busy > _IDLE_GPU else []
    problems += ["its clock is lowered by heat or a power limit"] if slow else []
    if not problems:
        return Finding(name=name, ok=True, message="idle")
    advice = "nvidia-smi shows the processes; wait for them, or cool the GPU"
    return Finding(name=name, ok=False, message=" and ".join(problems), advice=advice)


def _gradients(device: str) -> list[torch.Tensor]:
    """Gradients of a step with a convolution, a product and a scatter, from fixed random numbers."""
    import torch

    generator = torch.Generator().manual_seed(0)
    image = torch.randn(16, 3, 32, 32, generator=generator).to(device)
    filters = torch.randn(8, 3, 3, 3, generator=generator).to(device).requires_grad_()
    weights = torch.randn(8, 32, generator=generator).to(device).requires_grad_()
    places = torch.randint(0, 7, (16,), generator=generator).to(device)
    features = torch.nn.functional.conv2d(image, filters).mean((2, 3)) @ weights
    sums = torch.zeros(7, 32, device=device).index_add(0, places, features)
    return [*torch.autograd.grad(sums.square().sum(), [filters, weights]), sums.detach()]


def _one() -> float:
    """1.0, made at run time: Python multiplies constants when it compiles."""
    convert: Callable[[str], float] = float
    return convert("1")
