"""The sentence of a verdict."""

import pytest
from toy_plan import OTHER, TASK, by_seed, check, claim, cross, measured, planned_verdict, verdict

from harness.files.suite import LOOKS
from harness.judge import informative, judge_each, needed, numbers_of, sentence

CLEAR = [0.9, 1.0, 1.1]


def sentence_of(differences, metric="score", looks=None, **test):
    """The sentence of the verdict when a minus b has these differences."""
    cells, records = by_seed(differences, metric)
    of = claim(metric=metric, **test)
    return sentence(verdict(of, cells, records, looks), of)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("reproduced: a - b = +1.00 [+0.83, +1.17], claim needs > 0", {"kind": "greater", "than": "b"}),
        (
            "contradicted: b - a = -1.00 [-1.17, -0.83], claim needs > 0",
            {"kind": "greater", "than": "b", "metric": "error"},
        ),
        (
            "reproduced: a - b = +1.00 [+0.83, +1.17], claim needs > 0",
            {"kind": "greater", "than": "b", "metric": "diagnostic"},
        ),
        (
            "contradicted: a - b = +1.00 [+0.75, +1.25] (95 %), claim needs between -0.5 and +0.5",
            {"kind": "equal", "than": "b", "tol": 0.5},
        ),
        (
            "inconclusive: a - b = +1.00 [+0.75, +1.25] (95 %), claim needs between -1.1 and +1.1; "
            "would take more than 3 seeds",
            {"kind": "equal", "than": "b", "tol": 1.1},
        ),
        (
            "contradicted: b - a = -1.00 [-1.25, -0.75] (95 %), claim needs between -0.5 and +0.5",
            {"kind": "equal", "than": "b", "tol": 0.5, "metric": "error"},
        ),
        (
            "reproduced: score of a = 11.00 [10.66, 11.34], claim needs between 10.5 and 11.5",
            {"kind": "reaches", "value": 11.0, "tol": 0.5},
        ),
        (
            "reproduced: error of a = 11.00 [10.83, 11.17], claim needs between 10.75 and 11.75",
            {"kind": "reaches", "value": 11.25, "tol": 0.5, "value_runs": "exact", "metric": "error"},
        ),
        (
            "reproduced: score of a = 11.00 [10.83, 11.17], claim needs > 10.06",
            {"kind": "greater", "value": 10.06},
        ),
        (
            "contradicted: error of a = 11.00 [10.83, 11.17], claim needs < 9.56",
            {"kind": "greater", "value": 10.06, "by": 0.5, "metric": "error"},
        ),
        (
            "reproduced: a / b = 1.100 times [1.083, 1.117], claim needs > 1.05 times",
            {"kind": "ratio", "than": "b", "by": 1.05},
        ),
        (
            "contradicted: b / a = 0.909 times [0.895, 0.923], claim needs > 1.05 times",
            {"kind": "ratio", "than": "b", "by": 1.05, "metric": "error"},
        ),
        (
            "reproduced: a - b = +0.9, claim needs > 0; nothing depends on chance",
            {"kind": "greater", "than": "b", "metric": "sure"},
        ),
        ("not run: the suite has no cell for it: needs method z on task toy/fit", {"kind": "greater", "than": "z"}),
    ],
)
def test_sentence_names_sides_interval_and_requirement(text, arguments):
    assert sentence_of(CLEAR, **arguments) == text


def test_numbers_have_enough_digits_to_differ():
    """11.5238210325 differs from 11.52382104 by more than half a unit of its last digit, so all digits are shown."""
    text = "contradicted: sure of a = 11.5238210325, claim needs between 11.523821035 and 11.523821045; nothing "
    result = sentence_of([1.5238210325] * 3, "sure", kind="reaches", value=11.52382104, tol=5e-9)
    assert result == text + "depends on chance"


def test_sentence_says_if_more_seeds_are_not_worth_it():
    near = sentence_of([-1.0, 1.001, 0.0], kind="greater", than="b")
    assert near.endswith("claim needs > 0; too near the border to be worth more seeds")
    far = sentence_of([0.0, 0.9, 1.8, 0.2, 1.5], kind="greater", than="b", looks=LOOKS, by=0.1)
    assert far.endswith("claim needs > +0.1; would take about 20 seeds")


def test_level_is_printed_where_it_is_not_ninety_percent():
    values = [0.9, 1.0, 1.1, 1.05, 0.95]
    text = "reproduced: a - b = +1.00 [+0.91, +1.09] (93 %), claim needs > 0"
    assert sentence_of(values, kind="greater", than="b", looks=LOOKS) == text
    of = claim(kind="greater", than="b", by=1.0)
    assert "(99 %)" in numbers_of(planned_verdict(values * 2, by=1.0), of)


def test_sentence_says_why_nothing_is_decided():
    few = "inconclusive: a - b = +1.00 [+0.83, +1.17], claim needs > 0; 3 seeds, and the first look is at 5"
    assert sentence_of(CLEAR, kind="greater", than="b", looks=LOOKS) == few
    alike = sentence_of([0.5] * 5, kind="greater", than="b", looks=LOOKS)
    cause = "all 5 seeds give the same, which leaves room for 45 % of seeds that do not"
    assert alike == f"inconclusive: a - b = +0.5 [+0.5, +0.5] (93 %), claim needs > 0; {cause}"
    assert sentence_of([0.5], kind="greater", than="b", looks=LOOKS) == (
        "inconclusive: 1 seed, and the first look is at 5"
    )


def test_sentence_names_a_run_that_fell_apart():
    text = sentence_of([0.51, 0.49, 0.50, 0.52, -3.0], kind="greater", than="b", looks=LOOKS)
    assert text.endswith("; seed 4 (-3) is far from the others; without it: reproduced")


def test_sentence_of_a_claim_on_a_failed_check_begins_with_it():
    cells, records = by_seed([0.9, 1.0, 1.1, 1.05, 0.95])
    of, precondition = claim(kind="greater", than="b"), check(value=50.0)
    (looks,) = judge_each({of.id: of}, cells, records, {TASK.name: TASK})
    ((checked,),) = judge_each({precondition.id: precondition}, cells, records, {TASK.name: TASK})
    (result,) = informative([looks[0]], [checked], {of.id: [precondition.id]})
    text = "not informative: the check toy/check fails; a - b = +1.00 [+0.91, +1.09] (93 %), claim needs > 0"
    assert sentence(result, of) == text


def measured_by_size(cells):
    """a's score is an eighth of the size, and a little more with each seed; b's is 0."""
    return measured(cells, lambda c: c.options["size"] / 8 * (1 + 0.1 * c.seed) if c.method == "a" else 0.0)


@pytest.mark.parametrize(
    ("tol", "number"),
    [(None, "1.235e+05"), (0.001, "123456.78912"), (10.0, "123456.8"), (1000.0, "1.2346e+05"), (1e9, "1.235e+05")],
)
def test_number_without_an_interval_has_four_digits_or_as_many_as_its_tolerance_resolves(tol, number):
    test = {"kind": "greater", "value": 0.0} if tol is None else {"kind": "reaches", "value": 123456.0, "tol": tol}
    cells = cross("a", 1)
    of = claim(metric="sure", **test)
    text = sentence(verdict(of, cells, measured(cells, lambda _: 123456.789123, "sure")), of)
    assert text.partition(": ")[2].startswith(f"sure of a = {number}, claim needs ")
    assert text.endswith("nothing depends on chance")


def test_sentence_names_the_weakest_setting():
    cells = cross("ab", 3, size=[8, 32])
    of = claim(kind="greater", than="b", each=True)
    text = "reproduced: a - b = +1.10 [+0.93, +1.27], claim needs > 0, at the weakest of 2 settings: size=8"
    assert sentence(verdict(of, cells, measured_by_size(cells)), of) == text


def test_sentence_names_what_was_averaged_over():
    cells = cross("ab", 3, size=[8, 32], task=[TASK.name, OTHER.name])
    of = claim(kind="greater", than="b")
    text = "reproduced: a - b = +2.75 [+2.33, +3.17], claim needs > 0, averaged over size=8, size=32"
    assert sentence(verdict(of, cells, measured_by_size(cells)), of) == text
    both = claim(kind="greater", than="b", task=[TASK.name, OTHER.name], where={"size": 8})
    result = sentence(verdict(both, cells, measured_by_size(cells)), both)
    assert result.endswith("averaged over task=toy/fit, task=toy/other")


def test_sentence_names_settings_that_are_compared():
    cells = cross("ab", 3, size=[8, 32])
    records = measured_by_size(cells)
    of = claim(kind="greater", where={"size": 32}, than_where={"size": 8})
    text = "reproduced: a with size=32 - a with size=8 = +3.3 [+2.8, +3.8], claim needs > 0"
    assert sentence(verdict(of, cells, records), of) == text
    gap = claim(kind="greater", than="b", where={"size": 32}, gap_than_where={"size": 8})
    text = "reproduced: (a - b with size=32) - (a - b with size=8) = +3.3 [+2.8, +3.8], claim needs > 0"
    assert sentence(verdict(gap, cells, records), gap) == text


def test_sentence_omits_restrictions_of_both_sides():
    cells = cross("ab", 3, size=[8, 32], rate=[0.1])
    of = claim(kind="equal", tol=9, where={"size": 32, "rate": 0.1}, than_where={"size": 8, "rate": 0.1})
    text = "reproduced: a with size=32 - a with size=8 = +3.3 [+2.8, +3.8], claim needs between -9 and +9"
    assert sentence(verdict(of, cells, measured_by_size(cells)), of) == text


def test_number_against_the_claim_is_negative():
    text = "inconclusive: a - b = -0.4 [-2.3, +1.5], claim needs > 0; too near the border to be worth more seeds"
    assert sentence_of([0.9, -1.0, -1.1], kind="greater", than="b") == text


@pytest.mark.parametrize("kind", ["greater", "equal", "ratio"])
@pytest.mark.parametrize("metric", ["score", "error"])
def test_names_stand_in_the_order_in_which_the_number_is_positive_for_the_claim(kind, metric):
    """What the sentence says of a and b is what their means are."""
    limits = {"greater": {}, "equal": {"tol": 5.0}, "ratio": {"by": 0.5}}[kind]
    cells, records = by_seed(CLEAR, metric)
    of = claim(kind=kind, than="b", metric=metric, **limits)
    result = verdict(of, cells, records)
    means = {"a": result.a, "b": result.b}
    first, operator, second = numbers_of(result, of).split(" = ")[0].split()
    value = means[first] - means[second] if operator == "-" else means[first] / means[second]
    assert result.estimate == pytest.approx(value, rel=1e-3)


def test_what_a_claim_needs_is_in_its_own_unit():
    cells, records = by_seed(CLEAR)
    for test, text in (
        ({"kind": "greater", "than": "b", "by": 0.5}, "> +0.5"),
        ({"kind": "greater", "value": 10.5, "by": 0.25}, "> 10.75"),
        ({"kind": "ratio", "than": "b", "by": 3.0}, "> 3 times"),
        ({"kind": "equal", "than": "b", "tol": 0.1}, "between -0.1 and +0.1"),
        ({"kind": "reaches", "value": 10.0, "tol": 0.1}, "between 9.9 and 10.1"),
    ):
        assert needed(verdict(claim(**test), cells, records)) == text


def test_sentence_counts_violations():
    of = claim(kind="holds", metric="violations")
    cells = cross("a", 2)
    without = verdict(of, cells, measured(cells, lambda _: 0.0, "violations"))
    assert sentence(without, of) == "reproduced: no violation in 2 cells"
    with_one = verdict(of, cells, measured(cells, lambda c: float(c.seed), "violations"))
    assert sentence(with_one, of).startswith("contradicted: 1 of 2 cells have violations; first: a on toy/fit")
