"""What on this machine threatens that results come out again, or that times can be compared."""

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

#: Variables of the shell that change what a float32 operation computes, and to which the workers fall heir.
_PRECISION = {
    "NVIDIA_TF32_OVERRIDE": ("0",),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("0",),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("STRICT", "strict"),
}
_CPUS = Path("/sys/devices/system/cpu")


def findings() -> list[Finding]:
    """Everything that is looked at, in the order of how much it matters."""
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
    """Whether the processor keeps numbers below 2.2e-308; ``smallest`` is 5e-324 times one."""
    if smallest:
        return Finding(name="denormals", ok=True, message="numbers below the normal range are kept")
    return Finding(
        name="denormals",
        ok=False,
        message="this process flushes numbers below the normal range to zero: a library was built with -ffast-math",
        advice="find the package whose import does it (check 5e-324 * 1.0 after each) and replace it",
    )


def precision(environment: Mapping[str, str]) -> Finding:
    """Whether the shell asks for less than float32 where float32 is written."""
    wrong = [f"{k}={environment[k]}" for k, good in _PRECISION.items() if environment.get(k, good[0]) not in good]
    if wrong:
        return Finding(
            name="TF32 and other short formats",
            ok=False,
            message=f"{', '.join(wrong)} lets float32 products be computed with fewer digits",
            advice=f"unset {' '.join(one.partition('=')[0] for one in wrong)}",
        )
    return Finding(
        name="TF32 and other short formats",
        ok=True,
        message="cells compute float32 as float32 (torch's own default allows TF32 in convolutions: a script of yours "
        "sets torch.backends.cudnn.allow_tf32 = False)",
    )


def same_bits_twice() -> Finding:
    """Whether the kernels that training rests on give the same bits twice, with the switches that cells run under."""
    import torch

    from harness.records.provenance import make_deterministic

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    make_deterministic()
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        one, other = _gradients(device), _gradients(device)
        if not all(torch.equal(a, b) for a, b in zip(one, other, strict=True)):
            return Finding(
                name="non-deterministic kernels",
                ok=False,
                message=f"a training step on {device} gives other bits the second time, with deterministic algorithms",
                advice="update torch and the driver; until then runs of one seed differ too",
            )
    return Finding(
        name="non-deterministic kernels",
        ok=True,
        message="convolution, product and scatter give the same bits twice, forwards and backwards",
    )


def threads(environment: Mapping[str, str], cores: int) -> Finding:
    """Whether a script would compute with as many threads as the cells do: one."""
    if environment.get("OMP_NUM_THREADS") == "1" or cores == 1:
        return Finding(name="threads", ok=True, message="cells and scripts compute on one thread")
    asked = environment.get("OMP_NUM_THREADS")
    return Finding(
        name="threads",
        ok=False,
        message=f"cells compute on one thread, a script of yours on {asked or cores}: sums differ in the last digits",
        advice="export OMP_NUM_THREADS=1 where a script is to give a record's bits",
    )


def frequency(cpus: Path) -> Finding:
    """Whether the processor's clock stands still, which times are compared by."""
    governors = {path.read_text().strip() for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    if not governors:
        return Finding(
            name="frequency scaling",
            ok=True,
            message="it cannot be seen from here (a virtual machine or a container): compare only times of one run",
        )
    boost = [cpus / "cpufreq" / "boost", cpus / "intel_pstate" / "no_turbo"]
    turbo = [p.name for p in boost if p.exists() and p.read_text().strip() == ("1" if p.name == "boost" else "0")]
    if governors == {"performance"} and not turbo:
        return Finding(name="frequency scaling", ok=True, message="the clock is fixed")
    what = f"the governor is {', '.join(sorted(governors))}" + (", and turbo is on" if turbo else "")
    return Finding(
        name="frequency scaling",
        ok=False,
        message=f"{what}: seconds depend on the load and the temperature (results do not)",
        advice="sudo cpupower frequency-set -g performance before measuring times",
    )


def load(average: float, cores: int) -> Finding:
    """Whether others compute here; ``average`` is the load of the last minute."""
    if average <= 0.25 * cores:
        return Finding(name="busy machine", ok=True, message=f"it is idle (load {average:.1f} on {cores} cores)")
    return Finding(
        name="busy machine",
        ok=False,
        message=f"{average:.1f} processes have wanted to run for a minute on {cores} cores: seconds are too long",
        advice="measure times when nothing else runs; results do not depend on it",
    )


def _gpus() -> Sequence[Finding]:
    """Whether somebody else computes on a GPU."""
    asked = ("nvidia-smi", "--query-gpu=name,utilization.gpu,clocks_throttle_reasons.active", "--format=csv,noheader")
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [gpu(line) for line in done.stdout.splitlines() if line.count(",") == 2] if done.returncode == 0 else []


def gpu(line: str) -> Finding:
    """One line of nvidia-smi: name, share of time in use, and why its clock is held down.

    >>> gpu("NVIDIA H100, 97 %, 0x0000000000000000").ok
    False
    """
    name, use, throttled = (part.strip() for part in line.split(","))
    busy = int(use.split()[0]) if use.split()[0].isdecimal() else 0
    # Bits 3, 5, 6 and 7 of NVML's reasons: slowdown by hardware, by software for heat, by hardware for heat and power.
    slow = int(throttled, 16) & 0xE8 if throttled.lower().startswith("0x") else 0
    if busy <= 10 and not slow:
        return Finding(name=name, ok=True, message="nobody else computes on it")
    found = [f"{busy} % of its time is in use"] if busy > 10 else []
    found += ["its clock is held down for heat or power"] if slow else []
    return Finding(name=name, ok=False, message=" and ".join(found), advice="nvidia-smi shows who; wait, or cool it")


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
    """1.0, but not before the program runs: Python multiplies constants when it compiles."""
    one: Callable[[str], float] = float
    return one("1")
