"""Errors of claims on tuned methods that are alike, simulated; the table of docs/tuning.md is what the script prints.

The harness's own choice and verdict are compared with those of the arrays, claim by claim.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import simulate_tuning
from rule_for_arrays import LEVELS, words
from scipy import stats
from simulate_tuning import BETTER, SCENARIOS, SIZES, of_studies
from tuned_plans import judged, plan_of

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text("utf-8")
WORDS = {1: "reproduced", -1: "contradicted", 0: "inconclusive"}


def table():
    """The shares of the page by curves and number of values."""
    (text,) = re.findall(r"<!-- tuning -->\n(.*?)\n\n", PAGE, flags=re.DOTALL)
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    assert tuple(head) == simulate_tuning.HEAD
    return {(row[0], int(row[1])): [float(cell.removesuffix(" %")) / 100 for cell in row[2:]] for row in rows}


def test_the_page_has_every_scenario_and_studies_err_in_at_most_5_percent():
    shares = table()
    assert [*shares] == [(s.name, size) for s in SCENARIOS for size in SIZES]
    for row in shares.values():
        assert max(row[:2]) <= 0.05
    worst = [max(row[place] for row in shares.values()) for place in (3, 5)]
    assert min(worst) > 0.05, "what is not a study errs more often"
    for share in worst:
        assert f"errs in up to {100 * share:.1f} %" in PAGE


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_harness_chooses_and_judges_as_the_arrays_do(tmp_path, scenario):
    values = [0.001, 0.01, 0.1, 1.0]
    random = np.random.default_rng(5)
    methods = [(v[:, :5], t[:, :5]) for v, t in simulate_tuning.draw(scenario, len(values), 12, random)]
    first, second = (of_studies(valid, test, 5) for valid, test in methods)
    expected = words(first - second, BETTER, LEVELS[0])
    grid = f'tune = {{ by = "valid_accuracy", rate = {values} }}'
    own = [values, values[: methods[1][0].shape[2]]]
    if len(own[1]) == len(values):
        plan = plan_of(tmp_path, f"seeds = 5\n{grid}")
    else:
        untuned = 'seeds = 5\nmethods = ["old"]\noptions = { rate = 0.001 }'
        plan = plan_of(tmp_path, f'seeds = 5\nmethods = ["new"]\n{grid}', untuned)
    for claim, word in enumerate(expected):

        def numbers(cell, claim=claim):
            side = 0 if cell.method == "new" else 1
            place = own[side].index(cell.options["rate"])
            valid, test = methods[side]
            return float(valid[claim, cell.seed, place]), float(test[claim, cell.seed, place])

        (verdict,) = judged(plan, numbers).verdicts
        assert verdict.verdict == WORDS[int(word)]
        assert verdict.estimate == pytest.approx(np.mean(first[claim] - second[claim]))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_shares_of_the_page_are_those_of_the_simulation(scenario, size):
    """Of fewer draws; a share lies outside of these bounds once in 10,000 times."""
    claims = 2 * simulate_tuning._BATCH
    shares = simulate_tuning.errors(scenario, size, claims)
    for share, printed in zip(shares, table()[scenario.name, size], strict=True):
        low, high = (stats.binom.ppf(q, claims, p) for q, p in ((5e-5, printed - 0.001), (1 - 5e-5, printed + 0.001)))
        assert low <= share * claims <= high
    for share in shares[:2]:
        assert share * claims <= stats.binom.ppf(1 - 1e-4, claims, 0.05)
