"""What ``--until-decided --budget`` costs and spares, simulated for claims of known truth; simulate.py prints it.

The policy is that of ``rule_for_arrays.within_budget``, which shares no code with ``harness.running.budget``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rule_for_arrays import BORDER, KINDS, LEVELS, LOOKS, Array, at_looks, within_budget
from simulate import draws_of, normal, percent, table_of

INSIDES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
#: Claims of a simulated suite; and its budget in seeds a claim: half of the cells that 20 seeds for all would take.
SUITE, HALF = 10, 10


def suites_of(inside: float, trials: int, claims: int, seed: int) -> Array:
    """Differences by suite, claim and seed, as many claims as there are trials."""
    suites = trials // claims
    return draws_of(normal, BORDER + inside, suites * claims, seed, sd=1.0).reshape(suites, claims, LOOKS[-1])


def lost(draws: Array, depth: int, levels: Sequence[float] = LEVELS) -> list[float]:
    """For claims whose budget reaches so many looks: decided by the last without giving up, of these lost by it; seeds.

    Claims stand alone: ``draws`` are claims, 1, seeds. The last two numbers are the mean seeds without and with it.
    """
    without, used = at_looks(draws[:, 0], KINDS[0], LOOKS[:depth], levels[:depth])
    word, ran = within_budget(draws, KINDS[0], LOOKS[depth - 1], levels)
    decided = without != 0
    share_lost = (decided & (word[:, 0] == 0)).sum() / max(1, decided.sum())
    return [float(x) for x in (decided.mean(), share_lost, used.mean(), ran.mean())]


def futility(trials: int) -> dict[float, list[float]]:
    """``lost`` by how far the truth is inside, for a budget that reaches all looks, then one that ends at 20 seeds."""
    table = {}
    for index, inside in enumerate(INSIDES):
        draws = suites_of(inside, trials, 1, 700 + index)
        table[inside] = lost(draws, 4) + lost(draws, 3)
    return table


def budgets(trials: int) -> dict[float, list[float]]:
    """Suites of ten claims with a budget of ten seeds a claim, by how far the truth of all is inside.

    The share reproduced of all, of the suites' answers, and of all with ten seeds for each; the share contradicted; and
    the cells, as a share of those of 20 seeds for all.
    """
    table = {}
    for index, inside in enumerate(INSIDES):
        draws = suites_of(inside, trials, SUITE, 750 + index)
        word, ran = within_budget(draws, KINDS[0], HALF * SUITE)
        ten, _ = at_looks(draws.reshape(-1, LOOKS[-1]), KINDS[0], LOOKS[:2], LEVELS[:2])
        reproduced = [float(np.mean(words == 1)) for words in (word, word[:, 0], ten)]
        table[inside] = [*reproduced, float(np.mean(word == -1)), float(ran.mean() / 20)]
    return table


def inside_text(inside: float) -> str:
    return f"{inside:g} sd" if inside else "on the border"


def print_budgets(trials: int) -> None:
    by_look = ["decided by {} seeds", "of these lost", "mean seeds", "with a budget"]
    head = ["inside by", *(text.format(seeds) for seeds in (40, 20) for text in by_look)]
    rows = futility(trials).items()
    numbers = ([f"{x:.1f}" if i % 4 > 1 else percent(x) for i, x in enumerate(row)] for _, row in rows)
    table_of("futility", head, ([inside_text(d), *row] for (d, _), row in zip(rows, numbers, strict=True)))
    head = ["inside by", "reproduced", "the answer", "ten seeds for each", "contradicted", "of the cells of 20 seeds"]
    table_of("budget", head, ([inside_text(d), *map(percent, row)] for d, row in budgets(trials).items()))
