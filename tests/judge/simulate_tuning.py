"""How often a claim on tuned methods is wrong: simulates studies of known curves and prints the table of the docs.

    python tests/judge/simulate_tuning.py     # the table of docs/tuning.md, one or two minutes
    python tests/judge/simulate_tuning.py --draws 5000

The two methods of a claim reach the same best score. So "better" is on its border, and every "reproduced" is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rule_for_arrays import LEVELS, LOOKS, Array, Kind, words
from simulate import SEED, percent, table_of

BETTER = Kind("greater", 0.0)
#: Claims that are simulated at once.
_BATCH = 2_000
_SEEDS = LOOKS[-1]


@dataclass(frozen=True)
class Scenario:
    """Two methods over a grid: what each would score on average, in standard deviations of a seed's test score."""

    name: str
    #: By the size of the grid.
    first: Callable[[int], Array]
    second: Callable[[int], Array]
    #: Standard deviation of what a run owes to luck that its validation and its test see alike.
    luck: float = 0.0


def flat(size: int) -> Array:
    return np.zeros(size)


def peaked(size: int) -> Array:
    """One value is right and all others lose clearly."""
    return np.where(np.arange(size) == size // 2, 0.0, -6.0)


def one_value(_: int) -> Array:
    """A method that is not tuned."""
    return np.zeros(1)


def hill(size: int) -> Array:
    """Neighbours of the best value are half a standard deviation worse, and so on."""
    return -0.5 * np.abs(np.arange(size) - size // 2)


SCENARIOS = (
    Scenario("both flat", flat, flat),
    Scenario("both a hill", hill, hill),
    Scenario("both a hill, runs have luck", hill, hill, luck=1.0),
    Scenario("flat against peaked", flat, peaked),
    Scenario("flat against one value", flat, one_value),
)
SIZES = (4, 8, 16)


def draw(scenario: Scenario, size: int, claims: int, random: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Validation and test scores ``(claims, seeds, trials)`` of the first method, then of the second."""
    for curve in (scenario.first(size), scenario.second(size)):
        shape = (claims, _SEEDS, len(curve))
        run = curve + scenario.luck * random.standard_normal(shape)
        yield run + random.standard_normal(shape), run + random.standard_normal(shape)


def of_studies(valid: Array, test: Array, _: int) -> Array:
    """Each seed chooses on its validation: ``(claims, seeds)`` of test scores."""
    return np.take_along_axis(test, valid.argmax(axis=2)[..., None], axis=2)[..., 0]


def chosen_once_on_validation(valid: Array, test: Array, seeds: int) -> Array:
    """One choice for all seeds, by the mean of validation over the seeds so far."""
    return _chosen_once(valid[:, :seeds].mean(axis=1), test)


def chosen_once_on_test(_: Array, test: Array, seeds: int) -> Array:
    """One choice for all seeds, by the mean of the test over the seeds so far: the usual mistake."""
    return _chosen_once(test[:, :seeds].mean(axis=1), test)


def _chosen_once(means: Array, test: Array) -> Array:
    return np.take_along_axis(test, means.argmax(axis=1)[:, None, None], axis=2)[..., 0]


CHOICES = (of_studies, chosen_once_on_validation, chosen_once_on_test)


def reproduced(
    choose: Callable[[Array, Array, int], Array], methods: list[tuple[Array, Array]], looks: int
) -> NDArray[np.bool_]:
    """Whether each claim is reproduced at one of the first so many looks."""
    word = np.zeros(len(methods[0][0]), dtype=np.int8)
    for seeds, level in zip(LOOKS[:looks], LEVELS, strict=False):
        first, second = (choose(valid, test, seeds)[:, :seeds] for valid, test in methods)
        word = np.where(word == 0, words(first - second, BETTER, level), word)
    return word == 1


def errors(scenario: Scenario, size: int, claims: int) -> list[float]:
    """The share reproduced after five seeds, and until decided, by each way to choose."""
    counts = np.zeros((len(CHOICES), 2))
    random = np.random.default_rng([SEED, 700, SCENARIOS.index(scenario), size])
    for _ in range(max(1, claims // _BATCH)):
        methods = list(draw(scenario, size, min(claims, _BATCH), random))
        for row, choose in enumerate(CHOICES):
            for column, looks in enumerate((1, len(LOOKS))):
                counts[row, column] += reproduced(choose, methods, looks).sum()
    shares = counts / (max(1, claims // _BATCH) * min(claims, _BATCH))
    return [float(share) for share in shares.ravel()]


HEAD = (
    *("true curves", "values"),
    *("studies: five seeds", "until decided"),
    *("one choice on validation: five seeds", "until decided"),
    *("one choice on test: five seeds", "until decided"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40_000, help="simulated claims for each figure")
    claims: int = parser.parse_args().draws
    rows = ((s.name, str(size), *map(percent, errors(s, size, claims))) for s in SCENARIOS for size in SIZES)
    table_of("tuning", HEAD, rows)


if __name__ == "__main__":
    main()
