"""What the machine can do in a second, as torch uses it: bytes copied, and operations of a matrix product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from harness_plugins.speed.clock import wall_time

#: How many numbers are copied, more than any cache holds; rows of the square matrices that are multiplied.
COPIED = {"cpu": 32_000_000, "cuda": 256_000_000}
ROWS = {"cpu": 2048, "cuda": 8192}
REPEATS = 7


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured in float32, with the same threads as what is compared with them."""

    #: Bytes read plus bytes written.
    copy_bytes_per_second: float
    #: Multiplications plus additions.
    matmul_flops_per_second: float


def measure_rates(device: torch.device) -> Rates:
    """The rates by the median of a few copies and of a few products."""
    count, rows = (table.get(device.type, table["cuda"]) for table in (COPIED, ROWS))
    source = torch.rand(count, device=device)
    target = torch.empty_like(source)
    copied = _median_seconds(lambda: target.copy_(source), device)
    left, right = torch.rand(2, rows, rows, device=device)
    product = torch.empty(rows, rows, device=device)
    multiplied = _median_seconds(lambda: torch.mm(left, right, out=product), device)
    return Rates(2 * source.nbytes / copied, 2 * rows**3 / multiplied)


def _median_seconds(work: Callable[[], object], device: torch.device) -> float:
    times = [wall_time(device, work)[0] for _ in range(REPEATS)]
    return median(times[1:])
