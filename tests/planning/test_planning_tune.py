"""Tuning in suites: every method gets the same trials, and what would be unfair or meaningless is refused."""

from __future__ import annotations

import itertools
import math

import pytest
from tuned_plans import GRID, PLUGIN, plan_of, suite_text

from harness.errors import HarnessError
from harness.judge import check_claims
from harness.spec import Metric

SEEDS = "seeds = 2\n"


def rates(plan, method="new", seed=0, **options):
    return [
        cell.options["rate"]
        for cell in plan.scope
        if cell.method == method and cell.seed == seed and options.items() <= cell.options.items()
    ]


def test_every_method_gets_every_trial_in_every_setting_under_every_seed(tmp_path):
    plan = plan_of(tmp_path, SEEDS + "options = { steps = [5, 6] }\n" + GRID)
    assert len(plan.scope) == 4 * 2 * 2 * 2
    for method, seed, steps in itertools.product(("new", "old"), (0, 1), (5, 6)):
        assert rates(plan, method, seed, steps=steps) == [0.001, 0.01, 0.1, 1.0]
    assert [(t.setting.method, t.setting.options["steps"]) for t in plan.tunings] == [
        ("new", 5),
        ("new", 6),
        ("old", 5),
        ("old", 6),
    ]
    assert all("rate" not in tuning.setting.options for tuning in plan.tunings)


def test_options_of_a_grid_cross_and_the_last_changes_fastest(tmp_path):
    plan = plan_of(tmp_path, 'tune = { by = "valid_accuracy", steps = [2, 1], rate = [0.1, 0.01] }')
    (tuning, _) = plan.tunings
    assert [tuple(trial.values()) for trial in tuning.choices] == [(2, 0.1), (2, 0.01), (1, 0.1), (1, 0.01)]
    assert tuning.text == "steps over 2 values and rate over 2 values, chosen by valid_accuracy"
    assert (tuning.by, tuning.sign, tuning.grid) == ("valid_accuracy", 1, True)


def test_a_trial_is_the_cell_that_another_block_names(tmp_path):
    alone = plan_of(tmp_path, SEEDS + "options = { rate = [0.1, 3.0] }")
    both = plan_of(tmp_path, SEEDS + GRID, SEEDS + "options = { rate = [0.1, 3.0] }")
    assert {cell.id for cell in alone.scope} <= {cell.id for cell in both.scope}
    assert len(both.scope) == 2 * 2 * 5, "the rate 0.1 is a cell once"
    for tuning in both.tunings:
        assert [dict(tuning.trials[key]) for key in tuning.shared] == [{"rate": 0.1}]


RANDOM = 'tune = { by = "valid_accuracy", trials = 8, rate = { low = 1e-4, high = 10, log = true } }'


def test_random_search_draws_the_same_trials_for_every_method_seed_and_folder(tmp_path):
    plan = plan_of(tmp_path, SEEDS + RANDOM)
    drawn = rates(plan)
    assert len(set(drawn)) == 8
    assert all(1e-4 <= rate <= 10 for rate in drawn)
    assert all(rates(plan, m, s) == drawn for m in ("new", "old") for s in (0, 1))
    (tmp_path / "other").mkdir()
    again = plan_of(tmp_path / "other", "seeds = 5\n" + RANDOM.replace('by = "valid_accuracy"', 'by = "valid_error"'))
    assert rates(again, seed=4) == drawn
    assert plan.tunings[0].text == "rate by random search, chosen by valid_accuracy"


def test_more_draws_begin_with_the_same_ones(tmp_path):
    few, many = (rates(plan_of(tmp_path, RANDOM.replace("trials = 8", f"trials = {n}"))) for n in (8, 20))
    assert many[:8] == few
    assert len(set(many)) == 20


def test_random_search_has_as_many_values_in_each_decade_and_draws_from_lists_and_whole_numbers(tmp_path):
    plan = plan_of(tmp_path, RANDOM.replace("trials = 8", "trials = 400"))
    decades = [math.floor(math.log10(rate)) for rate in rates(plan)]
    assert all(60 <= decades.count(decade) <= 100 for decade in (-4, -3, -2, -1, 0))
    table = '{ by = "valid_accuracy", trials = 9, steps = { low = 1, high = 3 }, kind = ["a", "b", "c"] }'
    trials = plan_of(tmp_path, f"tune = {table}").tunings[0].choices
    assert sorted((t["steps"], t["kind"]) for t in trials) == [(s, k) for s in (1, 2, 3) for k in "abc"]


REFUSED = {
    "unknown option": (
        'by = "valid_accuracy", rats = [1, 2]',
        "cross[0].tune: unknown option 'rats'; did you mean 'rate'?",
    ),
    "no option": ('by = "valid_accuracy"', "cross[0].tune: it names no option to tune"),
    "no metric": ("rate = [1, 2]", "key 'cross[0].tune.by' is missing"),
    "unknown metric": (
        'by = "valid_acuracy", rate = [1, 2]',
        "cross[0].tune.by: unknown metric of tuned/fit 'valid_acuracy'; did you mean 'valid_accuracy'?",
    ),
    "metric of test": (
        'by = "accuracy", rate = [1, 2]',
        "cross[0].tune.by = 'accuracy': this metric of tuned/fit is not one of validation and cannot choose; "
        "those that can are valid_accuracy, valid_error",
    ),
    "no direction": ('by = "valid_count", rate = [1, 2]', "this metric of tuned/fit has no better direction"),
    "one value": (
        'by = "valid_accuracy", rate = [0.1]',
        "cross[0].tune.rate = [0.1]: one value is no choice; put it under",
    ),
    "no value": (
        'by = "valid_accuracy", rate = []',
        "cross[0].tune.rate = []: a list of at least 1 or a table is needed",
    ),
    "a number": ('by = "valid_accuracy", rate = 0.1', "cross[0].tune.rate = 0.1: a list or a table is needed"),
    "twice": ('by = "valid_accuracy", rate = [1, 0.1, 1.0]', "cross[0].tune.rate: 1 is there twice"),
    "0 twice": ('by = "valid_accuracy", rate = [0, 0.1, 0.0]', "cross[0].tune.rate: 0 is there twice"),
    "too large": (
        'by = "valid_accuracy", rate = [1, 1000]',
        "option rate of tuned/fit = 1000.0: at most 100 is allowed",
    ),
    "wrong type": ('by = "valid_accuracy", steps = [1, 2.5]', "option steps of tuned/fit = 2.5: a value of type int"),
    "option of one method": (
        'by = "valid_accuracy", own = [1, 2]',
        "cross[0].tune.own: new on tuned/fit has no such option, and every method of a block gets the same trials",
    ),
    "range without trials": (
        'by = "valid_accuracy", rate = { low = 0.1, high = 1 }',
        "cross[0].tune.rate: a range needs a number of draws, such as trials = 8",
    ),
    "range upside down": (
        'by = "valid_accuracy", trials = 4, rate = { low = 1, high = 0.1 }',
        "cross[0].tune.rate: low = 1 is not below high = 0.1",
    ),
    "logarithm of 0": (
        'by = "valid_accuracy", trials = 4, rate = { low = 0, high = 1, log = true }',
        "cross[0].tune.rate: low = 0: a logarithm needs a number above 0",
    ),
    "range of words": (
        'by = "valid_accuracy", trials = 4, kind = { low = 0, high = 1 }',
        "option kind of tuned/fit = 0: a value of type str is needed",
    ),
    "range beyond the option": (
        'by = "valid_accuracy", trials = 4, rate = { low = 1, high = 1000 }',
        "option rate of tuned/fit = 1000.0: at most 100 is allowed",
    ),
    "misspelt bound": (
        'by = "valid_accuracy", trials = 4, rate = { low = 1, hgh = 10 }',
        "unknown key 'cross[0].tune.rate.hgh'",
    ),
    "one trial": ('by = "valid_accuracy", trials = 1, rate = [1, 2]', "cross[0].tune.trials = 1: at least 2 is needed"),
    "as many draws as combinations": (
        'by = "valid_accuracy", trials = 2, rate = [1, 2]',
        "cross[0].tune.trials = 2: its lists have 2 combinations; without trials all of them are tried",
    ),
    "more draws than values": (
        'by = "valid_accuracy", trials = 5, steps = { low = 1, high = 3 }',
        "cross[0].tune.trials = 5: only 3 different combinations were drawn",
    ),
}


@pytest.mark.parametrize(("table", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_fair_choice_is_refused_in_one_sentence(tmp_path, table, message):
    with pytest.raises(HarnessError) as error:
        plan_of(tmp_path, f"tune = {{ {table} }}", methods='["new", "fixed"]')
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_option_is_fixed_or_tuned(tmp_path):
    with pytest.raises(HarnessError, match="rate stands under both options and tune"):
        plan_of(tmp_path, f"options = {{ rate = 0.1 }}\n{GRID}")


def test_a_task_without_a_metric_of_validation_cannot_be_tuned(tmp_path):
    with pytest.raises(HarnessError, match=r"unknown metric of tuned/blind 'valid_accuracy'"):
        plan_of(tmp_path, f'task = ["tuned/fit", "tuned/blind"]\n{GRID}')
    with pytest.raises(HarnessError, match=r"tuned/blind is not one of validation and cannot choose; it has no metric"):
        plan_of(tmp_path, f'task = "tuned/blind"\n{GRID}'.replace("valid_accuracy", "accuracy"))


def test_two_blocks_tune_one_setting_alike_or_not_at_all(tmp_path):
    plan = plan_of(tmp_path, f"seeds = [0]\n{GRID}", f"seeds = [1]\n{GRID}")
    assert len(plan.tunings) == 2
    other = GRID.replace("0.001, ", "")
    with pytest.raises(HarnessError, match=r"cross\[0\] and cross\[1\] tune new on tuned/fit in the same setting with"):
        plan_of(tmp_path, GRID, other)


def test_a_claim_on_the_metric_that_chose_is_refused(tmp_path):
    with pytest.raises(HarnessError) as error:
        check_claims(plan_of(tmp_path, GRID, claims="tuned/on-validation"))
    assert "claim tuned/on-validation: its test is on valid_accuracy, by which" in str(error.value)
    check_claims(plan_of(tmp_path, GRID.replace("valid_accuracy", "valid_error"), claims="tuned/on-validation"))
    check_claims(plan_of(tmp_path, "options = { rate = 0.1 }", claims="tuned/on-validation"))


def test_a_claim_at_one_rate_needs_untuned_cells_at_that_rate(tmp_path):
    with pytest.raises(HarnessError) as error:
        check_claims(plan_of(tmp_path, GRID, claims="tuned/at-one-rate"))
    assert "claim tuned/at-one-rate: where names rate, which the suite tunes for new" in str(error.value)
    check_claims(plan_of(tmp_path, GRID, "options = { rate = 0.01 }", claims="tuned/at-one-rate"))


def test_a_metric_is_of_validation_or_says_nothing():
    assert Metric(split="validation").split == "validation"
    with pytest.raises(HarnessError, match=r"Metric\(split='test'\): 'validation' or None is allowed"):
        Metric(split="test")  # type: ignore[arg-type]


def test_the_plan_says_what_tuning_costs(harness_cli):
    text = suite_text("seeds = 3\noptions = { steps = [5, 6] }\n" + GRID, claims="")
    suite = harness_cli.write("tuned.toml", text)
    ended = harness_cli("-p", str(PLUGIN), "suite", suite, "--plan")
    assert ended.code == 0, ended.err
    line = "tuning tuned/fit: rate over 4 values, chosen by valid_accuracy; 4 trials x 2 methods x 2 settings x 3 seeds"
    assert f"{line} = 48 cells" in ended.out
    (block,) = harness_cli("-p", str(PLUGIN), "suite", suite, "--plan", "--json").document["tuning"]
    assert {name: block[name] for name in ("trials", "methods", "settings", "seeds", "cells")} == {
        "trials": 4,
        "methods": ["new", "old"],
        "settings": 2,
        "seeds": 3,
        "cells": 48,
    }
