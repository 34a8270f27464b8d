"""Time two pieces of work in turns, so that a drift of the machine favours neither."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Seconds:
    """Seconds of each turn that counts, of the work and of its rival."""

    work: list[float]
    rival: list[float]

    @property
    def median(self) -> float:
        """Median seconds of the work."""
        return statistics.median(self.work)

    @property
    def speedup(self) -> float:
        """Median over turns of the rival's seconds over those of the work."""
        return statistics.median(rival / work for work, rival in zip(self.work, self.rival, strict=True))


def time_in_turns(
    work: tuple[Callable[[], None], Callable[[], None]],
    turns: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> Seconds:
    """Time the work and its rival, the pair ``work``, in turns, after one turn that does not count.

    On a CPU the time is the processor's, so that other work on the machine counts little; elsewhere it is the clock's,
    up to when the device has finished. ``progress(done, turns)`` is called after each turn.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            begin = _now(device)
            work[which]()
            end = _now(device)
            if turn:
                seconds[which].append(end - begin)
        progress(turn + 1, turns + 1)
    return Seconds(*seconds)


def _now(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()
