"""Interleaved blocks of calls, so that what slows the machine slows all contestants alike."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median

#: Fewest and most blocks; least seconds of a block; most calls in it.
LEAST_BLOCKS, MOST_BLOCKS = 7, 40
BLOCK_SECONDS, BLOCK_CALLS = 0.002, 25
#: Seconds per call of each contestant in each block.
Blocks = Mapping[str, Sequence[float]]


def interleave(
    contestants: Mapping[str, Callable[[], float]],
    budget: float,
    settled: Callable[[Blocks], bool] = lambda blocks: True,
    seed: int = 0,
    started: Callable[[str], None] = lambda name: None,
) -> dict[str, list[float]]:
    """Seconds per call of each contestant in each block. A contestant is called and returns its seconds.

    In a block each contestant has one turn, in random order, of as many calls as take a few milliseconds; their
    median counts. Where a turn has several calls, one more goes before them that does not count: a call of
    microseconds would pay for what a slow rival left in the caches. ``budget`` in seconds decides on the number of
    blocks, which doubles unless these are ``settled``. ``started`` is called with the name of whoever is next.
    """
    order = random.Random(seed)
    first = {}
    for name, call in contestants.items():
        started(name)
        first[name] = min(call(), call())
    calls = {name: min(BLOCK_CALLS, math.ceil(BLOCK_SECONDS / seconds)) for name, seconds in first.items()}
    seconds_per_block = sum(calls[name] * seconds for name, seconds in first.items())
    blocks: dict[str, list[float]] = {name: [] for name in contestants}
    for stage in (1, 2):
        count = stage * min(MOST_BLOCKS, max(LEAST_BLOCKS, round(budget / seconds_per_block)))
        while len(next(iter(blocks.values()))) < count:
            names = list(contestants)
            order.shuffle(names)
            for name in names:
                started(name)
                if calls[name] > 1:
                    contestants[name]()
                blocks[name].append(median(contestants[name]() for _ in range(calls[name])))
        if settled(blocks):
            break
    return blocks
