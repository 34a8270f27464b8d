"""Verdicts without chance: deterministic metrics, identities, counts of violations."""

from dataclasses import replace

import pytest
from toy_plan import OTHER, TASK, TASKS, cell, claim, cross, judged, measured, planned_verdict, record, verdict

from harness.files.suite import LOOKS
from harness.judge import judge


def test_one_seed_decides_a_claim_without_chance():
    result = judged([0.5], "sure", kind="greater")
    assert (result.verdict, result.estimate, result.low, result.p, result.deterministic) == (
        "reproduced",
        0.5,
        None,
        None,
        True,
    )
    assert (result.level, result.covers, result.family, result.p_holm) == ("", "", 0, None)
    assert judged([-0.5], "sure", kind="greater").verdict == "contradicted"
    assert judged([0.0], "sure", kind="greater").verdict == "contradicted"


@pytest.mark.parametrize(("fidelity", "sure"), [("identity", True), ("recomputed", True), ("exact", False)])
def test_statement_on_every_draw_is_decided_by_every_single_value(fidelity, sure):
    """A claim of an identity or of printed numbers has no interval, though its metric depends on the seed."""
    result = planned_verdict([0.5, 0.1, 7.0], fidelity=fidelity)
    assert (result.verdict, result.deterministic) == ("reproduced" if sure else "inconclusive", sure)
    assert result.estimate == (pytest.approx(0.1) if sure else pytest.approx(7.6 / 3)), "the worst value of all"
    broken = planned_verdict([0.5, -0.1, 7.0], fidelity=fidelity)
    assert (broken.verdict, broken.estimate < 0) == ("contradicted" if sure else "inconclusive", sure)


def test_metric_that_is_deterministic_on_one_of_two_tasks_alone_has_an_interval():
    sometimes = replace(OTHER, metrics={**OTHER.metrics, "sure": OTHER.metrics["score"]})
    cells = cross("ab", 3, task=[TASK.name, OTHER.name])
    records = measured(cells, lambda c: float(c.method == "a") + 0.1 * c.seed, "sure")
    of = claim(kind="greater", than="b", metric="sure", task=[TASK.name, OTHER.name])
    (sure,) = judge({of.id: of}, cells, records, TASKS)
    (unsure,) = judge({of.id: of}, cells, records, {**TASKS, OTHER.name: sometimes})
    assert (sure.deterministic, sure.verdict) == (True, "reproduced")
    assert (unsure.deterministic, unsure.verdict) == (False, "inconclusive")


def holds_verdict(counts, **test):
    """The verdict on a claim that holds where no cell has violations, with these counts by method and seed."""
    cells = [cell(method, seed) for method, by_seed in counts.items() for seed in range(len(by_seed))]
    records = measured(cells, lambda c: counts[c.method][c.seed], "violations")
    return verdict(claim(**{"kind": "holds", "metric": "violations", **test}), cells, records)


def test_no_violation_among_seeds_of_chance_is_inconclusive():
    """Zero of n is no proof of zero: with 95 % certainty at most a share of 1 - .05^(1/n)."""
    cells = cross("ab", 5)
    of = claim(kind="holds", metric="diagnostic", method=["a", "b"])
    result = verdict(of, cells, measured(cells, lambda _: 0.0, "diagnostic"), LOOKS)
    assert (result.verdict, result.n, result.deterministic) == ("inconclusive", 5, False)
    assert result.cause == "no violation in 10 cells, which leaves room for 45 % of seeds with one"
    worse = verdict(of, cells, measured(cells, lambda c: float(c.seed == 4), "diagnostic"), LOOKS)
    assert worse.verdict == "contradicted"


def test_claim_without_violations_is_reproduced():
    result = holds_verdict({"a": [0.0], "b": [0.0], "c": [7.0]}, method=["a", "b"])
    assert (result.verdict, result.n, result.values, result.deterministic) == ("reproduced", 1, (0.0, 0.0), True)


def test_single_violation_contradicts_and_is_named():
    result = holds_verdict({"a": [0.0, 3.0], "b": [5.0, 0.0]}, method=["a", "b"])
    assert (result.verdict, result.estimate) == ("contradicted", 5.0)
    first = "a on toy/fit cpu float32 seed=1 with 3"
    assert result.cause == f"2 of 4 cells have violations; first: {first}"


def test_claim_without_violations_on_a_method_without_cells_is_not_run():
    result = holds_verdict({"a": [0.0]}, method=["a", "d"])
    assert (result.verdict, result.cause) == (
        "not-run",
        "the suite has no cell for it: needs method d on task toy/fit",
    )


def test_claim_without_violations_with_a_failed_cell_is_not_run():
    cells = cross("a", 2)
    records = measured(cells[:1], lambda _: 0.0, "violations")
    records[cells[1].id] = record(cells[1], "crashed", "killed")
    result = verdict(claim(kind="holds", metric="violations"), cells, records)
    assert (result.verdict, result.cause.split(";")[0]) == ("not-run", "1 of 2 cells have no good record")


def test_claim_without_violations_counts_only_cells_of_its_restriction():
    cells = cross("a", 1, dtype=["float32", "float64"])
    records = measured(cells, lambda c: float(c.dtype == "float32"), "violations")
    exact = claim(kind="holds", metric="violations", where={"dtype": "float64"})
    assert verdict(exact, cells, records).verdict == "reproduced"
