"""Which cells a claim speaks of, how they are paired, and the numbers that come of it."""

import math
import random
from dataclasses import replace

import pytest
from toy_plan import TASKS, by_seed, cell, claim, cross, measured, record, verdict

from harness.errors import UnknownName, UsageError
from harness.judge import judge, needed_cells
from harness.judge.contrast import contrast
from harness.judge.pairing import pair


def numbers(of, cells, records, sign=1):
    found = contrast(of, cells, records, sign, "cpu")
    assert found.cause == ""
    return found


def paired_by_hand(cells, records, where, than_where, seeds):
    """Per-seed differences of a and b, averaged over the settings both have, by plain loops."""
    differences = []
    for seed in seeds:
        of_seed = []
        for size in (1, 2, 3):
            for rate in (0.1, 0.2):
                sides = []
                for method, limits in (("a", where), ("b", than_where)):
                    own = [
                        records[c.id].metrics["score"]
                        for c in cells
                        if c.method == method
                        and c.seed == seed
                        and c.options["size"] == size
                        and c.options["rate"] == rate
                        and c.options["size"] in limits
                    ]
                    sides.append(sum(own) / len(own) if own else None)
                if None not in sides:
                    of_seed.append(sides[0] - sides[1])
        differences.append(sum(of_seed) / len(of_seed))
    return differences


@pytest.mark.parametrize("trial", range(20))
def test_pairing_is_that_of_a_plain_loop(trial):
    """a has an option that b lacks, and either has settings that the other lacks."""
    dice = random.Random(trial)
    a = cross("a", 4, size=[1, 2, 3], rate=[0.1, 0.2], only_a=["x", "y"])
    b = cross("b", 4, size=[1, 2, 3], rate=[0.1, 0.2])
    lost_a, lost_b = (dice.sample([(s, r) for s in (1, 2, 3) for r in (0.1, 0.2)], n) for n in (2, 1))
    cells = [c for c in a if (c.options["size"], c.options["rate"]) not in lost_a]
    cells += [c for c in b if (c.options["size"], c.options["rate"]) not in lost_b]
    dice.shuffle(cells)
    records = measured(cells, lambda _: dice.gauss(0.0, 1.0))
    sizes = dice.choice([[1, 2, 3], [1, 2], [2, 3]])
    found = numbers(claim(kind="greater", than="b", where={"size": sizes}), cells, records)
    assert found.series[0].values == pytest.approx(paired_by_hand(cells, records, sizes, sizes, range(4)))


def test_a_side_that_lacks_an_option_is_not_restricted_by_it():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3)]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    found = numbers(claim(kind="greater", than="b", where={"threshold": 0.9}), cells, records)
    assert found.series[0].values == (3.0, 3.0, 3.0)


def test_options_that_one_side_lacks_are_averaged():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3)]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    found = numbers(claim(kind="greater", than="b"), cells, records)
    assert found.series[0].values == (1.0, 1.0, 1.0)
    assert found.settings == 1


def test_in_each_setting_means_each_value_of_an_option_that_the_baseline_lacks():
    cells = [*cross("a", 3, size=[8, 16], threshold=[0.5, 0.9]), *cross("b", 3, size=[8, 16])]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    found = numbers(claim(kind="greater", than="b", each=True), cells, records)
    assert {s.label: s.values[0] for s in found.series} == {
        "size=8 threshold=0.5": -1.0,
        "size=8 threshold=0.9": 3.0,
        "size=16 threshold=0.5": -1.0,
        "size=16 threshold=0.9": 3.0,
    }
    assert verdict(claim(kind="greater", than="b", each=True), cells, records).verdict == "contradicted"
    assert verdict(claim(kind="greater", than="b"), cells, records).verdict == "reproduced"
    fewer = [c for c in cells if c.seed < 2 or c.value("threshold") != 0.9]
    assert {c.seed for c in fewer if c.id in needed_cells(claim(kind="greater", than="b", each=True), fewer)} == {0, 1}
    gaps = claim(kind="greater", than="b", each=True, where={"size": 8}, gap_than_where={"size": 16})
    assert [s.values[0] for s in numbers(gaps, cells, records).series] == [0.0, 0.0]


def test_an_integer_matches_the_same_float_and_not_true():
    cells = cross("ab", 3, scale=[1.0, 2.0])
    assert len(needed_cells(claim(kind="greater", than="b", where={"scale": 1}), cells)) == 6
    flags = cross("ab", 3, flag=[True, False])
    assert needed_cells(claim(kind="greater", than="b", where={"flag": 1}), flags) == set()
    assert len(needed_cells(claim(kind="greater", than="b", where={"flag": True}), flags)) == 6


def test_two_settings_of_one_method_are_paired_by_seed_and_by_all_other_options():
    cells = cross("a", 3, size=[8, 128], rate=[0.1, 0.2])
    records = measured(cells, lambda c: c.options["size"] * c.options["rate"] + c.seed)
    of = claim(kind="greater", where={"size": 128}, than_where={"size": 8})
    found = numbers(of, cells, records)
    assert found.settings == 2
    assert found.series[0].values == pytest.approx([0.15 * 120] * 3)
    assert needed_cells(of, cells) == {c.id for c in cells}


def test_an_option_that_one_side_names_holds_for_both():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1, 0.2])
    of = claim(kind="greater", than="b", where={"size": 128, "rate": 0.1}, than_where={"size": 8})
    wanted = {c.id for c in cells if c.options == {"size": 128 if c.method == "a" else 8, "rate": 0.1}}
    assert needed_cells(of, cells) == wanted


def test_dtypes_are_compared_when_restricted_differently_and_matched_otherwise():
    cells = cross("ab", 3, dtype=["float32", "float64"])
    records = measured(cells, lambda c: 2.0 if c.dtype == "float64" else 1.0)
    between = claim(kind="greater", where={"dtype": "float64"}, than_where={"dtype": "float32"})
    assert numbers(between, cells, records).series[0].values == (1.0, 1.0, 1.0)
    within = claim(kind="greater", than="b")
    assert numbers(within, cells, records).series[0].values == (0.0, 0.0, 0.0)


def test_lower_is_better_turns_the_sign():
    cells, records = by_seed([1.0, 2.0, 3.0], "error")
    found = numbers(claim(kind="greater", than="b", metric="error"), cells, records, sign=-1)
    assert found.series[0].values == (-1.0, -2.0, -3.0)


def test_a_printed_number_takes_the_other_side():
    cells = cross("a", 3)
    records = measured(cells, lambda c: 60.0 + c.seed)
    assert numbers(claim(kind="greater", value=60.5), cells, records).series[0].values == (-0.5, 0.5, 1.5)
    lower = contrast(claim(kind="reaches", value=60.5, tol=1), cells, records, -1, "cpu")
    assert lower.series[0].values == (0.5, -0.5, -1.5)
    assert lower.series[0].b is None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_ratio_is_a_log_ratio(sign):
    cells = cross("ab", 3)
    records = measured(cells, lambda c: {"a": 6.0, "b": 2.0}[c.method] * (c.seed + 1))
    found = contrast(claim(kind="ratio", than="b", by=2.0), cells, records, sign, "cpu")
    assert found.series[0].values == pytest.approx([sign * math.log(3.0)] * 3)


def test_a_ratio_of_nothing_is_not_run():
    cells = cross("ab", 3)
    records = measured(cells, lambda c: 0.0 if (c.method, c.seed) == ("b", 1) else 1.0)
    found = contrast(claim(kind="ratio", than="b", by=2.0), cells, records, 1, "cpu")
    assert found.cause == "a ratio needs positive values: score is 0 for b on toy/fit cpu float32 seed=1"


def test_a_gap_is_a_difference_of_differences():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1, 0.2])
    worth = {("a", 8): 5.0, ("b", 8): 1.0, ("a", 128): 7.0, ("b", 128): 6.0}
    records = measured(cells, lambda c: worth[c.method, c.options["size"]] + c.seed * c.options["rate"])
    of = claim(kind="greater", than="b", where={"size": 8}, gap_than_where={"size": 128})
    found = numbers(of, cells, records)
    assert found.series[0].values == pytest.approx([3.0] * 3)
    assert (found.series[0].a, found.series[0].b) == pytest.approx((4.0, 1.0))
    assert needed_cells(of, cells) == {c.id for c in cells}


def test_each_setting_by_itself_is_labelled_by_what_varies():
    cells = cross("ab", 3, size=[8, 128], rate=[0.1], kind=["x", "y"])
    records = measured(cells, lambda c: c.options["size"] if c.method == "a" else 0.0)
    found = numbers(claim(kind="greater", than="b", each=True), cells, records)
    assert [s.label for s in found.series] == ["size=8 kind=x", "size=8 kind=y", "size=128 kind=x", "size=128 kind=y"]
    assert [s.values for s in found.series] == [(8.0,) * 3] * 2 + [(128.0,) * 3] * 2


def test_a_seed_counts_where_every_setting_has_it():
    cells = [*cross("ab", 5, size=[8]), *cross("ab", 3, size=[128])]
    of = claim(kind="greater", than="b")
    assert {c.seed for c in cells if c.id in needed_cells(of, cells)} == {0, 1, 2}


def test_equal_cells_of_two_suites_are_one():
    cells = cross("ab", 3)
    again = [replace(c, suite="other") for c in cells]
    assert len(needed_cells(claim(kind="greater", than="b"), cells + again)) == 6
    violations = measured(cells, lambda _: 0.0, "violations")
    found = verdict(claim(kind="holds", metric="violations", method=["a", "a"]), cells + again, violations)
    assert found.values == (0.0, 0.0, 0.0)


def test_a_cell_planned_twice_weighs_as_much_as_one_planned_once():
    cells = [*cross("a", 3, threshold=[0.5, 0.9]), *cross("b", 3), *cross("a", 3, threshold=[0.9])]
    records = measured(cells, lambda c: {0.5: 1.0, 0.9: 5.0, None: 2.0}[c.value("threshold")])
    assert numbers(claim(kind="greater", than="b"), cells, records).series[0].values == (1.0, 1.0, 1.0)


def test_cells_that_are_not_compared_are_not_needed():
    cells = cross("abc", 3, size=[8, 128])
    of = claim(kind="greater", than="b", where={"size": 8})
    assert needed_cells(of, cells) == {c.id for c in cells if c.method in "ab" and c.options["size"] == 8}
    assert needed_cells(claim(kind="holds", method=["a", "c"]), cells) == {c.id for c in cells if c.method in "ac"}


def test_an_untestable_claim_needs_nothing():
    of = claim(kind="greater", than="b").model_copy(update={"test": None, "untestable": "no data"})
    assert needed_cells(of, cross("ab", 3)) == set()
    assert judge({of.id: of}, cross("ab", 3), {}, TASKS) == ()


# What cannot be judged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["where", "than_where", "gap_than_where"])
def test_an_unknown_option_is_an_error_with_the_nearest_name(table):
    of = claim(kind="greater", than="b", **{table: {"batchsize": 8}})
    with pytest.raises(UsageError) as error:
        needed_cells(of, cross("ab", 3, batch_size=[8]))
    message = str(error.value)
    assert f"claim toy/claim: unknown key in {table} 'batchsize'; did you mean 'batch_size'?" in message


def test_an_option_of_another_method_is_unknown_here():
    cells = [*cross("ab", 3), *cross("c", 3, threshold=[0.5])]
    with pytest.raises(UnknownName, match="threshold"):
        needed_cells(claim(kind="greater", than="b", where={"threshold": 0.5}), cells)


@pytest.mark.parametrize(
    ("test", "cause"),
    [
        ({"than": "c"}, "the suite has no cell for it: needs method c on task toy/fit"),
        ({"than": "b", "task": "toy/other"}, "the suite has no cell for it: needs method a on task toy/other"),
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
def test_what_the_plan_lacks_is_not_run_with_a_cause(test, cause):
    cells = cross("ab", 3, size=[8, 128])
    found = verdict(claim(kind="greater", **test), cells, measured(cells, lambda _: 1.0))
    assert (found.verdict, found.holm_verdict, found.estimate, found.p) == ("not-run", "not-run", None, None)
    assert found.cause.startswith(cause)


def test_sides_without_a_common_setting_say_which_option_differs():
    cells = [*cross("a", 3, size=[8], rate=[0.1]), *cross("b", 3, size=[8], rate=[0.2, 0.3])]
    found = verdict(claim(kind="greater", than="b"), cells, measured(cells, lambda _: 1.0))
    assert found.cause == "no setting is shared: rate is 0.1 for a and 0.2,0.3 for b"


def test_sides_without_a_common_seed_are_not_run():
    cells = [*cross("a", 3), *(cell("b", s) for s in (7, 8, 9))]
    found = verdict(claim(kind="greater", than="b"), cells, measured(cells, lambda _: 1.0))
    assert (found.verdict, found.cause) == ("not-run", "no seed is shared by all cells that it compares")


def test_missing_and_failed_cells_are_counted_and_the_first_is_named():
    cells = cross("ab", 10)
    records = measured(cells, lambda _: 1.0)
    del records[cells[13].id]
    records[cells[2].id] = record(cells[2], "failed", "ValueError: no", score=1.0)
    records[cells[17].id] = record(cells[17], "timeout", "ran past 10 s")
    found = verdict(claim(kind="greater", than="b"), cells, records)
    assert found.verdict == "not-run"
    cause = f"3 of 20 cells have no good record; first: a on toy/fit seed=2 ({cells[2].id[:10]}) failed: ValueError: no"
    assert found.cause == cause


@pytest.mark.parametrize(
    ("skip", "metrics", "said"),
    [("no data", None, "skipped: no data"), (None, {}, "gave no finite score")],
)
def test_what_a_cell_without_a_result_lacks(skip, metrics, said):
    cells = cross("ab", 3)
    cells[0] = replace(cells[0], skip=skip)
    records = measured(cells, lambda _: 1.0)
    del records[cells[0].id]
    if metrics is not None:
        records[cells[0].id] = record(cells[0])
    found = verdict(claim(kind="greater", than="b"), cells, records)
    assert found.cause.startswith("1 of 6 cells have no good record; first: a on toy/fit")
    assert found.cause.endswith(said)


def test_cells_that_have_not_run_are_counted_and_none_is_named():
    cells = cross("ab", 3)
    records = measured(cells[1:], lambda _: 1.0)
    assert verdict(claim(kind="greater", than="b"), cells, records).cause == "1 of its 6 cells have not run"


def test_cells_that_do_not_matter_may_fail():
    cells = cross("abc", 3)
    records = measured([c for c in cells if c.method != "c"], lambda c: float(c.method == "a"))
    assert verdict(claim(kind="greater", than="b"), cells, records).verdict == "reproduced"


def test_pairs_hold_the_same_settings_and_seeds_on_both_sides():
    cells = [*cross("a", 4, size=[1, 2, 3]), *cross("b", 3, size=[2, 3, 4])]
    groups, cause = pair(claim(kind="greater", than="b"), cells, "cpu")
    assert cause == ""
    settings = [(("dtype", "float32"), ("size", n)) for n in (2, 3)]
    assert [{s: list(seeds) for s, seeds in g.items()} for g in groups] == [{s: [0, 1, 2] for s in settings}] * 2
