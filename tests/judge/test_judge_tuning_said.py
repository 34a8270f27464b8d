"""What is said of studies: how both sides were tuned, optima at the edge, and what a claim on them can show."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
from tuned_plans import GRID, RATES, SEEDS, alike, judged, plan_of, record

from harness.judge import answers_of, planned, power_of
from harness.judge.power import smallest_shown, upper_sd


def test_the_answer_says_how_both_were_tuned_and_what_the_search_cost(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)
    numbers = alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6))

    def timed(cell):
        valid, test = numbers(cell)
        seconds = 2.0 if cell.options["rate"] == 0.01 else 10.0
        return record(cell, valid_accuracy=valid, accuracy=test, seconds=seconds)

    (answer,) = answers_of(judged(plan, timed))
    assert answer.tuned == (
        "both tuned alike: rate over 4 values, chosen by valid_accuracy, 4 trials each; "
        "new is better at 1 of the 4 values of rate tried"
    )
    assert "new takes 0.20 times as long as old (2 s against 10 s a cell)" in answer.cost
    assert answer.cost.endswith("all trials of a study take 32 s against 32 s")


def test_at_every_rate_is_said_only_where_it_is_so(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)

    def ending(new, old):
        return answers_of(judged(plan, alike(new, old)))[0].tuned.rpartition("; ")[2]

    assert ending((0.6, 0.9, 0.8, 0.7), (0.5, 0.7, 0.7, 0.6)) == "at every rate tried new is better"
    assert ending((0.6, 0.9, 0.6, 0.5), (0.5, 0.7, 0.7, 0.6)) == "new is better at 2 of the 4 values of rate tried"
    assert ending((0.1, 0.1, 0.1, 0.1), (0.5, 0.7, 0.7, 0.6)) == "new is better at none of the 4 values of rate tried"


@pytest.mark.parametrize(
    ("best", "text"),
    [
        ([1.0] * 4 + [0.1], "4 of 5 studies chose rate=1.0, the largest tried"),
        ([0.001] * 3 + [0.1] * 2, "3 of 5 studies chose rate=0.001, the smallest tried"),
        ([0.1] * 3 + [1.0] * 2, None),
    ],
)
def test_an_optimum_at_the_edge_of_the_grid_is_named(tmp_path, best, text):
    plan = plan_of(tmp_path, SEEDS + GRID, methods='["new"]', claims="")
    result = judged(plan, lambda cell: (float(cell.options["rate"] == best[cell.seed]), 0.5))
    assert [said for _, said in result.edges] == ([f"new on tuned/fit: {text}"] if text else [])


def test_the_edge_is_that_of_the_numbers_and_not_of_the_list(tmp_path):
    grid = 'tune = { by = "valid_accuracy", rate = [1.0, 0.001, 0.1] }'
    plan = plan_of(tmp_path, SEEDS + grid, methods='["new"]', claims="")
    result = judged(plan, lambda cell: (float(cell.options["rate"] == 0.1), 0.5))
    assert not result.edges
    result = judged(plan, lambda cell: (float(cell.options["rate"] == 0.001), 0.5))
    assert len(result.edges) == 1


@pytest.mark.parametrize(
    "values", ["rate = [0.1, 1.0]", 'kind = ["a", "b", "c"]', "trials = 3, rate = { low = 0.1, high = 1 }"]
)
def test_two_values_words_and_random_draws_have_no_edge(tmp_path, values):
    plan = plan_of(tmp_path, f'{SEEDS}tune = {{ by = "valid_accuracy", {values} }}', methods='["new"]', claims="")
    assert not judged(plan, lambda cell: (1.0 if cell.options["kind"] == "c" else cell.options["rate"], 0.5)).edges


def test_settings_stand_in_the_warning(tmp_path):
    plan = plan_of(tmp_path, SEEDS + "options = { steps = [5, 6] }\n" + GRID, methods='["new"]', claims="")
    result = judged(
        plan, lambda c: (c.options["rate"] if c.options["steps"] == 6 else -abs(c.options["rate"] - 0.1), 0.5)
    )
    assert [text for _, text in result.edges] == [
        "new on tuned/fit, steps=6: 5 of 5 studies chose rate=1.0, the largest tried"
    ]


def test_a_wider_grid_after_the_first_record_is_a_changed_test(tmp_path):
    from harness.records.seals import seal

    plan = plan_of(tmp_path, SEEDS + GRID)
    plan.results.mkdir()
    seals = seal(plan.results, plan.suite, "2026-01-01T00:00:00+00:00")
    numbers = lambda c: replace(record(c, valid_accuracy=0.5, accuracy=0.5), finished="2026-01-02T00:00:00+00:00")  # noqa: E731
    assert judged(replace(plan, seals=seals), numbers).verdicts[0].changed == ""
    wider = plan_of(tmp_path, SEEDS + GRID.replace("1.0", "1.0, 10.0"))
    later = seal(plan.results, wider.suite, "2026-01-03T00:00:00+00:00")
    assert judged(replace(wider, seals=later), numbers).verdicts[0].changed == "test changed after 50 records"


@pytest.mark.parametrize("methods", [("new", "old"), ("old",)])
def test_power_of_a_tuned_claim_is_by_what_the_chosen_trials_scored(tmp_path, methods):
    """Each seed chooses its own rate, so that the spread is another one than at any single rate."""
    plan = plan_of(tmp_path, SEEDS + GRID)

    def numbers(cell):
        chosen = cell.options["rate"] == RATES[cell.seed % 4]
        return (0.9, 0.5 + 0.01 * cell.seed**2 * (2 if cell.method == "new" else 1)) if chosen else (0.5, 0.1)

    result = judged(plan, numbers)
    pilot = {i: replace(r, code="other", id=f"{n:020x}") for n, (i, r) in enumerate(result.records.items())}
    pilot = {r.id: r for r in pilot.values() if r.method in methods}
    (power,) = power_of(plan, pilot)
    of_baseline = [0.01 * seed**2 for seed in range(5)]
    factor = 1.0 if len(methods) == 2 else math.sqrt(2)
    expected = smallest_shown([factor * upper_sd(statistics.stdev(of_baseline), 5)], planned((5, 10, 20, 40))[:1])
    assert power.source == ("pairs of 5 seeds" if len(methods) == 2 else "5 seeds of old alone")
    assert power.alone == pytest.approx(expected, rel=0.02)
