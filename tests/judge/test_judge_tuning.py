"""Studies: validation chooses, test scores, under each seed anew; and what is open or failed is neither passed over."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tuned_plans import (
    GRID,
    JITTER,
    PLUGIN,
    RATES,
    SEEDS,
    alike,
    curve,
    jitter,
    judged,
    measured,
    plan_of,
    record,
    scores,
    suite_text,
)

from harness.judge import answers_of, check_claims, judge_plan
from harness.judge.result import undecided_cells
from harness.planning.plan import with_more_seeds


def test_the_best_on_validation_is_scored_on_test(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)
    # On validation the third rate is best, on test the second, for both.
    both = [(0.5, 0.6), (0.6, 0.9), (0.8, 0.7), (0.7, 0.5)]
    result = judged(plan, curve({"new": both, "old": both}))
    for method in ("new", "old"):
        own = scores(result, method)
        assert own == {s: pytest.approx(0.7 + j * (1 if method == "new" else -1)) for s, j in enumerate(JITTER)}
    (search, _) = result.searches
    assert (search.counts, search.ended, search.failed, search.recorded) == ((0, 0, 5, 0), 5, 0, 20)


@pytest.mark.parametrize("by", ["valid_accuracy", "valid_error"])
def test_no_number_of_the_test_has_a_part_in_the_choice(tmp_path, by):
    """Whatever the test metrics are, in every trial, the same trials are chosen."""
    plan = plan_of(tmp_path, SEEDS + GRID.replace("valid_accuracy", by))
    good = {0.001: 0.5, 0.01: 0.9, 0.1: 0.7, 1.0: 0.6}
    for test in (lambda rate: rate, lambda rate: -rate, lambda _: 0.0):

        def numbers(cell, test=test):
            rate = cell.options["rate"]
            value = good[rate] if by == "valid_accuracy" else 1 - good[rate]
            return record(cell, accuracy=test(rate), **{by: value})

        result = judged(plan, numbers)
        assert all(study.chosen(result.records)[0] == {"rate": 0.01} for study in result.studies)


def test_each_seed_chooses_for_itself(tmp_path):
    """The mean over seeds prefers one rate; seeds that prefer another one choose that one."""
    plan = plan_of(tmp_path, SEEDS + GRID)
    best = {0: 0.001, 1: 0.1, 2: 0.1, 3: 0.1, 4: 1.0}

    def numbers(cell):
        rate = cell.options["rate"]
        return (0.9 if rate == best[cell.seed] else 0.5), rate

    result = judged(plan, numbers)
    assert scores(result, "new") == best
    assert result.searches[0].counts == (1, 0, 3, 1)


def test_the_earliest_of_trials_that_are_alike_is_chosen(tmp_path):
    plan = plan_of(tmp_path, SEEDS + 'tune = { by = "valid_accuracy", rate = [1.0, 0.01, 0.1] }')
    result = judged(plan, lambda cell: (0.9 if cell.options["rate"] > 0.01 else 0.5, cell.options["rate"]))
    assert set(scores(result, "new").values()) == {1.0}


def test_a_study_is_one_cell_with_one_record_that_is_written_nowhere(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)
    result = judged(plan, alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.9, 0.6)))
    assert len(result.cells) == 10
    assert len({cell.id for cell in result.cells} - result.records.keys()) == 10
    assert result.records.keys() == {cell.id for cell in plan.scope} == {cell.id for cell in result.scope}
    for cell in result.cells:
        assert (cell.tuned, "rate" in cell.options) == (("rate",), False)
        outcome = result.outcomes[cell.id]
        assert (outcome.id, dict(outcome.options), outcome.seed) == (cell.id, dict(cell.options), cell.seed)
    assert [s.n for s in result.summaries] == [5, 5]
    assert all(record.options["rate"] in (0.01, 0.1) for record in result.measured)


def test_studies_of_other_trials_are_other_cells(tmp_path):
    first, second = (plan_of(tmp_path, SEEDS + GRID.replace("1.0", rate)) for rate in ("1.0", "2.0"))
    ids = [{c.id for c in judged(p, lambda _: (0.5, 0.5)).cells} for p in (first, second)]
    assert not ids[0] & ids[1]


def test_claims_on_studies_are_judged_like_any_other(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)
    (verdict,) = judged(plan, alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6))).verdicts
    assert (verdict.verdict, verdict.n, verdict.settings) == ("reproduced", 5, 1)
    assert verdict.estimate == pytest.approx(0.1, abs=1e-3)
    assert (verdict.a, verdict.b) == (pytest.approx(0.9), pytest.approx(0.8))


def test_settings_that_are_not_tuned_stay_settings(tmp_path):
    plan = plan_of(tmp_path, SEEDS + "options = { steps = [5, 6] }\n" + GRID)
    (verdict,) = judged(plan, lambda cell: (0.5, 0.5 + jitter(cell) + (cell.method == "new"))).verdicts
    assert verdict.averaged == ("steps=5", "steps=6")


# What failed, and what is missing ----------------------------------------------------------------------------


def test_a_failed_trial_is_not_chosen_and_is_counted(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)

    def numbers(cell):
        if cell.options["rate"] == 1.0 and cell.method == "new":
            # What it had measured before it failed would be the best.
            return record(cell, "failed", "the loss is nan", valid_accuracy=1.0, accuracy=1.0)
        return alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6))(cell)

    result = judged(plan, numbers)
    assert result.verdicts[0].verdict == "reproduced"
    assert scores(result, "new")[0] == 0.9
    assert [search.failed for search in result.searches] == [5, 0]
    assert "5 of 20 trials of new failed and could not be chosen" in answers_of(result)[0].tuned


def test_a_study_whose_trials_all_failed_has_failed(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)

    def numbers(cell):
        if cell.method == "old" and cell.seed == 2:
            return record(cell, "failed", f"the loss is nan at {cell.options['rate']}")
        return 0.5, 0.5

    result = judged(plan, numbers)
    (verdict,) = result.verdicts
    assert verdict.verdict == "not-run"
    assert "old on tuned/fit seed=2" in verdict.cause
    assert "failed: all 4 trials failed; first rate=0.001: the loss is nan at 0.001" in verdict.cause
    (failed,) = [r for r in result.outcomes.values() if r.cause and r.cause.startswith("all")]
    assert (failed.status, failed.metrics) == ("failed", {})


@pytest.mark.parametrize("status", ["crashed", "timeout"])
def test_a_study_has_not_ended_while_a_trial_has_no_result(tmp_path, status):
    plan = plan_of(tmp_path, SEEDS + GRID)

    def numbers(cell):
        if (cell.method, cell.seed, cell.options["rate"]) == ("old", 2, 0.001):
            return record(cell, status, "it took too long")
        return alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6))(cell)

    (verdict,) = judged(plan, numbers).verdicts
    assert verdict.verdict == "not-run"
    assert f"{status}: trial rate=0.001: it took too long" in verdict.cause


def test_a_lost_trial_is_open_although_it_has_a_record(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID)

    def numbers(cell):
        if (cell.method, cell.seed, cell.options["rate"]) == ("old", 2, 0.001):
            return replace(record(cell, "failed", "its device is gone"), lost=True)
        return 0.5, 0.5 + jitter(cell)

    assert judged(plan, numbers).verdicts[0].verdict == "not-run"


def test_a_missing_trial_leaves_its_seed_out_and_the_others_count(tmp_path):
    """As with any cell that has not run: the seed says nothing yet, even if the best trial is there."""
    plan = plan_of(tmp_path, "seeds = 6\n" + GRID)
    numbers = alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6))
    gone = ("new", 5, 0.001)
    result = judged(plan, lambda c: None if (c.method, c.seed, c.options["rate"]) == gone else numbers(c))
    assert sorted(scores(result, "new")) == [0, 1, 2, 3, 4]
    assert (result.verdicts[0].verdict, result.verdicts[0].n) == ("reproduced", 5)
    gone = ("new", 4, 0.001)
    few = plan_of(tmp_path, SEEDS + GRID)
    result = judged(few, lambda c: None if (c.method, c.seed, c.options["rate"]) == gone else numbers(c))
    assert (result.verdicts[0].verdict, result.verdicts[0].n) == ("inconclusive", 4)
    nothing = judged(few, lambda c: None if c.options["rate"] == 0.001 else numbers(c))
    assert nothing.verdicts[0].verdict == "not-run"


def test_the_same_trials_are_judged_for_every_method(tmp_path):
    """A trial that only one method has is no trial: the blocks of a setting tune alike, and untuned cells stay out."""
    plan = plan_of(tmp_path, SEEDS + GRID, SEEDS + 'options = { rate = 3.0 }\nmethods = ["new"]')
    best_there = lambda cell: (1.0, 1.0) if cell.options["rate"] == 3.0 else (0.5, 0.5 + jitter(cell))  # noqa: E731
    result = judged(plan, best_there)
    assert {len(study.trials) for study in result.studies} == {4}
    assert max(scores(result, "new").values()) == 1.0, "the untuned cell is shown"
    assert result.verdicts[0].a == pytest.approx(0.5), "and has no part in a claim on tuned methods"


# Beside cells that are not tuned -----------------------------------------------------------------------------


def test_claims_at_one_rate_are_on_the_untuned_cells_and_all_others_on_the_studies(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID, SEEDS + "options = { rate = 0.01 }", claims="tuned/*new*")
    both = plan_of(tmp_path, SEEDS + GRID, SEEDS + "options = { rate = 0.01 }", claims="tuned/at-one-rate")
    numbers = alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.9, 0.6))
    (at_one_rate,) = judged(check_claims(both), numbers).verdicts
    assert (at_one_rate.verdict, at_one_rate.estimate) == ("reproduced", pytest.approx(0.2, abs=1e-3))
    (tuned,) = judged(plan, numbers).verdicts
    assert (tuned.verdict, tuned.estimate) == ("inconclusive", pytest.approx(0, abs=1e-3))


def test_a_tuned_method_is_compared_with_one_that_has_nothing_to_tune(tmp_path):
    plan = plan_of(
        tmp_path,
        SEEDS + GRID + '\nmethods = ["new"]',
        SEEDS + 'methods = ["fixed"]',
        claims="tuned/better-than-fixed",
    )
    result = judged(check_claims(plan), lambda c: (c.options["rate"] == 0.1, 0.5 + jitter(c) + (c.method == "new")))
    (answer,) = answers_of(result)
    assert answer.word == "shown"
    assert answer.tuned.startswith(
        "new was tuned: rate over 4 values, chosen by valid_accuracy, 4 trials; fixed was not"
    )


def test_a_tuned_method_is_compared_with_untuned_cells_that_the_claim_names(tmp_path):
    numbers = alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.9, 0.6))
    blocks = (SEEDS + GRID, SEEDS + "options = { rate = [0.01, 1.0] }")
    for claim, difference, text in (
        (
            "than-old-at-one-rate",
            0.2,
            "new was tuned: rate over 4 values, chosen by valid_accuracy, 4 trials; old was not",
        ),
        ("tuning-helps", 0.3, "new was tuned: rate over 4 values, chosen by valid_accuracy, 4 trials"),
    ):
        result = judged(check_claims(plan_of(tmp_path, *blocks, claims=f"tuned/{claim}")), numbers)
        assert result.verdicts[0].estimate == pytest.approx(difference, abs=2e-3)
        assert answers_of(result)[0].tuned.startswith(text)


# More seeds --------------------------------------------------------------------------------------------------


def test_until_decided_asks_for_the_trials_of_open_claims(tmp_path):
    plan = plan_of(tmp_path, SEEDS + GRID, SEEDS + 'options = { rate = 5.0 }\nmethods = ["fixed"]')
    result = judged(plan, lambda cell: (0.5, 0.5 + jitter(cell)))
    assert result.verdicts[0].verdict == "inconclusive"
    tuned = {cell.id for cell in plan.scope if cell.method != "fixed"}
    assert undecided_cells(result) == tuned
    more = with_more_seeds(replace(plan, records=result.records), 10, tuned, ran=tuned)
    assert {(c.method, c.seed, c.options["rate"]) for c in more.cells if c.seed == 9} == {
        (method, 9, rate) for method in ("new", "old") for rate in RATES
    }


def test_seeds_of_an_earlier_longer_run_count(tmp_path):
    long = plan_of(tmp_path, "seeds = 10\n" + GRID)
    records = measured(long, alike((0.5, 0.9, 0.7, 0.6), (0.5, 0.7, 0.8, 0.6)))
    plan = replace(plan_of(tmp_path, SEEDS + GRID), records=records)
    result = judge_plan(plan, records)
    assert sorted(scores(result, "new")) == list(range(10))
    assert len(result.scope) == len(long.scope)
    assert result.records_behind(cell.id for cell in result.cells) == records


# Through the command line ------------------------------------------------------------------------------------


def run(harness_cli, name, *blocks, more=(), **of_suite):
    suite = harness_cli.write(name, suite_text(*blocks, **of_suite))
    return harness_cli("-p", str(PLUGIN), "suite", suite, "--json", *more).document


def test_a_baseline_at_a_bad_rate_is_beaten_and_a_tuned_one_is_not(harness_cli):
    """The strawman: reproduced at the rate that suits the method, not shown once both are tuned."""
    at_one = run(harness_cli, "one.toml", SEEDS + "options = { rate = 0.01 }")
    assert [v["verdict"] for v in at_one["verdicts"]] == ["reproduced"]
    tuned = run(harness_cli, "tuned.toml", SEEDS + GRID)
    assert tuned["cells"] == {**tuned["cells"], "planned": 40, "run": 30}, "the cells at 0.01 have a record"
    (verdict,), (answer,) = tuned["verdicts"], tuned["answers"]
    assert (verdict["verdict"], answer["word"]) == ("inconclusive", "not shown")
    assert "new is better at 2 of the 4 values of rate tried" in answer["tuned"]
    assert [search["trials"] for search in tuned["tuning"]] == [
        [{"options": {"rate": rate}, "chosen": 5 * (rate == best)} for rate in RATES] for best in (0.01, 0.1)
    ]
    table = harness_cli("-p", str(PLUGIN), "suite", str(harness_cli.folder / "tuned.toml"), "--tables").out
    assert "new: valid_accuracy chose rate=0.01 (5 of 5)" in table
    assert "old: valid_accuracy chose rate=0.1 (5 of 5)" in table
    assert len(re.findall(r"^ (?:new|old) .* 5 *$", table, flags=re.MULTILINE)) == 2, "a row for each method"
    again = run(harness_cli, "tuned.toml", SEEDS + GRID)
    assert again["cells"]["run"] == 0
    assert again["verdicts"] == tuned["verdicts"]
    assert len(harness_cli.records) == 40, "nothing that stands for a study is written"


def test_a_run_that_was_cut_goes_on_and_a_failed_trial_ends_it_with_1(harness_cli):
    grid = GRID.replace("1.0]", "1.0, 30.0]")
    part = run(harness_cli, "tuned.toml", SEEDS + grid, more=("--only", "rate=0.001,30"))
    assert part["verdicts"][0]["verdict"] == "not-run"
    suite = str(harness_cli.folder / "tuned.toml")
    ended = harness_cli("-p", str(PLUGIN), "suite", suite)
    assert ended.code == 1
    assert "30 cells run" in ended.out
    assert "5 of 25 trials of new failed and could not be chosen" in " ".join(ended.out.split())
    judged_again = harness_cli("-p", str(PLUGIN), "claims", suite, "--json").document
    assert [v["verdict"] for v in judged_again] == ["inconclusive"]


def test_validation_that_disagrees_with_the_test_still_chooses(harness_cli):
    document = run(harness_cli, "tuned.toml", SEEDS + "options = { disagrees = true }\n" + GRID)
    assert {search["method"]: search["edges"] for search in document["tuning"]} == {
        "new": ["new on tuned/fit: 5 of 5 studies chose rate=1.0, the largest tried"],
        "old": ["old on tuned/fit: 5 of 5 studies chose rate=0.001, the smallest tried"],
    }
    by_method = {s["method"]: s["estimates"]["accuracy"]["mean"] for s in document["summaries"]}
    assert by_method == {name: pytest.approx(0.8, abs=0.01) for name in ("new", "old")}
    shown = harness_cli("-p", str(PLUGIN), "claims", str(harness_cli.folder / "tuned.toml"))
    assert "edge of the grid: new on tuned/fit: 5 of 5 studies chose rate=1.0, the largest tried" in shown.err


def test_until_decided_runs_whole_studies(harness_cli):
    block = "seeds = 5\n" + 'tune = { by = "valid_accuracy", rate = [0.01, 0.1] }'
    document = run(harness_cli, "tuned.toml", block, more=("--until-decided",))
    (verdict,) = document["verdicts"]
    seeds = {(r["method"], r["options"]["rate"]): set() for r in harness_cli.records}
    for r in harness_cli.records:
        seeds[r["method"], r["options"]["rate"]].add(r["seed"])
    assert len(seeds) == 4
    assert len({frozenset(own) for own in seeds.values()}) == 1, "every trial has the same seeds"
    assert verdict["n"] in (5, 10, 20, 40)
    assert len(seeds["new", 0.01]) == (40 if verdict["verdict"] == "inconclusive" else verdict["n"])


def test_a_claim_on_studies_is_run_again_with_all_their_trials(harness_cli):
    assert harness_cli("-p", str(PLUGIN), "suite", "tuned-small").code == 0
    again = harness_cli("-p", str(PLUGIN), "rerun", "--claim", "tuned/new-is-better", "--json").document
    assert again["counts"] == {"bit-equal": 2 * 2 * 5}
    (verdict,) = again["verdicts"]
    assert verdict["before"] == verdict["after"]
