"""One word and one number for each claim, whatever command judges the records, and in whatever order they came."""

import random
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from scipy import stats

import harness
from harness.judge import judge_plan, judged_suites
from harness.judge.result import undecided_cells
from harness.planning.plan import make_plan
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.registry import Registry, load_registry
from harness.running.execute import record_of

TOY = str(Path(__file__).parents[1] / "toy")
CLAIMS = """
[[check]]
id = "seeds/learned"
says = "plain has a total above minus a hundred"
test = { kind = "greater", metric = "total", task = "toy/total", method = "plain", value = -100.0 }

[[claim]]
id = "seeds/clear"
says = "lifted is higher than plain"
source = { article = "tests" }
origin = "article"
checks = ["seeds/learned"]
test = { kind = "greater", metric = "total", task = "toy/total", method = "lifted", than = "plain" }

[[claim]]
id = "seeds/later"
says = "lifted has more noise than plain"
source = { article = "tests" }
origin = "article"
test = { kind = "greater", metric = "noise", task = "toy/total", method = "lifted", than = "plain", where.slope = 1.0 }

[[claim]]
id = "seeds/within"
says = "plain has no noise"
source = { article = "tests" }
test = { kind = "reaches", metric = "noise", task = "toy/total", method = "plain", value = 0.0, tol = 0.01 }

[[claim]]
id = "seeds/violations"
says = "no cell has violations"
source = { article = "other tests" }
test = { kind = "holds", metric = "violations", task = "toy/total", method = ["plain", "lifted"] }

[[claim]]
id = "seeds/primary"
says = "lifted with a steep slope is higher than plain"
source = { article = "tests" }
origin = "article"
primary = true
test = { kind = "greater", metric = "total", task = "toy/total", method = "lifted", than = "plain", where.slope = 2.0 }
"""
SUITE = """
title = "Seeds"
claims = ["seeds/*"]
[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 5
options = { slope = [1.0, 2.0] }
"""
#: Of "seeds/later": undecided at five seeds, decided at ten.
LATER = [2.0, -0.6, 1.0, 1.5, 0.1, 1.2, 1.4, 0.9, 1.6, 1.1, 1.3, 0.8]


@dataclass(frozen=True)
class Plugin:
    """The toy plugin with the claims above, and the suite."""

    names: tuple[str, ...]
    suite: str
    registry: Registry


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    module = folder / "seeds_of_claims.py"
    module.write_text(
        "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
        "    return [pathlib.Path(__file__).parent / 'claims.toml']\n"
    )
    (folder / "claims.toml").write_text(CLAIMS)
    (folder / "seeds.toml").write_text(SUITE)
    names = (TOY, str(module))
    yield Plugin(names, str(folder / "seeds.toml"), load_registry(names))
    sys.modules.pop(module.stem, None)


class Recorded:
    """A results folder in which cells of the suite have records, without having run."""

    def __init__(self, folder: Path, plugin: Plugin) -> None:
        self.plugins, self.suite, self.registry = plugin.names, plugin.suite, plugin.registry
        self.file = RecordsFile(folder)
        self.file.prepare()

    def request(self, **fields) -> Request:
        return Request(suite=self.suite, results=self.file.folder, plugins=self.plugins, **fields)

    def cells(self, seeds):
        scope = make_plan(self.request(seeds=max(seeds) + 1), self.registry).scope
        return [cell for cell in scope if cell.seed in seeds]

    def add(self, cells, status="done"):
        for cell in cells:
            lead = (1.0 + 0.01 * cell.seed) * (cell.method == "lifted")
            noise = LATER[cell.seed % len(LATER)] * (cell.method == "lifted")
            metrics = {"total": lead + cell.seed, "noise": noise + 0.1 * cell.seed, "violations": 0.0}
            self.file.append(record_of(cell, status, None, metrics=metrics if status == "done" else {}))

    def of_suite(self, **fields):
        """As ``harness suite`` judges, with these flags, once there is nothing left to run."""
        plan = make_plan(self.request(**fields), self.registry)
        return summary(judge_plan(plan, plan.records).verdicts)

    def of_claims(self, *names):
        (result,) = judged_suites(self.registry, names or [self.suite], self.request())
        return summary(result.verdicts)

    def of_python(self):
        return summary(harness.verdicts(self.file.folder, self.suite, plugins=self.plugins))

    def everywhere(self):
        """What all commands say, which must be one and the same."""
        every = [
            self.of_claims(),
            self.of_python(),
            self.of_suite(),
            *(self.of_suite(seeds=count) for count in (1, 3, 5, 8, 12, 40)),
            self.of_suite(only=("seed=0",)),
            self.of_suite(only=("method=plain", "slope=1.0"), seeds=12),
        ]
        assert all(verdicts == every[0] for verdicts in every), every
        return every[0]


def summary(verdicts):
    """Word, numbers and reason; but how many cells have not run depends on how many seeds are asked for."""
    return {
        v.claim: (
            v.verdict,
            v.n,
            v.estimate,
            v.low,
            v.high,
            v.p_holm,
            v.family,
            re.sub(r"\d+ of its \d+ cells have not run", "its cells have not run", v.cause),
        )
        for v in verdicts
    }


@pytest.fixture
def recorded(tmp_path, plugin):
    return Recorded(tmp_path / "results", plugin)


@pytest.mark.parametrize(
    ("seeds", "order"), [(3, "ascending"), (5, "shuffled"), (7, "descending"), (10, "shuffled"), (12, "descending")]
)
def test_every_command_gives_the_same_word_and_number_for_the_seeds_that_are_recorded(recorded, seeds, order):
    cells = recorded.cells(range(seeds))
    if order == "descending":
        cells.reverse()
    elif order == "shuffled":
        random.Random(seeds).shuffle(cells)
    recorded.add(cells)
    verdicts = recorded.everywhere()
    look = 5 if seeds >= 5 else seeds
    word = "reproduced" if seeds >= 5 else "inconclusive"
    assert verdicts["seeds/primary"][:3] == (word, look, pytest.approx(1.0 + 0.01 * (look - 1) / 2))
    assert verdicts["seeds/clear"][:2] == ("reproduced" if seeds >= 5 else "not-informative", look)
    later = 10 if seeds >= 10 else look
    p = stats.ttest_1samp(LATER[:later], 0, alternative="greater").pvalue
    assert verdicts["seeds/later"][:2] == ("reproduced" if seeds >= 10 else "inconclusive", later)
    assert seeds < 10 or p <= 0.005 / 2
    assert verdicts["seeds/later"][2] == pytest.approx(sum(LATER[:later]) / later)
    assert [verdicts[name][6] for name in sorted(verdicts)] == [2, 2, 1, 1, 1], (
        "the families do not depend on the seeds"
    )


@pytest.mark.parametrize(
    "steps",
    [[3, 5, 12], [12, 5], [3, 7, 10]],
)
def test_verdicts_do_not_depend_on_the_steps_in_which_seeds_were_added(recorded, tmp_path, plugin, steps):
    done: set[int] = set()
    for step in steps:
        recorded.add(recorded.cells(set(range(step)) - done) if set(range(step)) - done else [])
        done |= set(range(step))
        recorded.everywhere()
    at_once = Recorded(tmp_path / "other", plugin)
    at_once.add(at_once.cells(range(max(steps))))
    assert at_once.everywhere() == recorded.everywhere()


def test_seed_that_has_only_begun_does_not_count_yet(recorded):
    """An interrupted run leaves some cells of the next seeds."""
    recorded.add(recorded.cells(range(5)))
    before = recorded.everywhere()
    recorded.add(recorded.cells({5, 6})[:3])
    after = recorded.everywhere()
    counted, before_counted = after.pop("seeds/violations"), before.pop("seeds/violations")
    assert after == before
    assert (counted[1], before_counted[1]) == (7, 5), "violations are counted in every cell that there is"
    other = recorded.cells({5, 6, 7, 8, 9})
    recorded.add(cell for cell in other if cell.options["slope"] == 1.0)
    verdicts = recorded.everywhere()
    assert verdicts["seeds/later"][:2] == ("reproduced", 10), "it needs only one slope"
    assert verdicts["seeds/primary"] == before["seeds/primary"]


def test_seed_that_failed_is_not_passed_over_and_takes_back_no_earlier_decision(recorded):
    cells = recorded.cells(range(12))
    failed = next(c for c in cells if c.seed == 7 and c.method == "lifted" and c.options["slope"] == 1.0)
    recorded.add(c for c in cells if c.id != failed.id)
    before = recorded.everywhere()
    recorded.add([failed], "failed")
    verdicts = recorded.everywhere()
    assert verdicts["seeds/clear"][:2] == ("reproduced", 5), "decided at the first look, before that seed"
    assert before["seeds/later"][0] == "reproduced", "a seed that has not run is not there yet"
    word, *_, cause = verdicts["seeds/later"]
    assert word == "not-run"
    assert cause.startswith("1 of 24 cells have no good record; first: lifted on toy/total seed=7")
    recorded.add([failed])
    assert recorded.everywhere()["seeds/later"][:2] == ("reproduced", 10)


def test_failed_seed_within_the_first_look_leaves_the_claim_not_run(recorded):
    cells = recorded.cells(range(12))
    failed = next(c for c in cells if c.seed == 2 and c.method == "lifted" and c.options["slope"] == 1.0)
    recorded.add(c for c in cells if c.id != failed.id)
    recorded.add([failed], "failed")
    verdicts = recorded.everywhere()
    assert {name: v[0] for name, v in verdicts.items()} == {
        "seeds/clear": "not-run",
        "seeds/later": "not-run",
        "seeds/primary": "reproduced",
        "seeds/violations": "not-run",
        "seeds/within": "inconclusive",
    }


def test_claims_whose_cells_have_not_run_at_all_are_not_run_and_count(recorded):
    cells = [c for c in recorded.cells(range(5)) if c.method == "plain"]
    recorded.add(cells)
    verdicts = recorded.everywhere()
    assert verdicts["seeds/later"][0] == verdicts["seeds/clear"][0] == verdicts["seeds/primary"][0] == "not-run"
    assert [verdicts[name][6] for name in sorted(verdicts)] == [2, 2, 1, 1, 1]


def test_until_decided_runs_cells_of_undecided_claims_and_checks_alone(recorded):
    recorded.add(recorded.cells(range(5)))
    plan = make_plan(recorded.request(), recorded.registry)
    result = judge_plan(plan, plan.records)
    undecided = undecided_cells(result)
    assert {v.claim for v in result.verdicts if v.verdict == "inconclusive"} == {
        "seeds/later",
        "seeds/violations",
        "seeds/within",
    }
    needed = {c.id for c in plan.scope if c.method == "plain" or c.options["slope"] == 1.0}
    assert undecided == needed


def test_failure_of_other_code_does_not_take_the_place_of_an_earlier_good_record(recorded):
    cells = [replace(cell, code="old") for cell in recorded.cells(range(5))]
    recorded.add(cells)
    before = recorded.of_claims()
    assert before["seeds/clear"][0] == "reproduced"
    recorded.add([replace(cell, code="later") for cell in cells[:3]], "failed")
    assert recorded.of_claims() == before
