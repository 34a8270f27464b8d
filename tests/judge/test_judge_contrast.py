"""The cells that a claim compares, their pairs, and the resulting numbers."""

import math
import random
from dataclasses import replace

import pytest
from toy_plan import TASKS, by_seed, cell, claim, cross, measured, record, verdict

from harness.errors import UnknownName, UsageError
from harness.judge import judge, needed_cells
from harness.judge.contrast import contrast
from harness.judge.pairing import pair


def contrast_of(of, cells, records, sign=1):
    """The contrast of a claim whose cells all have records."""
    result = contrast(of, cells, records, sign, "cpu")
    assert result.cause == ""
    return result


def paired_by_hand(cells, records, where, than_where, seeds):
    """Differences of a and b for each seed, averaged over their common settings, by plain loops."""
    differences = []
    for seed in seeds:
        by_setting = []
        for size in (1, 2, 3):
            for rate in (0.1, 0.2):
                sides = []
                for method, limits in (("a", where), ("b", than_where)):
                    scores = [
                        records[c.id].metrics["score"]
                        for c in cells
                        if c.method == method
                        and c.seed == seed
                        and c.options["size"] == size
                        and c.options["rate"] == rate
                        and c.options["size"] in limits
                    ]
                    sides.append(sum(scores) / len(scores) if scores else None)
                if None not in sides:
                    by_setting.append(sides[0] - sides[1])
        differences.append(sum(by_setting) / len(by_setting))
    return differences


@pytest.mark.parametrize("trial", range(20))
def test_pairing_equals_a_plain_loop(trial):
    """a has an option that b lacks, and each has settings that the other lacks."""
    dice = random.Random(trial)
    a = cross("a", 4, size=[1, 2, 3], rate=[0.1, 0.2], only_a=["x", "y"])
    b = cross("b", 4, size=[1, 2, 3], rate=[0.1, 0.2])
    missing_a, missing_b = (dice.sample([(s, r) for s in (1, 2, 3) for r in (0.1, 0.2)], n) for n in (2, 1))
    cells = [c for c in a if (c.options["size"], c.options["rate"]) not in missing_a]
    cells += [c for c in b if (c.options["size"], c.options["rate"]) not in missing_b]
    dice.shuffle(cells)
    records = measured(cells, lambda _: dice.gauss(0.0, 1.0))
    sizes = dice.choice([[1, 2, 3], [1, 2], [2, 3]])
    result = contrast_of(claim(kind="greater", than="b", where={"size": sizes}), cells, records)
    assert result.series[0].values == pytest.approx(paired_by_hand(cells, records, sizes, sizes, range(4)))


def test_restriction_does_not_apply_to_a_side_that_lacks_the_option():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3)]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    result = contrast_of(claim(kind="greater", than="b", where={"threshold": 0.9}), cells, records)
    assert result.series[0].values == (3.0, 3.0, 3.0)


def test_values_of_an_option_that_one_side_lacks_are_averaged():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3)]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    result = contrast_of(claim(kind="greater", than="b"), cells, records)
    assert result.series[0].values == (1.0, 1.0, 1.0)
    assert result.settings == ("",)


def test_each_setting_includes_each_value_of_an_option_that_the_baseline_lacks():
    cells = [*cross("a", 3, size=[8, 16], threshold=[0.5, 0.9]), *cross("b", 3, size=[8, 16])]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    result = contrast_of(claim(kind="greater", than="b", each=True), cells, records)
    assert {s.label: s.values[0] for s in result.series} == {
        "size=8 threshold=0.5": -1.0,
        "size=8 threshold=0.9": 3.0,
        "size=16 threshold=0.5": -1.0,
        "size=16 threshold=0.9": 3.0,
    }
    noisy = measured(cells, lambda c: records[c.id].metrics["score"] + (0.01 * c.seed if c.method == "a" else 0.0))
    assert verdict(claim(kind="greater", than="b", each=True), cells, noisy).verdict == "contradicted"
    assert verdict(claim(kind="greater", than="b"), cells, noisy).verdict == "reproduced"
    fewer = [c for c in cells if c.seed < 2 or c.value("threshold") != 0.9]
    assert {c.seed for c in fewer if c.id in needed_cells(claim(kind="greater", than="b", each=True), fewer)} == {0, 1}
    gaps = claim(kind="greater", than="b", each=True, where={"size": 8}, gap_than_where={"size": 16})
    assert [s.values[0] for s in contrast_of(gaps, cells, records).series] == [0.0, 0.0]


def test_integer_matches_the_equal_float_but_not_true():
    cells = cross("ab", 3, scale=[1.0, 2.0])
    assert len(needed_cells(claim(kind="greater", than="b", where={"scale": 1}), cells)) == 6
    flags = cross("ab", 3, flag=[True, False])
    assert needed_cells(claim(kind="greater", than="b", where={"flag": 1}), flags) == set()
    assert len(needed_cells(claim(kind="greater", than="b", where={"flag": True}), flags)) == 6


def test_two_settings_of_one_method_are_paired_by_seed_and_by_all_other_options():
    cells = cross("a", 3, size=[8, 128], rate=[0.1, 0.2])
    records = measured(cells, lambda c: c.options["size"] * c.options["rate"] + c.seed)
    of = claim(kind="greater", where={"size": 128}, than_where={"size": 8})
    result = contrast_of(of, cells, records)
    assert result.settings == ("rate=0.1", "rate=0.2")
    assert result.series[0].values == pytest.approx([0.15 * 120] * 3)
    assert needed_cells(of, cells) == {c.id for c in cells}


def test_option_that_one_side_names_restricts_both():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1, 0.2])
    of = claim(kind="greater", than="b", where={"size": 128, "rate": 0.1}, than_where={"size": 8})
    expected = {c.id for c in cells if c.options == {"size": 128 if c.method == "a" else 8, "rate": 0.1}}
    assert needed_cells(of, cells) == expected


def test_dtypes_are_compared_when_restricted_differently_and_matched_otherwise():
    cells = cross("ab", 3, dtype=["float32", "float64"])
    records = measured(cells, lambda c: 2.0 if c.dtype == "float64" else 1.0)
    between = claim(kind="greater", where={"dtype": "float64"}, than_where={"dtype": "float32"})
    assert contrast_of(between, cells, records).series[0].values == (1.0, 1.0, 1.0)
    within = claim(kind="greater", than="b")
    assert contrast_of(within, cells, records).series[0].values == (0.0, 0.0, 0.0)


def test_sign_is_negative_where_lower_is_better():
    cells, records = by_seed([1.0, 2.0, 3.0], "error")
    result = contrast_of(claim(kind="greater", than="b", metric="error"), cells, records, sign=-1)
    assert result.series[0].values == (-1.0, -2.0, -3.0)


def test_printed_number_replaces_the_other_side():
    cells = cross("a", 3)
    records = measured(cells, lambda c: 60.0 + c.seed)
    assert contrast_of(claim(kind="greater", value=60.5), cells, records).series[0].values == (-0.5, 0.5, 1.5)
    lower = contrast(claim(kind="reaches", value=60.5, tol=1), cells, records, -1, "cpu")
    assert lower.series[0].values == (0.5, -0.5, -1.5)
    assert lower.series[0].means == (61.0,)


@pytest.mark.parametrize("sign", [1, -1])
def test_ratio_is_computed_as_a_log_ratio(sign):
    cells = cross("ab", 3)
    records = measured(cells, lambda c: {"a": 6.0, "b": 2.0}[c.method] * (c.seed + 1))
    result = contrast(claim(kind="ratio", than="b", by=2.0), cells, records, sign, "cpu")
    assert result.series[0].values == pytest.approx([sign * math.log(3.0)] * 3)


def test_ratio_with_a_zero_is_not_run():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 0.0 if (c.method, c.seed) == ("b", 1) else 1.0)
    result = contrast(claim(kind="ratio", than="b", by=2.0), cells, records, 1, "cpu")
    assert result.cause == "a ratio needs positive values: score is 0 for b on toy/fit cpu float32 seed=1"


def test_gap_is_a_difference_of_differences():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1, 0.2])
    scores = {("a", 8): 5.0, ("b", 8): 1.0, ("a", 128): 7.0, ("b", 128): 6.0}
    records = measured(cells, lambda c: scores[c.method, c.options["size"]] + c.seed * c.options["rate"])
    of = claim(kind="greater", than="b", where={"size": 8}, gap_than_where={"size": 128})
    result = contrast_of(of, cells, records)
    assert result.series[0].values == pytest.approx([3.0] * 3)
    assert result.series[0].means == pytest.approx((4.0, 1.0))
    assert needed_cells(of, cells) == {c.id for c in cells}


def test_label_of_each_setting_names_the_options_that_vary():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1], kind=["x", "y"])
    records = measured(cells, lambda c: c.options["size"] if c.method == "a" else 0.0)
    result = contrast_of(claim(kind="greater", than="b", each=True), cells, records)
    assert [s.label for s in result.series] == ["size=8 kind=x", "size=8 kind=y", "size=128 kind=x", "size=128 kind=y"]
    assert [s.values for s in result.series] == [(8.0,) * 3] * 2 + [(128.0,) * 3] * 2


def test_only_seeds_that_every_setting_has_count():
    cells = [*cross("ab", 5, size=[8]), *cross("ab", 3, size=[128])]
    of = claim(kind="greater", than="b")
    assert {c.seed for c in cells if c.id in needed_cells(of, cells)} == {0, 1, 2}


def test_equal_cells_of_two_suites_count_once():
    cells = cross("ab", 3)
    copies = [replace(c, suite="other") for c in cells]
    assert len(needed_cells(claim(kind="greater", than="b"), cells + copies)) == 6
    violations = measured(cells, lambda _: 0.0, "violations")
    result = verdict(claim(kind="holds", metric="violations", method=["a", "a"]), cells + copies, violations)
    assert result.values == (0.0, 0.0, 0.0)


def test_cell_planned_twice_counts_once():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3), *cross("a", 3, threshold=[0.9])]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    assert contrast_of(claim(kind="greater", than="b"), cells, records).series[0].values == (1.0, 1.0, 1.0)


def test_cells_that_are_not_compared_are_not_needed():
    cells = cross("abc", 3, size=[8, 128])
    of = claim(kind="greater", than="b", where={"size": 8})
    assert needed_cells(of, cells) == {c.id for c in cells if c.method in "ab" and c.options["size"] == 8}
    assert needed_cells(claim(kind="holds", method=["a", "c"]), cells) == {c.id for c in cells if c.method in "ac"}


def test_untestable_claim_needs_no_cells():
    of = claim(kind="greater", than="b").model_copy(update={"test": None, "untestable": "no data"})
    assert needed_cells(of, cross("ab", 3)) == set()
    assert judge({of.id: of}, cross("ab", 3), {}, TASKS) == ()


# Claims without a verdict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["where", "than_where", "gap_than_where"])
def test_error_about_an_unknown_option_suggests_the_nearest_name(table):
    of = claim(kind="greater", than="b", **{table: {"batchsize": 8}})
    with pytest.raises(UsageError) as error:
        needed_cells(of, cross("ab", 3, batch_size=[8]))
    message = str(error.value)
    assert f"claim toy/claim: unknown key in {table} 'batchsize'; did you mean 'batch_size'?" in message


def test_option_of_a_method_outside_the_claim_is_unknown():
    cells = [*cross("ab", 3), *cross("c", 3, threshold=[0.5])]
    with pytest.raises(UnknownName, match="threshold"):
        needed_cells(claim(kind="greater", than="b", where={"threshold": 0.5}), cells)


@pytest.mark.parametrize(
    ("test", "cause"),
    [
        ({"than": "c"}, "the suite has no cell for it: needs method c on task toy/fit"),
        ({"than": "b", "task": "toy/other"}, "the suite has no cell for it: needs method a on task toy/other"),
        (
            {"than": "b", "task": ["toy/fit", "toy/other"]},
            "the suite has no cell for it: needs method a on task toy/other",
        ),
        (
            {"than": "b", "where": {"size": [9, 10]}},
            "the suite has no cell for it: needs method a with size=9,10 on task toy/fit",
        ),
        ({"than": "a"}, "both sides of the comparison are the same cells of this plan"),
        ({"than_where": {"size": 8}}, "both sides of the comparison are the same cells of this plan"),
        (
            {"than": "b", "gap_than_where": {"size": 8}},
            "both sides of the comparison are the same cells of this plan",
        ),
        (
            {"than": "b", "where": {"device": "cuda"}},
            "the suite has no cell for it: needs method a with device=cuda on task toy/fit",
        ),
    ],
)
def test_claim_on_cells_that_the_plan_lacks_is_not_run_with_the_cause(test, cause):
    cells = cross("ab", 3, size=[8, 128])
    result = verdict(claim(kind="greater", **test), cells, measured(cells, lambda _: 1.0))
    assert (result.verdict, result.alone, result.estimate, result.p) == ("not-run", "not-run", None, None)
    assert result.cause.startswith(cause)


def test_cause_without_a_common_setting_names_the_option_that_differs():
    cells = [*cross("a", 3, size=[8], rate=[0.1]), *cross("b", 3, size=[8], rate=[0.2, 0.3])]
    result = verdict(claim(kind="greater", than="b"), cells, measured(cells, lambda _: 1.0))
    assert result.cause == "no setting is shared: rate is 0.1 for a and 0.2,0.3 for b"


def test_claim_without_a_common_seed_is_not_run():
    cells = [*cross("a", 3), *(cell("b", s) for s in (7, 8, 9))]
    result = verdict(claim(kind="greater", than="b"), cells, measured(cells, lambda _: 1.0))
    assert (result.verdict, result.cause) == ("not-run", "no seed is shared by all cells that it compares")


def test_missing_and_failed_cells_are_counted_and_the_first_is_named():
    cells = cross("ab", 10)
    records = measured(cells, lambda _: 1.0)
    del records[cells[13].id]
    records[cells[2].id] = record(cells[2], "failed", "ValueError: no", score=1.0)
    records[cells[17].id] = record(cells[17], "timeout", "timed out after 10 s")
    result = verdict(claim(kind="greater", than="b"), cells, records)
    assert result.verdict == "not-run"
    cause = f"3 of 20 cells have no good record; first: a on toy/fit seed=2 ({cells[2].id[:10]}) failed: ValueError: no"
    assert result.cause == cause


@pytest.mark.parametrize(
    ("skip", "metrics", "cause"),
    [("no data", None, "skipped: no data"), (None, {}, "gave no finite score")],
)
def test_cause_says_why_a_cell_has_no_result(skip, metrics, cause):
    cells = cross("ab", 3)
    cells[0] = replace(cells[0], skip=skip)
    records = measured(cells, lambda _: 1.0)
    del records[cells[0].id]
    if metrics is not None:
        records[cells[0].id] = record(cells[0])
    result = verdict(claim(kind="greater", than="b"), cells, records)
    assert result.cause.startswith("1 of 6 cells have no good record; first: a on toy/fit")
    assert result.cause.endswith(cause)


def test_cells_that_have_not_run_are_counted_and_not_named():
    cells = cross("ab", 3)
    records = measured(cells[1:], lambda _: 1.0)
    assert verdict(claim(kind="greater", than="b"), cells, records).cause == "1 of its 6 cells have not run"


def test_failed_cells_outside_the_claim_do_not_matter():
    cells = cross("abc", 3)
    records = measured([c for c in cells if c.method != "c"], lambda c: float(c.method == "a") * (1 + 0.1 * c.seed))
    assert verdict(claim(kind="greater", than="b"), cells, records).verdict == "reproduced"


def test_pairs_have_the_same_settings_and_seeds_on_both_sides():
    cells = [*cross("a", 4, size=[1, 2, 3]), *cross("b", 3, size=[2, 3, 4])]
    groups, cause = pair(claim(kind="greater", than="b"), cells, "cpu")
    assert cause == ""
    settings = [(("dtype", "float32"), ("size", n)) for n in (2, 3)]
    assert [{s: list(seeds) for s, seeds in g.items()} for g in groups] == [{s: [0, 1, 2] for s in settings}] * 2
