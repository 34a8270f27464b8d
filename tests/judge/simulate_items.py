"""How often intervals over seeds, over items and over both cover the truth; prints the table of docs/verdicts.md.

    python tests/judge/simulate_items.py --draws 4000       # one or two minutes

Items and seeds are crossed random effects. Method m is right on item i under seed s where
1/2 + g_i + h_mi + b_ms + e_mis > 0, all normal: g is how easy the item is for both methods, h how much easier for this
one, b the luck of the seed, e the rest. Both methods are equally good, so the true difference over
all items and seeds is 0.
"""
# ruff: noqa: T201 (a script: what it prints goes into the page)

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from harness.judge.items import LEVEL, item_intervals

SEED = 20_260_103
THRESHOLD = 0.5


@dataclass(frozen=True)
class Design:
    """How many items and seeds, and how much both matter."""

    items: int
    seeds: int
    #: Standard deviations of h and b.
    of_items: float = 0.5
    of_seeds: float = 0.05
    #: And of e.
    rest: float = 1.0


DESIGNS: Mapping[str, Design] = {
    "50 items, 5 seeds": Design(50, 5),
    "360 items, 5 seeds": Design(360, 5),
    "360 items, 10 seeds": Design(360, 10),
    "1,000 items, 5 seeds": Design(1000, 5),
    "1,000 items, 40 seeds": Design(1000, 40),
    "1,000 items, 5 seeds, which matter little": Design(1000, 5, of_seeds=0.0),
    "1,000 items, 5 seeds, which matter most": Design(1000, 5, of_items=0.2, of_seeds=0.2),
    "1,000 items, 5 seeds, same errors under most": Design(1000, 5, rest=0.3),
    "1,000 items, 40 seeds, same errors under most": Design(1000, 40, rest=0.3),
    "10,000 items, 5 seeds": Design(10_000, 5),
}
#: What is covered: the difference over all items and seeds, over all seeds on these items, over all items under these
#: seeds.
COLUMNS = ("seeds", "items", "both", "seeds, of the same items", "items, of the same seeds")


def draw(design: Design, random: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Differences [items, seeds] of one experiment; the truth over all seeds, and over all items."""
    n, seeds = design.items, design.seeds
    ease = random.standard_normal(n)
    own = design.of_items * random.standard_normal((2, n))
    luck = design.of_seeds * random.standard_normal((2, seeds))
    latent = (
        THRESHOLD
        + ease[:, None]
        + own[:, :, None]
        + luck[:, None]
        + design.rest * random.standard_normal((2, n, seeds))
    )
    right = (latent > 0).astype(float)
    over_seeds = ndtr((THRESHOLD + ease + own) / math.hypot(design.rest, design.of_seeds)).mean(axis=1)
    over_items = ndtr((THRESHOLD + luck) / math.hypot(1, design.rest, design.of_items)).mean(axis=1)
    return right[0] - right[1], float(over_seeds[0] - over_seeds[1]), float(over_items[0] - over_items[1])


def covered(design: Design, random: np.random.Generator) -> tuple[bool, ...]:
    """Whether each interval of one experiment holds its truth, in the order of the columns."""
    table, over_seeds, over_items = draw(design, random)
    result = item_intervals(([column] for column in table.T), int(random.integers(2**32)))
    of_seeds = table.mean(axis=0)
    half = student.ppf((1 + LEVEL) / 2, design.seeds - 1) * of_seeds.std(ddof=1) / math.sqrt(design.seeds)
    mean = of_seeds.mean()
    assert result.low is not None
    assert result.high is not None
    assert result.both_low is not None
    assert result.both_high is not None
    return (
        abs(mean) <= half,
        result.low <= 0 <= result.high,
        result.both_low <= 0 <= result.both_high,
        abs(mean - over_seeds) <= half,
        result.low <= over_items <= result.high,
    )


def coverage(design: Design, draws: int, seed: int = SEED) -> list[float]:
    """The share of experiments in which each interval holds its truth."""
    random = np.random.default_rng([seed, design.items, design.seeds])
    return np.mean([covered(design, random) for _ in range(draws)], axis=0).tolist()


def table(draws: int) -> Iterator[str]:
    """The lines of the table."""
    yield "<!-- items -->"
    yield f"| design | {' | '.join(COLUMNS)} |"
    yield "|---" * (1 + len(COLUMNS)) + "|"
    for name, design in DESIGNS.items():
        yield f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in coverage(design, draws))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000, help="simulated experiments for each row")
    for line in table(parser.parse_args().draws):
        print(line, flush=True)


if __name__ == "__main__":
    main()
