"""How a verdict reads."""

import pytest
from toy_plan import by_seed, claim, cross, measured, verdict

from harness.judge import sentence

CLEAR = [0.9, 1.0, 1.1]


def said(differences, metric="score", **test):
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
def test_a_verdict_reads_as_a_sentence(text, arguments):
    assert said(CLEAR, **arguments) == text


def test_a_number_is_told_from_the_printed_one_to_the_digits_that_decide():
    """11.5238210325 is not 11.52382104 to half a unit of its last digit: both are needed in full."""
    text = "contradicted: a has score 11.5238210325 (needs within 5e-09 of 11.52382104); nothing "
    found = said([1.5238210325] * 3, kind="reaches", value=11.52382104, tol=5e-9, seeds=1)
    assert found == text + "depends on chance"


def test_a_hopeless_claim_says_so():
    assert said([-1.0, 1.001, 0.0], kind="greater", than="b").endswith("; would need more than 1000 seeds")


def test_the_weakest_setting_is_named():
    cells = cross("ab", 3, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="greater", than="b", each=True)
    text = "reproduced: a is better than b by 1 [1, 1] (needs > 0), at the weakest of 2 settings: size=8"
    assert sentence(verdict(of, cells, records), of) == text


def test_settings_are_named_where_they_are_what_is_compared():
    cells = cross("ab", 3, size=[8, 32])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="greater", where={"size": 32}, than_where={"size": 8})
    text = "reproduced: a with size=32 is better than a with size=8 by 3 [3, 3] (needs > 0)"
    assert sentence(verdict(of, cells, records), of) == text
    gap = claim(kind="greater", than="b", where={"size": 32}, gap_than_where={"size": 8})
    text = "reproduced: the lead of a over b with size=32 is larger than it is with size=8 by 3 [3, 3] (needs > 0)"
    assert sentence(verdict(gap, cells, records), gap) == text


def test_restrictions_that_both_sides_share_are_not_repeated():
    cells = cross("ab", 3, size=[8, 32], rate=[0.1])
    records = measured(cells, lambda c: c.options["size"] / 8 if c.method == "a" else 0.0)
    of = claim(kind="equal", tol=9, where={"size": 32, "rate": 0.1}, than_where={"size": 8, "rate": 0.1})
    text = "reproduced: a with size=32 differs from a with size=8 by 3 [3, 3] (needs to be within 9)"
    assert sentence(verdict(of, cells, records), of) == text


def test_what_points_the_other_way_is_turned_around():
    text = "inconclusive: a is worse than b by 0.4 [-1.5, 2.3] (needs better by > 0); would need about 24 seeds"
    assert said([0.9, -1.0, -1.1], kind="greater", than="b") == text


def test_violations_read_as_a_sentence():
    of = claim(kind="holds", metric="violations")
    cells = cross("a", 2)
    good = verdict(of, cells, measured(cells, lambda _: 0.0, "violations"))
    assert sentence(good, of) == "reproduced: no violation in 2 cells"
    bad = verdict(of, cells, measured(cells, lambda c: float(c.seed), "violations"))
    assert sentence(bad, of).startswith("contradicted: 1 of 2 cells have violations; first: a on toy/fit")
