"""Which cells of a suite have to run, in which order, and how long they will take."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.planning.plan import make_plan, with_more_seeds
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.registry import load_registry
from harness.running.execute import record_of

TOY = str(Path(__file__).parents[1] / "toy")
SUITE = """
title = "Plans"
jobs = 3
[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 3
options = { slope = [1.0, 2.0] }
[[cross]]
task = "toy/absent"
methods = ["plain"]
"""


@pytest.fixture(scope="module")
def registry():
    return load_registry((TOY,))


@pytest.fixture
def planned(tmp_path, registry):
    """Plans the suite above with these fields of the request."""
    suite = tmp_path / "plans.toml"
    suite.write_text(SUITE)

    def plan(seeds=None, **fields):
        return make_plan(Request(suite=str(suite), results=tmp_path / "results", **fields), registry, seeds)

    return plan


def add(plan, *statuses, **fields):
    """Give the first cells that can run these statuses."""
    file = RecordsFile(plan.results)
    file.prepare()
    cells = [cell for cell in plan.scope if cell.skip is None]
    for cell, status in zip(cells, statuses, strict=False):
        file.append(record_of(cell, status, None, **fields))
    return cells


def test_cells_run_seed_by_seed_and_methods_in_turn_within_a_seed(planned):
    plan = planned()
    assert [(c.seed, c.method, c.options["slope"]) for c in plan.todo] == [
        (seed, method, slope) for seed in range(3) for method in ("plain", "lifted") for slope in (1.0, 2.0)
    ]
    assert [c.skip is None for c in plan.scope] == [True] * 12 + [False]
    assert plan.cells == plan.scope


def test_cells_with_a_final_record_do_not_run_again(planned):
    cells = add(planned(), "done", "failed", "timeout", "crashed", "skipped", seconds=2.0)

    def runs(**fields):
        todo = planned(**fields).todo
        return [cell in todo for cell in cells]

    assert runs() == [False] * 4 + [True] * 8
    assert runs(retry_failed=True) == [False] + [True] * 11
    assert runs(fresh=True) == [True] * 12


def test_cells_whose_worker_was_lost_run_again(planned):
    (first, *_) = add(planned(), "crashed", lost=True)
    assert first in planned().todo


def test_selection_narrows_what_runs_and_not_the_scope(planned):
    plan = planned(only=("seed=1", "slope=2.0"))
    assert [(c.method, c.seed) for c in plan.todo] == [("plain", 1), ("lifted", 1)]
    assert len(plan.scope) == 13
    assert plan.run.selected == plan.cells == plan.todo


def test_seeds_of_the_request_or_of_the_call_replace_those_of_the_suite(planned):
    assert {c.seed for c in planned(seeds=None).scope} == {0, 1, 2}
    assert {c.seed for c in planned(seeds=5).scope} == set(range(5))
    plan = make_plan(Request(suite=planned().request.suite, seeds=2), planned().registry, 4)
    assert {c.seed for c in plan.scope} == set(range(4))


def test_estimate_is_that_of_the_cells_to_run_divided_by_the_jobs(planned):
    assert planned().estimate(1) is None
    add(planned(), "done", "done", seconds=6.0)
    plan = planned()
    assert len(plan.todo) == 10
    assert plan.estimate(1) == pytest.approx(60.0)
    assert plan.estimate(4) == pytest.approx(15.0)


@pytest.mark.parametrize(("requested", "workers"), [(1, 1), (3, 3), (8, 3)])
def test_suite_limits_the_workers(planned, requested, workers):
    assert planned(jobs=requested).worker_count == workers


def test_more_seeds_are_planned_for_undecided_settings_alone(planned):
    plan = planned(only=("slope=1.0",))
    cells = add(plan, *["done"] * 3)
    undecided = {c.id for c in plan.scope if c.method == "lifted" and c.options.get("slope") == 1.0}
    ran = [next(c.id for c in plan.todo if c.method == "lifted" and c.seed == 0)]
    more = with_more_seeds(plan, 5, undecided, ran)
    lifted = [(c.method, c.seed) for c in more.cells if c.method == "lifted"]
    assert lifted == [("lifted", seed) for seed in range(5)]
    assert [c for c in more.cells if c.method == "plain"] == cells[:3], "what has a record stays"
    assert [c.seed for c in more.todo] == [1, 2, 3, 4], "a cell that ran does not run once more"


def test_watchers_see_the_plan(planned):
    add(planned(), "done")
    plan = planned()
    run = plan.run
    assert (run.suite, run.title, run.results) == ("plans", "Plans", plan.results)
    assert (run.cells, run.selected, run.todo) == (plan.scope, plan.cells, plan.todo)
    assert run.records == plan.records
    assert len(run.records) == 1
    assert list(run.tasks) == ["toy/total", "toy/absent"]
    assert list(run.datasets) == ["nowhere"]
    assert run.claims == ()


def test_plan_knows_how_far_it_read_the_records_and_what_was_wrong_in_them(planned):
    add(planned(), "done")
    path = planned().results / "records.jsonl"
    with path.open("ab") as stream:
        stream.write(b"damaged\n")
    plan = planned()
    assert plan.read_to == path.stat().st_size
    assert "1 damaged line(s)" in plan.warnings[0]


def test_suite_without_cells_is_refused(planned):
    with pytest.raises(UsageError, match=r"plans\.toml: the suite has no cells"):
        planned(devices=())
