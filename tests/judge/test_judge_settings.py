"""Verdicts on several settings and on several tasks: averaged, or the weakest of them."""

from dataclasses import replace

import pytest
from scipy import stats
from toy_plan import CLEAR, NOISY, OTHER, TASK, claim, cross, measured, verdict

from harness.errors import UsageError
from harness.files.suite import LOOKS
from harness.judge import judge


def settings_of(per_setting, each, **test):
    """The verdict when a minus b has these differences by seed at each size."""
    cells = cross("ab", 3, size=list(per_setting))

    def value(c):
        return 10.0 + (per_setting[c.options["size"]][c.seed] if c.method == "a" else 0.0)

    records = measured(cells, value, test.get("metric", "score"))
    return verdict(claim(**{"kind": "greater", "than": "b", "each": each, **test}), cells, records)


def test_claim_over_several_settings_averages_them_for_each_seed():
    result = settings_of({8: [1.0, 2.0, 3.0], 32: [3.0, 2.0, 1.0]}, each=False)
    assert result.values == (2.0, 2.0, 2.0)
    assert (result.verdict, result.settings, result.weakest) == ("inconclusive", 2, ""), "no spread is no certainty"
    assert result.averaged == ("size=8", "size=32")
    result = settings_of({8: [1.0, 2.0, 3.0], 32: [3.1, 2.0, 1.0]}, each=False)
    assert (result.verdict, result.settings, result.weakest) == ("reproduced", 2, "")


@pytest.mark.parametrize("sizes", [(1.0, 1e16), (1e16, 1.0)])
def test_rounding_of_an_average_is_that_of_its_largest_numbers_in_any_setting(sizes):
    """Doubles near 1e16 are 2 apart: a lead of 2 there is one unit in the last place."""
    cells = cross("ab", 3, size=sizes)
    lead = [2.0, 0.0, 2.0]

    def value(c):
        size = c.options["size"]
        return size + (lead[c.seed] if size > 1 and c.method == "a" else 0.0)

    records = measured(cells, value)
    result = verdict(claim(kind="greater", than="b"), cells, records)
    assert (result.verdict, result.p, result.values) == ("inconclusive", None, (1.0, 0.0, 1.0))
    assert result.cause.startswith("all 3 seeds give the same")


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1e16), (1e16, 1.0, 1.0)])
def test_rounding_of_a_series_is_that_of_its_largest_number_under_any_seed(sizes):
    lead = [2.0 if size > 1 else 0.0 for size in sizes]
    cells = cross("ab", 3)
    records = measured(cells, lambda c: sizes[c.seed] + (lead[c.seed] if c.method == "a" else 0.0))
    result = verdict(claim(kind="greater", than="b"), cells, records)
    assert result.values == tuple(lead)
    assert result.cause.startswith("all 3 seeds give the same")


@pytest.mark.parametrize(
    ("per_setting", "word", "weakest"),
    [
        ({8: CLEAR, 32: [x + 1 for x in CLEAR]}, "reproduced", "size=8"),
        ({8: CLEAR, 32: NOISY}, "inconclusive", "size=32"),
        ({8: CLEAR, 32: [-x for x in CLEAR], 64: NOISY}, "contradicted", "size=32"),
        ({8: [0.5] * 3, 32: [0.25] * 3}, "inconclusive", "size=8"),
        ({8: CLEAR, 32: [0.25] * 3}, "inconclusive", "size=32"),
        ({8: [0.0] * 3, 32: [-x for x in CLEAR]}, "contradicted", "size=32"),
        ({8: [-x for x in CLEAR], 32: [0.5] * 3}, "contradicted", "size=8"),
    ],
)
def test_claim_on_each_setting_has_the_verdict_of_the_weakest(per_setting, word, weakest):
    result = settings_of(per_setting, each=True)
    assert (result.verdict, result.weakest, result.settings) == (word, weakest, len(per_setting))
    assert result.values == pytest.approx(per_setting[int(weakest.removeprefix("size="))])


def test_p_value_of_a_claim_on_each_setting_combines_those_of_the_settings():
    per_setting = {8: CLEAR, 32: [0.5, 0.9, 1.1], 64: [2.0, 2.1, 1.9]}
    largest = max(stats.ttest_1samp(d, 0, alternative="greater").pvalue for d in per_setting.values())
    assert settings_of(per_setting, each=True).p == pytest.approx(largest)
    against = {size: [-x for x in d] for size, d in per_setting.items()}
    smallest = min(stats.ttest_1samp(d, 0, alternative="less").pvalue for d in against.values())
    assert settings_of(against, each=True).p == pytest.approx(3 * smallest)
    low, high = stats.ttest_1samp(against[64], 0).confidence_interval(1 - 2 * 0.05 / 3)
    result = settings_of(against, each=True)
    assert (result.low, result.high, result.level) == (pytest.approx(low), pytest.approx(high), "96.7 %")


def test_without_chance_every_value_must_be_in_the_region():
    inside = settings_of({8: [1.0] * 3, 32: [0.5] * 3}, each=False, metric="sure")
    assert (inside.verdict, inside.estimate, inside.weakest) == ("reproduced", 0.5, "size=32")
    outside = settings_of({8: [9.0] * 3, 32: [0.5, -0.5, 0.5]}, each=False, metric="sure")
    assert (outside.verdict, outside.estimate, outside.weakest, outside.values) == (
        "contradicted",
        -0.5,
        "size=32",
        (0.5, -0.5, 0.5),
    )


# Several tasks ----------------------------------------------------------------------------------------------

BOTH = [TASK.name, OTHER.name]


def on_both(scores, seeds=5, **axes):
    """Cells of a and b on two tasks; a's lead by task (and size) and seed."""
    cells = cross("ab", seeds, task=BOTH, **axes)
    return cells, measured(cells, lambda c: 10.0 + (scores(c) if c.method == "a" else 0.0))


def test_claim_on_several_tasks_is_judged_by_their_average_seed_by_seed():
    cells, records = on_both(lambda c: (1.0 if c.task == TASK.name else 3.0) + 0.1 * c.seed)
    result = verdict(claim(kind="greater", than="b", by=1.5, task=BOTH), cells, records, LOOKS)
    assert result.values == pytest.approx([2.0, 2.1, 2.2, 2.3, 2.4])
    assert (result.verdict, result.settings, result.averaged) == ("reproduced", 2, ("task=toy/fit", "task=toy/other"))
    assert result.covers == "seeds", "the test set is fixed in one of them and redrawn in the other"


def test_each_task_has_the_same_weight_however_many_settings_it_has():
    fit, other = cross("ab", 3, task=[TASK.name], size=[1, 2, 3]), cross("ab", 3, task=[OTHER.name], size=[1])
    cells = [*fit, *other]
    records = measured(cells, lambda c: (c.method == "a") * (c.options["size"] if c.task == TASK.name else 10.0))
    result = verdict(claim(kind="greater", than="b", task=BOTH), cells, records)
    assert result.values == pytest.approx([(2.0 + 10.0) / 2] * 3)
    assert (result.a, result.b) == (pytest.approx(6.0), 0.0)


def test_claim_on_each_of_several_tasks_has_the_verdict_of_the_weakest():
    cells, records = on_both(lambda c: (1.0 if c.task == TASK.name else -1.0) * (1 + 0.1 * c.seed))
    result = verdict(claim(kind="greater", than="b", task=BOTH, each=True), cells, records, LOOKS)
    assert (result.verdict, result.weakest) == ("contradicted", "task=toy/other")


def test_missing_task_is_named_and_not_left_out_of_the_average():
    cells, records = on_both(lambda c: 1.0 + 0.1 * c.seed)
    of = claim(kind="greater", than="b", task=BOTH)
    fewer = [c for c in cells if (c.method, c.task) != ("b", OTHER.name)]
    result = verdict(of, fewer, records, LOOKS)
    cause = "the suite has no cell for it: needs method b on task toy/other"
    assert (result.verdict, result.cause) == ("not-run", cause)
    disjoint = [
        *cross("ab", 5, task=[TASK.name], size=[1]),
        *cross("a", 5, task=[OTHER.name], size=[1]),
        *cross("b", 5, task=[OTHER.name], size=[2]),
    ]
    result = verdict(of, disjoint, measured(disjoint, lambda _: 1.0), LOOKS)
    assert (result.verdict, result.cause) == ("not-run", "no setting of the task toy/other is shared by: a; b")
    unrun = {i: r for i, r in records.items() if r.task == TASK.name}
    assert verdict(of, cells, unrun, LOOKS).cause == "10 of its 20 cells have not run"


def test_tasks_that_disagree_about_the_better_direction_are_an_error():
    turned = replace(OTHER, metrics={"score": TASK.metrics["error"]})
    cells, records = on_both(lambda _: 1.0)
    of = claim(kind="greater", than="b", task=BOTH)
    with pytest.raises(UsageError, match="score is better higher on one of its tasks and not on another"):
        judge({of.id: of}, cells, records, {TASK.name: TASK, OTHER.name: turned})
