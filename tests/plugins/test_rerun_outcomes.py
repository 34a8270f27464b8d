"""What counts as the same result, how far off is tolerated, and what differs between two environments."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import stdev

import pytest
from report_results import REGISTRY, done, toy_cells, write_results

from harness.planning.plan import make_plan
from harness.planning.request import Request
from harness.running.execute import record_of
from harness_plugins.rerun.changes import environment_changes, is_possible_cause
from harness_plugins.rerun.outcome import EPSILON, Outcome, compare, same_bits, tolerances
from harness_plugins.rerun.second_runs import Planned, plan

CELL = toy_cells()[0]


def record(**metrics):
    return done(CELL, metrics=metrics)


def test_the_same_metrics_and_curves_are_bit_equal():
    assert compare(record(total=0.1), record(total=0.1), {}).word == "bit-equal"
    assert same_bits(record(total=0.1), record(total=0.1))
    as_read_from_json = replace(record(total=0.1), curves={"norm": [[s, v] for s, v in record().curves["norm"]]})
    assert compare(as_read_from_json, record(total=0.1), {}).word == "bit-equal"


def test_one_unit_in_the_last_place_is_not_bit_equal():
    off = record(total=math.nextafter(0.1, 1))
    assert compare(record(total=0.1), off, {"total": 1e-9}).word == "within tolerance"
    assert compare(record(total=0.1), off, {"total": 0.0}).word == "different"


def test_every_metric_has_to_be_within_its_own_tolerance():
    before, after = record(total=1.0, noise=1.0), record(total=1.1, noise=1.1)
    assert compare(before, after, {"total": 0.2, "noise": 0.2}).word == "within tolerance"
    outcome = compare(before, after, {"total": 0.2, "noise": 0.05})
    assert outcome.word == "different"
    assert {m.name: m.within for m in outcome.metrics} == {"total": True, "noise": False}


def test_what_a_clock_tells_is_not_expected_to_repeat():
    before = replace(record(total=1.0, seconds=1.0), curves={"seconds": [(0, 1.0)]})
    after = replace(record(total=1.0, seconds=9.0), curves={"seconds": [(0, 9.0)]})
    assert compare(before, after, {}).word == "different"
    assert compare(before, after, {}, timed={"seconds"}).word == "bit-equal"
    assert not same_bits(before, after)
    assert same_bits(before, after, {"seconds"})
    assert compare(before, replace(after, metrics={"total": 2.0, "seconds": 1.0}), {}, {"seconds"}).word == "different"


def test_another_curve_is_named_and_is_not_bit_equal():
    after = replace(record(total=0.1), curves={"norm": [(0, 1.0)], "new": [(0, 1.0)]})
    outcome = compare(record(total=0.1), after, {})
    assert (outcome.word, outcome.curves) == ("within tolerance", ["new", "norm"])


def test_another_end_or_another_cause_is_different():
    failed = record_of(CELL, "failed", "ValueError: a")
    assert compare(record(total=1.0), failed, {"total": 9.0}).word == "different"
    assert "status was done, is failed: ValueError: a" in compare(record(total=1.0), failed, {}).cause
    assert compare(failed, replace(failed), {}).word == "bit-equal"
    assert compare(failed, replace(failed, cause="ValueError: b"), {}).word == "different"
    assert compare(record(total=1.0), record(noise=1.0), {}).word == "different"


def test_a_cell_that_exceeds_a_limit_again_ends_alike_whatever_the_limit_was():
    timeout = record_of(CELL, "timeout", "timed out after 10 s")
    assert compare(timeout, replace(timeout, cause="timed out after 5 s"), {}).word == "bit-equal"
    flood = record_of(CELL, "crashed", "out of memory: its processes held 2.1 GB (limit 2 GB)")
    assert compare(flood, replace(flood, cause="out of memory: its processes held 2.2 GB (limit 2 GB)"), {}).word == (
        "bit-equal"
    )
    assert compare(flood, replace(flood, cause="exit code 3"), {}).word == "different"


def test_the_tolerance_is_half_of_the_digits_or_a_tenth_of_the_intervals_half_width():
    values = [3.0, 3.4, 3.1, 3.7, 3.3]
    records = [done(replace(CELL, seed=s), metrics={"total": v, "noise": 2.0}) for s, v in enumerate(values)]
    tolerance = tolerances(records[0], records)
    half = 2.131847 * stdev(values) / math.sqrt(5)  # t(0.95, 4), from a table
    assert tolerance["total"] == pytest.approx(half / 10, rel=1e-6)
    assert tolerance["noise"] == pytest.approx(2.0 * math.sqrt(2.0**-23)), "no spread, so rounding alone"
    wide = replace(records[0], dtype="float64")
    assert tolerances(wide, [wide])["noise"] == pytest.approx(2.0 * math.sqrt(2.0**-52))


def test_the_spacing_of_numbers_is_that_of_torch():
    import torch

    assert {name: torch.finfo(getattr(torch, name)).eps for name in EPSILON} == EPSILON


def test_seeds_of_another_setting_or_another_code_tell_no_spread():
    own = done(CELL, metrics={"total": 1.0})
    others = [
        done(replace(CELL, seed=1, options={**CELL.options, "slope": 2.0}), metrics={"total": 9.0}),
        done(replace(CELL, seed=2, code="other"), metrics={"total": 7.0}),
        done(replace(CELL, seed=3, dtype="float64"), metrics={"total": 5.0}),
    ]
    assert tolerances(own, [own, *others])["total"] == pytest.approx(math.sqrt(2.0**-23))


def test_environments_differ_by_name_and_what_cannot_be_a_cause_comes_last():
    before = {
        "machine": "a",
        "threads": 4,
        "torch": {"version": "2.6.0", "deterministic": True},
        "blas": [{"name": "mkl", "version": "1"}],
        "packages": {"torch": "2.6.0", "six": "1"},
    }
    after = {
        "machine": "b",
        "threads": 1,
        "torch": {"version": "2.6.0", "deterministic": False, "new": 1},
        "blas": [{"name": "mkl", "version": "2"}],
        "packages": {"torch": "2.6.0", "six": "2"},
    }
    changes = environment_changes(before, after)
    assert changes == [
        "threads: was 4, is 1",
        "torch.deterministic: was True, is False",
        "blas.mkl.version: was 1, is 2",
        "packages: six was 1, is 2",
        "machine: was a, is b",
    ]
    assert [is_possible_cause(change) for change in changes] == [True, True, True, True, False]
    assert environment_changes(before, before) == []
    assert environment_changes({}, after) == []
    assert environment_changes({"flags": ["a", "b"]}, {"flags": ["a", "c"]}) == ["flags.1: was b, is c"]


def test_the_explanation_says_what_is_known():
    outcome = Outcome(record=record(total=1.0), word="different")
    assert outcome.explanation == "no recorded entry of the environment differs"
    assert "not deterministic" in replace(outcome, repeatable=False).explanation
    assert "two runs here agree bit for bit" in replace(outcome, repeatable=True).explanation
    differs = ("threads: was 4, is 1", "machine: was a, is b")
    assert replace(outcome, differs=differs).explanation == "threads: was 4, is 1"


def test_a_record_whose_method_or_option_is_gone_cannot_run(tmp_path):
    (record, *_) = write_results(tmp_path, lambda cell: done(cell) if cell.seed == 0 else None)
    for change, message in (
        ({"method": "plane"}, "did you mean 'plain'"),
        ({"options": {**record.options, "gone": 1}}, "unknown option"),
        ({"device": "cuda"}, "torch"),
    ):
        (planned,) = plan([replace(record, **change)], tmp_path, REGISTRY)
        if planned.cell is None:
            assert message in planned.cause
        else:
            assert change == {"device": "cuda"}, "a machine with a GPU"
    (planned,) = plan([record], tmp_path, REGISTRY)
    assert isinstance(planned, Planned)
    assert planned.cell.id == record.id
    assert any(change.startswith("packages: ") for change in planned.changes)
    fewer = {k: v for k, v in record.options.items() if k != "lift"}
    (planned,) = plan([replace(record, options=fewer)], tmp_path, REGISTRY)
    assert "1 new option at the default: lift" in planned.changes


def test_a_file_that_an_option_names_is_part_of_the_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "scores.csv"
    table.write_text("system,A\nHuman,1\nX,2\n")
    block = 'task = "leaderboard/table"\nmethods = ["median"]\noptions = { table = "scores.csv" }\n'
    (tmp_path / "own.toml").write_text('title = "Own"\n[[cross]]\n' + block)
    (cell,) = make_plan(Request(suite="own.toml", results=tmp_path), REGISTRY).cells
    record = record_of(cell, "done", None, metrics={"human_rank": 2.0})
    (planned,) = plan([record], tmp_path, REGISTRY)
    assert planned.cell.id == record.id
    table.write_text("system,A\nHuman,3\nX,2\n")
    (planned,) = plan([record], tmp_path, REGISTRY)
    assert planned.cell.id != record.id
    assert planned.changes[0].startswith("file of the option table has changed since (digest was ")
    table.unlink()
    (planned,) = plan([record], tmp_path, REGISTRY)
    assert planned.cell is None
    assert "option table of leaderboard/table = 'scores.csv': there is no such file" in planned.cause
