"""How long one call takes: the wall clock on a CPU, the device's own events and a cold cache on CUDA."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from harness_plugins.speed.evaluation import synchronise

T = TypeVar("T")
#: Seconds within which an idle device answers that it is idle.
IDLE = 50e-6


def wall_time(device: torch.device, work: Callable[[], T]) -> tuple[float, T]:
    """The seconds that the work takes by the wall clock, the device's part included, and what the work returns.

    >>> seconds, result = wall_time(torch.device("cpu"), lambda: 3)
    >>> seconds < 1, result
    (True, 3)
    """
    synchronise(device)
    begin = time.perf_counter()
    result = work()
    synchronise(device)
    return time.perf_counter() - begin, result


def timed(device: torch.device, work: Callable[[], T]) -> tuple[float, T]:
    """The seconds that the work takes by the device's own clock, and what the work returns.

    On a CPU that is the wall clock. On CUDA the cache (L2) is cleared before, and the time is that between two events
    on the current stream. What other streams still run after the second event is waited for and counted.
    """
    if device.type != "cuda":
        return wall_time(device, work)
    with torch.cuda.device(device):
        _larger_than_cache(device).zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        synchronise(device)
        start.record()
        result = work()
        end.record()
        end.synchronize()
        begin = time.perf_counter()
        synchronise(device)
        late = time.perf_counter() - begin
    return start.elapsed_time(end) / 1e3 + (late if late > IDLE else 0.0), result


@functools.cache
def _larger_than_cache(device: torch.device) -> torch.Tensor:
    """Twice as many bytes as the device's L2 cache holds; writing them clears it."""
    cached = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(2 * cached, dtype=torch.int8, device=device)
