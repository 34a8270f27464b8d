"""The sentence of a verdict."""

import pytest
from toy_plan import by_seed, claim, cross, measured, verdict

from harness.judge import sentence

CLEAR = [0.9, 1.0, 1.1]


def sentence_of(differences, metric="score", **test):
    """The sentence of the verdict when a minus b has these differences."""
    cells, records = by_seed(differences, metric)
    of = claim(metric=metric, **test)
    return sentence(verdict(of, cells, records), of)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("reproduced: a is better than b by 1.00 [0.83, 1.17] (needs > 0)", {"kind": "greater", "than": "b"}),
        (
            "contradicted: a is worse than b by 1.00 [0.83, 1.17] (needs better by > 0)",
            {"kind": "greater", "than": "b", "metric": "error"},
        ),
        (
            "reproduced: a is larger than b by 1.00 [0.83, 1.17] (needs > 0)",
            {"kind": "greater", "than": "b", "metric": "violations"},
        ),
        (
            "contradicted: a differs from b by 1.00 [0.83, 1.17] (needs to be within 0.5)",
            {"kind": "equal", "than": "b", "tol": 0.5},
        ),
        (
            "inconclusive: a differs from b by 1.00 [0.83, 1.17] (needs to be within 1.1); would need about 5 seeds",
            {"kind": "equal", "than": "b", "tol": 1.1},
        ),
        (
            "reproduced: a has score 11.00 [10.83, 11.17] (needs within 0.5 of 11.25)",
            {"kind": "reaches", "value": 11.25, "tol": 0.5},
        ),
        (
            "reproduced: a has error 11.00 [10.83, 11.17] (needs within 0.5 of 11.25)",
            {"kind": "reaches", "value": 11.25, "tol": 0.5, "metric": "error"},
        ),
        (
            "reproduced: a has score 11.00 [10.83, 11.17] (needs more than 10.06)",
            {"kind": "greater", "value": 10.06},
        ),
        (
            "contradicted: a has error 11.00 [10.83, 11.17] (needs less than 9.56)",
            {"kind": "greater", "value": 10.06, "by": 0.5, "metric": "error"},
        ),
        (
            "reproduced: a is 1.100 times [1.083, 1.117] as good as b (needs > 1.05 times)",
            {"kind": "ratio", "than": "b", "by": 1.05},
        ),
        (
            "reproduced: a is better than b by 0.9 (needs > 0); nothing depends on chance",
            {"kind": "greater", "than": "b", "seeds": 1},
        ),
        ("not run: the suite has no cell for it: needs method z on task toy/fit", {"kind": "greater", "than": "z"}),
    ],
)
def test_sentence_names_sides_interval_and_requirement(text, arguments):
    assert sentence_of(CLEAR, **arguments) == text


def test_numbers_have_enough_digits_to_differ():
    """11.5238210325 differs from 11.52382104 by more than half a unit of its last digit, so all digits are shown."""
    text = "contradicted: a has score 11.5238210325 (needs within 5e-09 of 11.52382104); nothing "
    result = sentence_of([1.5238210325] * 3, kind="reaches", value=11.52382104, tol=5e-9, seeds=1)
    assert result == text + "depends on chance"


def test_sentence_says_if_no_feasible_number_of_seeds_decides():
    assert sentence_of([-1.0, 1.001, 0.0], kind="greater", than="b").endswith("; would need more than 1000 seeds")


def test_sentence_names_the_weakest_setting():
    cells = cross("ab", 3, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="greater", than="b", each=True)
    text = "reproduced: a is better than b by 1 [1, 1] (needs > 0), at the weakest of 2 settings: size=8"
    assert sentence(verdict(of, cells, records), of) == text


def test_sentence_names_settings_that_are_compared():
    cells = cross("ab", 3, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="greater", where={"size": 32}, than_where={"size": 8})
    text = "reproduced: a with size=32 is better than a with size=8 by 3 [3, 3] (needs > 0)"
    assert sentence(verdict(of, cells, records), of) == text
    gap = claim(kind="greater", than="b", where={"size": 32}, gap_than_where={"size": 8})
    text = "reproduced: the lead of a over b with size=32 is larger than it is with size=8 by 3 [3, 3] (needs > 0)"
    assert sentence(verdict(gap, cells, records), gap) == text


def test_sentence_omits_restrictions_of_both_sides():
    cells = cross("ab", 3, size=[8, 32], rate=[0.1])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="equal", tol=9, where={"size": 32, "rate": 0.1}, than_where={"size": 8, "rate": 0.1})
    text = "reproduced: a with size=32 differs from a with size=8 by 3 [3, 3] (needs to be within 9)"
    assert sentence(verdict(of, cells, records), of) == text


def test_negative_difference_reads_as_worse():
    text = "inconclusive: a is worse than b by 0.4 [-1.5, 2.3] (needs better by > 0); would need about 24 seeds"
    assert sentence_of([0.9, -1.0, -1.1], kind="greater", than="b") == text


def test_sentence_counts_violations():
    of = claim(kind="holds", metric="violations")
    cells = cross("a", 2)
    without = verdict(of, cells, measured(cells, lambda _: 0.0, "violations"))
    assert sentence(without, of) == "reproduced: no violation in 2 cells"
    with_one = verdict(of, cells, measured(cells, lambda c: float(c.seed), "violations"))
    assert sentence(with_one, of).startswith("contradicted: 1 of 2 cells have violations; first: a on toy/fit")
