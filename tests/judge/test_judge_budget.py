"""Seeds within a budget: the command's choices against the rule for arrays; how often it errs or gives up too early.

``rule_for_arrays.within_budget`` is the policy a second time. Here whole suites run through the command's own loop,
with cells that measure known numbers and take a second each of a clock that the test holds.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rule_for_arrays
import simulate_budget
from rule_for_arrays import KINDS, LEVELS, LOOKS, Kind, within_budget
from scipy import stats
from test_judge_simulation import CLAIMS, credible, printed, verdicts
from toy_plan import claim, planned_verdict

from harness.judge import Look, planned
from harness.judge.power import chance_of_decision
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.registry import load_registry
from harness.running import budget, runner
from harness.running.budget import FUTILE
from harness.running.execute import record_of
from harness.running.runner import Finished, run_suite

TOY = str(Path(__file__).parents[1] / "toy")
GREATER = Kind("greater", 0.0)


# The probability that a look decides -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
def test_chance_of_a_decision_is_that_of_the_rule_for_arrays(name):
    kind = next(kind for kind in KINDS if kind.name == name)
    border = kind.high if math.isfinite(kind.high) else kind.low
    draws = np.random.default_rng(31).normal(border, 0.3, (30, 10))
    for verdict in [v for v in verdicts(CLAIMS[name], draws) if v.verdict == "inconclusive"]:
        row = np.asarray([CLAIM_VALUES[name](value) for value in verdict.values])[None, :]
        for look in planned(LOOKS)[2:]:
            expected = rule_for_arrays.chance_of_decision(row, kind, 10, look.seeds, look.level)[0]
            assert chance_of_decision(verdict, CLAIMS[name], look) == pytest.approx(expected, rel=1e-6, abs=1e-9)


#: From what a verdict shows to what is judged.
CLAIM_VALUES = dict.fromkeys(CLAIMS, float) | {
    "ratio": math.log,
    "reaches": lambda x: x - 10.0,
    "reaches, exact": lambda x: x - 10.0,
}


def test_chance_of_a_decision_is_how_often_the_look_decides():
    """Truths spread evenly, as the flat prior has them. After five seeds the spread, which counts as known, is not."""
    random = np.random.default_rng(32)
    draws = random.uniform(-3, 3, 40_000)[:, None] + random.standard_normal((40_000, 40))
    for n, later in ((5, 10), (10, 20), (10, 40)):
        level = LEVELS[LOOKS.index(later)]
        chance = rule_for_arrays.chance_of_decision(draws, GREATER, n, later, level)
        decided = rule_for_arrays.words(draws[:, :later], GREATER, level) != 0
        for low, high in ((0.0, 0.1), (0.2, 0.4), (0.4, 0.6), (0.8, 1.0)):
            inside = (low <= chance) & (chance < high)
            # Forty seeds decide every claim with more than a tenth.
            if inside.any():
                assert chance[inside].mean() == pytest.approx(decided[inside].mean(), abs=0.1 if n == 5 else 0.05)


def test_chance_uses_the_level_that_holm_leaves_and_needs_a_spread():
    verdict = planned_verdict([0.9, -0.4, 0.8, -0.2, 0.5])
    of, look = claim(kind="greater", than="b"), Look(10, 0.005)
    alone = chance_of_decision(verdict, of, look)
    halved = SimpleNamespace(**{**vars_of(verdict), "p": 0.01, "p_holm": 0.02})
    assert chance_of_decision(halved, of, look) == pytest.approx(chance_of_decision(verdict, of, Look(10, 0.0025)))
    assert chance_of_decision(halved, of, look) < alone
    assert chance_of_decision(planned_verdict([1.0] * 5), of, look) is None
    assert chance_of_decision(verdict, of, Look(5, 0.035)) == 0.0, "that look is past"


def vars_of(verdict):
    return {name: getattr(verdict, name) for name in type(verdict).__dataclass_fields__}


# The choices of the command ----------------------------------------------------------------------------------

CLAIMS_FILE = """
[[claim]]
id = "budget/{index}"
says = "the noise is above nothing"
source = {{ article = "tests/{index}" }}
test.kind = "greater"
test.metric = "noise"
test.task = "toy/total"
test.method = "plain"
test.where.slope = {index}.0
test.value = 0.0
"""
SUITE = """
title = "Budget"
claims = ["budget/*"]
answer = ["budget/0"]
[[cross]]
task = "toy/total"
methods = ["plain"]
seeds = 5
options = {{ slope = [{slopes}] }}
"""
COUNT = 4


@dataclass
class Clock:
    """A clock that only cells move."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a suite of claims, each on cells of its own, with these differences; gives words and seeds."""
    module = tmp_path / "budget_claims.py"
    module.write_text(
        "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
        "    return [pathlib.Path(__file__).parent / 'claims.toml']\n"
    )
    (tmp_path / "claims.toml").write_text("".join(CLAIMS_FILE.format(index=i) for i in range(COUNT)))
    suite = tmp_path / "budget.toml"
    suite.write_text(SUITE.format(slopes=", ".join(f"{i}.0" for i in range(COUNT))))
    names = (TOY, str(module))
    registry = load_registry(names)
    clock = Clock()
    for module_with_clock in (budget, runner):
        monkeypatch.setattr(module_with_clock, "time", clock)
    monkeypatch.setattr(runner, "prepare_engine", lambda request, registry: None)

    def run_of(draws, seconds, folder):
        def run_plan(plan, file, *_):
            for cell in plan.todo:
                clock.now += 1.0
                noise = draws[int(cell.options["slope"]), cell.seed]
                record = record_of(cell, "done", None, metrics={"noise": noise, "total": 0.0}, seconds=1.0)
                file.append(record)
                yield Finished(cell, record)

        monkeypatch.setattr(runner, "_run_plan", run_plan)
        monkeypatch.setattr(RecordsFile, "append", quickly)
        request = Request(suite=str(suite), results=folder, plugins=names, jobs=1, until_decided=True, budget=seconds)
        result = run_suite(request, registry)
        seeds = [sum(c.options["slope"] == i for c in result.cells if c.id in result.records) for i in range(COUNT)]
        return result, seeds

    yield run_of
    sys.modules.pop("budget_claims", None)


def quickly(file, record):
    """Write a record without syncing it to the disk."""
    with file.path.open("ab") as stream:
        stream.write(record.to_line().encode() + b"\n")
    return True


@pytest.mark.parametrize("seconds", [29.0, 45.0, 70.0])
def test_command_runs_the_seeds_that_the_rule_for_arrays_runs(run, tmp_path, seconds):
    words = {1: "reproduced", -1: "contradicted", 0: "inconclusive"}
    differing = 0
    for trial in range(5):
        draws = np.random.default_rng([41, trial]).normal(0.45, 1.0, (COUNT, LOOKS[-1]))
        word, ran = within_budget(draws[None], GREATER, seconds)
        result, seeds = run(draws, seconds, tmp_path / f"results{trial}")
        assert seeds == ran[0].tolist()
        assert [v.verdict for v in result.verdicts] == [words[w] for w in word[0].tolist()]
        assert sum(seeds) <= seconds
        undecided = {v.claim for v, seen in zip(result.verdicts, seeds, strict=True) if not decided(v) and seen < 40}
        assert {out.claim for out in result.left_out} == undecided
        differing += len(set(seeds)) > 1
    assert differing, "in some suite the claims get different numbers of seeds"


def decided(verdict):
    return verdict.verdict != "inconclusive"


# Rates -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_with_a_budget_one_in_twenty_claims_on_the_border_is_reproduced_at_most():
    trials = 100_000
    for claims, seeds in ((1, 40), (1, 20), (10, 75), (10, 100), (10, 200)):
        word, _ = within_budget(simulate_budget.suites_of(0.0, trials, claims, 60), KINDS[0], seeds)
        for words in (word, word[:, 0]):
            assert (words == 1).sum() <= stats.binom.ppf(1 - 1e-4, words.size, 0.05)
            assert (words == -1).sum() <= stats.binom.ppf(1 - 1e-4, words.size, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("family", [1, 10, 30])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_of_claims_that_would_be_decided_one_in_twenty_is_given_up_at_most(depth, family):
    levels = [level / family for level in LEVELS]
    for inside in (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0, 1.5):
        draws = simulate_budget.suites_of(inside, 40_000, 1, 61)
        decided, lost, without, used = simulate_budget.lost(draws, depth, levels)
        assert lost * decided * 40_000 <= stats.binom.ppf(1 - 1e-4, round(decided * 40_000), 0.05)
        assert used <= without


@pytest.mark.slow
def test_half_of_the_cells_of_twenty_seeds_decide_most_claims_one_sd_inside():
    reproduced, answer, ten, contradicted, cells = simulate_budget.budgets(100_000)[1.0]
    assert cells <= 0.5
    assert reproduced > ten + 0.1, "more than the same cells decide if each claim gets ten seeds"
    assert answer > 0.92
    assert contradicted < 0.001


def test_futility_of_the_page_is_that_of_the_command():
    assert rule_for_arrays.FUTILE == FUTILE


@pytest.mark.parametrize("marker", ["futility", "budget"])
def test_printed_rates_are_those_of_the_policy(marker):
    trials = 10_000
    simulated = {"futility": simulate_budget.futility, "budget": simulate_budget.budgets}[marker](trials)
    rows = printed(marker)
    assert [name for name, _ in rows] == [simulate_budget.inside_text(inside) for inside in simulated]
    for (_, shares), row in zip(rows, simulated.values(), strict=True):
        expected = [value for value in row if value <= 1.0] if marker == "budget" else [*row[:2], *row[4:6]]
        assert credible(shares, expected, trials / 10), (shares, expected)
