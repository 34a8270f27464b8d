"""How long one call takes: the wall clock on a CPU, the device's own events and a cold cache on CUDA."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from harness_plugins.speed.evaluation import synchronise

T = TypeVar("T")
#: A device that is idle is found to be so within this time, in seconds.
IDLE = 50e-6


def timed(device: torch.device, work: Callable[[], T]) -> tuple[float, T]:
    """Seconds until the work and all that it asked of the device is done, and what it gave.

    On CUDA the cache (L2) is cleared before, and the time is that between two events on the current stream. What
    still runs on another stream when the second has passed is waited for and counted.

    >>> seconds, result = timed(torch.device("cpu"), lambda: 3)
    >>> seconds < 1, result
    (True, 3)
    """
    if device.type != "cuda":
        synchronise(device)
        begin = time.perf_counter()
        result = work()
        synchronise(device)
        return time.perf_counter() - begin, result
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
    """Twice as many bytes as the device's L2 cache holds; writing them drives out what it held."""
    held = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(2 * held, dtype=torch.int8, device=device)
