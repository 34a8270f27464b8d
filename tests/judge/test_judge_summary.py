"""Summaries over seeds."""

import json
from dataclasses import asdict

import pytest
from scipy import stats
from toy_plan import cell, cross, record

from harness.judge import Summary, summarise


def only_summary(cells, records) -> Summary:
    (summary,) = summarise(cells, {r.id: r for r in records})
    return summary


def test_mean_over_seeds_has_students_interval():
    cells = cross("a", 4, size=[8])
    scores = [1.0, 2.0, 4.0, 3.5]
    records = [record(c, score=scores[c.seed], error=0.5, seconds=2.0**c.seed, peak_bytes=10**c.seed) for c in cells]
    summary = only_summary(cells, records)
    low, high = stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    estimate = summary.estimates["score"]
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((2.625, low, high))
    assert (estimate.n, estimate.sd) == (4, pytest.approx(stats.tstd(scores)))
    assert summary.estimates["error"].low == summary.estimates["error"].high == 0.5
    assert (summary.n, summary.seconds, summary.peak_bytes, summary.failures, summary.cause) == (4, 3.0, 55, 0, "")
    assert (summary.suite, summary.method, summary.task, summary.options) == ("toy", "a", "toy/fit", {"size": 8})


def test_cells_that_differ_in_more_than_the_seed_have_own_summaries_in_plan_order():
    cells = cross("ba", 2, size=[8, 4], dtype=["float32", "float64"])
    summaries = summarise(cells, {})
    assert [(s.method, s.options["size"], s.dtype) for s in summaries] == [
        (m, n, d) for m in "ba" for n in (8, 4) for d in ("float32", "float64")
    ]
    assert all(s.n == 0 and s.seconds is None and s.peak_bytes is None and not s.estimates for s in summaries)


def test_interleaved_seeds_have_one_summary():
    cells = [cell(m, s) for s in range(3) for m in "ab"]
    assert [s.method for s in summarise(cells, {})] == ["a", "b"]


def test_single_seed_has_a_mean_and_no_interval():
    of = cell("a")
    estimate = only_summary([of], [record(of, score=2.0)]).estimates["score"]
    assert (estimate.mean, estimate.low, estimate.high, estimate.sd, estimate.n) == (2.0, None, None, None, 1)


def test_two_seeds_have_an_interval():
    cells = cross("a", 2)
    estimate = only_summary(cells, [record(c, score=1.0 + 2 * c.seed) for c in cells]).estimates["score"]
    low, high = stats.ttest_1samp([1.0, 3.0], 0).confidence_interval(0.9)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_failures_and_skipped_cells_are_counted_and_do_not_change_the_numbers():
    cells = cross("a", 5)
    records = [
        record(cells[0], score=1.0, seconds=1.0),
        record(cells[1], "skipped", "no data"),
        record(cells[2], "failed", "ValueError: no", seconds=99.0, peak_bytes=99),
        record(cells[3], "timeout", "timed out after 10 s"),
    ]
    summary = only_summary(cells, records)
    assert (summary.n, summary.failures, summary.skipped, summary.cause) == (1, 2, 1, "no data")
    assert (summary.seconds, summary.peak_bytes) == (1.0, None)


def test_summary_is_plain_json():
    cells = cross("a", 3)
    plain = asdict(only_summary(cells, [record(c, score=float(c.seed)) for c in cells]))
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
