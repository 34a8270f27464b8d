"""``--only``: values of one axis add up, axes narrow each other, and what no cell has is refused."""

from __future__ import annotations

import pytest

from harness.cell import Cell
from harness.errors import UnknownName, UsageError
from harness.planning.selection import select

CELLS = [
    Cell("s", m, "t/x", {"size": size, "rate": rate, "flip": flip}, "cpu", "float32", seed, "code")
    for m in ("plain", "lifted")
    for size in (8, 32, 256)
    for rate, flip in ((0.5, True), (1.0, False))
    for seed in range(11)
]


@pytest.mark.parametrize(
    ("only", "condition"),
    [
        (["size=8"], lambda c: c.options["size"] == 8),
        (["size=8,32"], lambda c: c.options["size"] in (8, 32)),
        (["size=8", "size=32"], lambda c: c.options["size"] in (8, 32)),
        (["size=8", "method=plain"], lambda c: c.options["size"] == 8 and c.method == "plain"),
        (["method=*i*", "seed=1"], lambda c: c.seed == 1),
        (["method=l*"], lambda c: c.method == "lifted"),
        (["seed=1?"], lambda c: c.seed == 10),
        (["rate=1"], lambda c: c.options["rate"] == 1.0),
        (["rate=1.00"], lambda c: c.options["rate"] == 1.0),
        (["rate=5e-1"], lambda c: c.options["rate"] == 0.5),
        (["flip=true"], lambda c: c.options["flip"] is True),
        (["task=t/*", "device=cpu", "dtype=float32", "seed=0"], lambda c: c.seed == 0),
    ],
)
def test_selected_cells_are_those_that_match_in_the_order_of_the_plan(only, condition):
    assert select(CELLS, only) == [c for c in CELLS if condition(c)]


def test_cell_without_the_option_is_not_selected():
    other = Cell("s", "plain", "t/y", {}, "cpu", "float32", 0, "code")
    assert select([other, *CELLS], ["size=*"]) == CELLS


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["size"], "--only size: AXIS=VALUE is needed, such as seed=0"),
        (["size="], "--only size=: AXIS=VALUE is needed"),
        (["sise=8"], "--only sise=8: unknown axis 'sise'; did you mean 'size'?"),
        (["size=9"], "--only size=9: no cell has it; values here: 8, 32, 256"),
        (["size=8,9"], "--only size=9: no cell has it"),
        (["size=8.0"], "--only size=8.0: no cell has it; values here: 8, 32, 256"),
        (["seed=11"], "values here: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        (["method=plane"], "no cell has it; did you mean 'plain'? values here: lifted, plain"),
    ],
)
def test_what_no_cell_has_is_refused(only, message):
    with pytest.raises(UsageError) as error:
        select(CELLS, only)
    assert message in str(error.value)
    assert isinstance(error.value, UnknownName) == ("unknown" in message)


def test_values_that_exist_but_not_together_are_refused():
    cells = [c for c in CELLS if (c.method, c.options["size"]) != ("plain", 8)]
    with pytest.raises(UsageError, match="--only method=plain --only size=8: no cell is left; each value exists"):
        select(cells, ["method=plain", "size=8"])
