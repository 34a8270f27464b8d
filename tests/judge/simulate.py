"""How often verdicts are wrong: simulates the rule of looks on seeds of known mean and prints the tables of the docs.

    python tests/judge/simulate.py            # the tables of docs/verdicts.md, one or two minutes
    python tests/judge/simulate.py --draws 20000

The rule is that of ``rule_for_arrays``, which shares no code with ``harness.judge``.
"""
# ruff: noqa: T201 (a script: what it prints goes into the page)

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from rule_for_arrays import (
    BORDER,
    KINDS,
    LEVELS,
    LOOKS,
    Array,
    Kind,
    at_looks,
    far_from_the_others,
    holm,
    p_over_looks,
    would_take,
)

SEED = 20_260_101

#: Draws ``(trials, seeds)`` of mean 0 and standard deviation 1.
Noise = Callable[[np.random.Generator, tuple[int, int]], Array]


# Seeds' differences ------------------------------------------------------------------------------------------


def normal(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    return random.standard_normal(shape)


def skewed_up(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Exponential: most seeds a little below the mean, a few far above it."""
    return random.standard_exponential(shape) - 1


def skewed_down(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    return -skewed_up(random, shape)


def _collapsing(side: int) -> Noise:
    def draw(random: np.random.Generator, shape: tuple[int, int]) -> Array:
        """Normal, but one seed in ten collapses by ten standard deviations of the others."""
        values = random.standard_normal(shape) + side * 10.0 * (random.random(shape) < 0.1)
        return (values - side * 1.0) / math.sqrt(1 + 100 * 0.1 * 0.9)

    return draw


def accuracies(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Accuracies on 360 rows, two methods that are right on 95 % of them alike but for a few."""
    values = (random.binomial(360, 0.02, shape) - random.binomial(360, 0.02, shape)) / 360
    return values / math.sqrt(2 * 0.02 * 0.98 / 360)


def heavy(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    return random.standard_t(3, shape) / math.sqrt(3)


def _event(p: float, sign: int) -> Noise:
    def draw(random: np.random.Generator, shape: tuple[int, int]) -> Array:
        """1 with probability p, else 0, centred and scaled."""
        return sign * ((random.random(shape) < p) - p) / math.sqrt(p * (1 - p))

    return draw


SHAPES: dict[str, Noise] = {
    "normal": normal,
    "heavy tails (t with 3 degrees of freedom)": heavy,
    "exponential, tail away from the claim": skewed_down,
    "exponential, tail towards the claim": skewed_up,
    "one seed in ten collapses, against the claim": _collapsing(-1),
    "one seed in ten collapses, for the claim": _collapsing(1),
    "accuracy on 360 rows": accuracies,
    "an event of probability .25, against the claim": _event(0.25, -1),
    "an event of probability .25, for the claim": _event(0.25, 1),
}


# Tables ------------------------------------------------------------------------------------------------------


def draws_of(noise: Noise, mean: float, trials: int, seed: int, sd: float = 0.1, seeds: int = LOOKS[-1]) -> Array:
    return mean + sd * noise(np.random.default_rng([SEED, seed]), (trials, seeds))


def minus_printed(draws: Array, kind: Kind, sd: float, seed: int) -> Array:
    """The differences to a printed mean of so many runs, which is a draw as ours are."""
    if math.isinf(kind.runs):
        return draws
    printed = np.random.default_rng([SEED, seed, 1]).standard_normal(len(draws)) * sd / math.sqrt(kind.runs)
    return draws - printed[:, None]


#: What a person may do: the numbers of seeds at which they look, and the levels they then use.
RULES: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "run five seeds and stop": (LOOKS[:1], LEVELS[:1]),
    "run five, and five more only if inconclusive; or ten at once": (LOOKS[:2], LEVELS[:2]),
    "the same up to 20": (LOOKS[:3], LEVELS[:3]),
    "the same up to 40: `--until-decided`, or by hand, in any steps": (LOOKS, LEVELS),
    "change the suite's `looks` after each look, to 5, 10, 20, 40": (LOOKS, (0.05,) * 4),
    "look after every seed from 5 to 40 with a test at .05 (other software)": (tuple(range(5, 41)), (0.05,) * 36),
}


def border_errors(trials: int, sd: float = 0.1, noise: Noise = normal) -> dict[str, list[float]]:
    """Share reproduced with the truth on the border, by kind and by number of seeds; the rule looks as planned."""
    table = {}
    for index, kind in enumerate(KINDS):
        border = kind.high if math.isfinite(kind.high) else kind.low
        draws = minus_printed(draws_of(noise, border, trials, index, sd), kind, sd, index)
        shares = [np.mean(at_looks(draws, kind, LOOKS[: i + 1], LEVELS[: i + 1])[0] == 1) for i in range(len(LOOKS))]
        table[kind.name] = [float(share) for share in shares]
    return table


def contradicted_errors(trials: int, sd: float = 0.1) -> dict[str, list[float]]:
    """Share contradicted with the truth just inside the border; with two borders, as narrow a region as they get."""
    table = {}
    for index, kind in enumerate((*KINDS, Kind("equal, borders nearer than the noise", -0.001, 0.001))):
        border = (kind.high if math.isfinite(kind.high) else kind.low) * (1 - 1e-9)
        draws = minus_printed(draws_of(normal, border, trials, 50 + index, sd), kind, sd, 50 + index)
        shares = [np.mean(at_looks(draws, kind, LOOKS[: i + 1], LEVELS[: i + 1])[0] == -1) for i in range(len(LOOKS))]
        table[kind.name] = [float(share) for share in shares]
    return table


def rule_errors(trials: int) -> dict[str, float]:
    """Share reproduced of "greater" with the truth on the border, by what the person does."""
    draws = draws_of(normal, BORDER, trials, 100)
    return {name: float(np.mean(at_looks(draws, KINDS[0], *rule)[0] == 1)) for name, rule in RULES.items()}


def shape_errors(trials: int) -> dict[str, list[float]]:
    """Share reproduced, and contradicted, of "greater" with the truth on the border, at one look and until decided."""
    table: dict[str, list[float]] = {}
    for index, (name, noise) in enumerate(SHAPES.items()):
        draws = draws_of(noise, BORDER, trials, 200 + index, sd=1.0)
        table[name] = []
        for depth in (1, 4):
            word, _ = at_looks(draws, KINDS[0], LOOKS[:depth], LEVELS[:depth])
            table[name] += [float(np.mean(word == 1)), float(np.mean(word == -1))]
    return table


def named(trials: int) -> dict[int, list[float]]:
    """By number of seeds: how often a seed of normal ones is named; how often none collapses, where each does with a
    probability of .1; and how often the only one that did is named.
    """
    table = {}
    for n in (5, 10):
        random = np.random.default_rng([SEED, 250, n])
        draws = random.standard_normal((trials, n))
        collapsed = random.random((trials, n)) < 0.1
        alone = collapsed.sum(axis=1) == 1
        hit = far_from_the_others(draws - 10.0 * collapsed) & collapsed
        table[n] = [
            float(far_from_the_others(draws).any(axis=1).mean()),
            float((collapsed.sum(axis=1) == 0).mean()),
            float(hit[alone].any(axis=1).mean()),
        ]
    return table


def family_errors(trials: int, correlation: float = 0.0) -> dict[int, list[float]]:
    """Share of families in which any claim on the border is reproduced, without and with Holm, one look and four.

    ``correlation`` is that between claims, as where they share a baseline.
    """
    table = {}
    for size in (1, 5, 20):
        count = max(2_000, trials // size)
        random = np.random.default_rng([SEED, 300, size])
        p = np.empty((count, size)), np.empty((count, size))
        shared = random.standard_normal((count, LOOKS[-1]))
        for claim in range(size):
            own = random.standard_normal((count, LOOKS[-1]))
            draws = BORDER + math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
            p[0][:, claim] = p_over_looks(draws, KINDS[0], LOOKS[:1])
            p[1][:, claim] = p_over_looks(draws, KINDS[0])
        table[size] = [
            float(np.mean((adjust(each) <= 0.05).any(axis=1))) for each in p for adjust in (lambda x: x, holm)
        ]
    return table


def powers(trials: int, insides: Iterable[float] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)) -> dict[float, list[float]]:
    """Share of true claims reproduced after each look, and mean seeds until decided, by how far the truth is inside."""
    table = {}
    for index, inside in enumerate(insides):
        draws = draws_of(normal, BORDER + inside, trials, 400 + index, sd=1.0)
        row = [float(np.mean(at_looks(draws, KINDS[0], LOOKS[: i + 1], LEVELS[: i + 1])[0] == 1)) for i in range(4)]
        table[inside] = [*row, float(at_looks(draws, KINDS[0])[1].mean())]
    return table


def calibration(trials: int) -> dict[int, dict[int, list[float]]]:
    """Of claims undecided at 5 (10) seeds, by the words of ``would_take``: their share, and the share decided then.

    Truths are spread evenly from the border to two standard deviations from it, on both sides.
    """
    truth = np.random.default_rng([SEED, 500]).uniform(-2, 2, trials)
    draws = truth[:, None] + draws_of(normal, 0.0, trials, 501, sd=1.0)
    kind = Kind("greater", 0.0)
    table: dict[int, dict[int, list[float]]] = {}
    for n, depth in ((5, 1), (10, 2)):
        so_far, _ = at_looks(draws, kind, LOOKS[:depth], LEVELS[:depth])
        still = draws[so_far == 0]
        advice = would_take(still[:, :n].mean(axis=1), still[:, :n].std(axis=1, ddof=1), n)
        for seeds in (10, 20, 40, 400, 0):
            of_word = still[advice == seeds]
            if not len(of_word):
                continue
            looks = [look for look in LOOKS if look <= (seeds if 0 < seeds <= 40 else 40)]
            word, _ = at_looks(of_word, kind, looks, LEVELS[: len(looks)])
            table.setdefault(n, {})[seeds] = [len(of_word) / len(still), float(np.mean(word != 0))]
    return table


def followed_error(trials: int) -> float:
    """Share reproduced on the border by somebody who after five seeds follows ``would_take`` once, and stops."""
    draws = draws_of(normal, 0.0, trials, 510, sd=1.0)
    kind = Kind("greater", 0.0)
    word, _ = at_looks(draws, kind, LOOKS[:1], LEVELS[:1])
    advice = would_take(draws[:, :5].mean(axis=1), draws[:, :5].std(axis=1, ddof=1), 5)
    for depth in (2, 3, 4):
        go = (word == 0) & (advice == LOOKS[depth - 1])
        word[go] = at_looks(draws[go], kind, LOOKS[:depth], LEVELS[:depth])[0]
    return float(np.mean(word == 1))


def printed_runs(trials: int) -> dict[str, list[float]]:
    """``reaches`` against a printed mean of some runs, which is a draw itself; the spread is a third of ``tol``.

    The share reproduced until decided where the truths are ``tol`` apart, with the printed mean's error as the rule has
    it and without; and the share reproduced where the truths are equal, at one look and until decided.
    """
    table = {}
    for index, runs in enumerate((1, 3, 5, 20)):
        row = []
        for rule in (runs, math.inf):
            kind = Kind("reaches", -BORDER, BORDER, runs=rule)
            noisy = Kind("reaches", -BORDER, BORDER, runs=runs)
            draws = minus_printed(draws_of(normal, BORDER, trials, 600 + index), noisy, 0.1, 600 + index)
            row.append(float(np.mean(at_looks(draws, kind)[0] == 1)))
        kind = Kind("reaches", -BORDER, BORDER, runs=runs)
        draws = minus_printed(draws_of(normal, 0.0, trials, 650 + index), kind, 0.1, 650 + index)
        row += [float(np.mean(at_looks(draws, kind, LOOKS[:d], LEVELS[:d])[0] == 1)) for d in (1, 4)]
        table[f"{runs}"] = row
    return table


# Printing ----------------------------------------------------------------------------------------------------


def table_of(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"\n<!-- {name} -->")
    print(f"| {' | '.join(head)} |")
    print("|---" * len(head) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def cells(row: Iterable[float]) -> list[str]:
    return [percent(share) for share in row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200_000, help="simulated claims for each figure")
    trials: int = parser.parse_args().draws
    print(f"{trials:,} draws for each figure; a standard error is at most {100 * 0.5 / math.sqrt(trials):.2f} %")
    print_errors(trials)
    print_families(trials)
    print_powers(trials)
    # It draws with the functions of this file.
    from simulate_budget import print_budgets

    print_budgets(trials)


def print_errors(trials: int) -> None:
    head = ["claim", *(f"{n} seeds" for n in LOOKS)]
    table_of("border", head, ([name, *cells(row)] for name, row in border_errors(trials).items()))
    table_of("inside", head, ([name, *cells(row)] for name, row in contradicted_errors(trials).items()))
    head = ["what a person does", "reproduced"]
    table_of("rules", head, ([name, percent(rate)] for name, rate in rule_errors(trials).items()))
    head = ["differences", "five seeds: reproduced", "contradicted", "until decided: reproduced", "contradicted"]
    table_of("shapes", head, ([name, *cells(row)] for name, row in shape_errors(trials).items()))
    head = ["seeds", "a normal seed is named", "none collapsed, where one in ten does", "the only one is named"]
    table_of("collapse", head, ([str(n), *(f"{100 * x:.2f} %" for x in row)] for n, row in named(trials).items()))
    head = ["printed runs", "`tol` apart", "the same without their error", "equal: five seeds", "equal: until decided"]
    table_of("printed", head, ([name, *cells(row)] for name, row in printed_runs(trials).items()))


def print_families(trials: int) -> None:
    head = ["claims", "five seeds, alone", "five seeds, Holm", "until decided, alone", "until decided, Holm"]
    for name, correlation in (("families", 0.0), ("families with a shared baseline", 0.5)):
        rows = family_errors(trials, correlation).items()
        table_of(name, head, ([str(size), *cells(row)] for size, row in rows))


def print_powers(trials: int) -> None:
    head = ["inside by", *(f"{n} seeds" for n in LOOKS), "mean seeds"]
    rows = powers(trials).items()
    table_of("power", head, ([f"{d:g} sd", *cells(row[:-1]), f"{row[-1]:.1f}"] for d, row in rows))
    words = {10: "about 10", 20: "about 20", 40: "about 40", 400: "more than 40", 0: "too near the border"}
    head = ["undecided at", "it says", "so often", "decided by then (by 40)"]
    advice = ([f"{n} seeds", words[s], *cells(row)] for n, of in calibration(trials).items() for s, row in of.items())
    table_of("would take", head, advice)
    print(f"\nFollowing it once and then stopping errs in {percent(followed_error(trials))}.")


if __name__ == "__main__":
    main()
