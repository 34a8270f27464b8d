"""The setting of cells, records and summaries: one key for what differs in its seed alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.cell import Cell
from harness.planning.setting import (
    Setting,
    address_of,
    cell_of,
    key_of,
    label,
    typed,
    varying,
    varying_axes,
    varying_by_task,
)
from harness.running.execute import record_of
from harness.spec import Method, Metric, Task

CELL = Cell("s", "a", "t", {"size": 1, "rate": 0.5}, "cpu", "float32", 3, "code", {"d": "1"}, None, ("rate",))


def test_key_is_that_of_all_but_seed_code_data_and_order_of_options():
    same = replace(CELL, suite="other", seed=9, code="new", data={}, options={"rate": 0.5, "size": 1})
    assert key_of(CELL) == key_of(same) == key_of(record_of(CELL, "done", None))
    others = [
        replace(CELL, method="b"),
        replace(CELL, task="u"),
        replace(CELL, options={"size": True, "rate": 0.5}),
        replace(CELL, options={"size": 1, "rate": 0.25}),
        replace(CELL, device="cuda"),
        replace(CELL, dtype="float64"),
    ]
    assert len({key_of(cell) for cell in [CELL, *others]}) == 7


def test_address_is_the_key_and_the_seed():
    assert address_of(CELL) == f"{key_of(CELL)} 3"
    assert address_of(replace(CELL, code="new")) == address_of(CELL)


def test_cell_of_a_record_is_the_cell_that_left_it():
    method = Method(name="a", role="toy", build="math:hypot", options={"rate": 0.1, "size": 1})
    task = Task(name="t", role="toy", run="math:hypot", metrics={"m": Metric()}, options={"size": 1})
    registry = SimpleNamespace(methods={"a": method}, tasks={"t": task})
    assert cell_of(record_of(CELL, "done", None), registry) == CELL
    assert cell_of(record_of(CELL, "done", None), registry).id == CELL.id


@pytest.mark.parametrize(("a", "b", "same"), [(1, 1.0, True), (1, True, False), (0.0, False, False), ("1", 1, False)])
def test_values_are_compared_as_numbers_and_truths_apart(a, b, same):
    assert (typed(a) == typed(b)) is same


def test_options_that_vary_come_in_their_first_order():
    options = [{"b": 1, "a": 2, "c": 0}, {"a": 3, "b": 1.0, "c": False}, {"d": 1}]
    assert varying(options) == ["a", "c"]
    assert varying([]) == []
    cells = [replace(CELL, options={"size": s}, task=t) for s, t in [(1, "t"), (2, "t"), (1, "u")]]
    assert varying_by_task(cells) == {"t": ["size"], "u": []}


def test_axes_vary_if_settings_differ_in_them_and_own_options_within_a_method():
    other = replace(CELL, method="b", options={"size": 1, "rate": 0.9}, dtype="float64")
    assert varying_axes([CELL, other]) == ["dtype"], "each method has one rate of its own"
    assert varying_axes([CELL, replace(CELL, options={"size": 1, "rate": 0.9})]) == ["rate"]
    assert varying_axes([CELL, replace(CELL, seed=4)]) == []


def test_label_names_the_options_that_are_there():
    assert label({"size": 8, "rate": 0.5}, ["rate", "none", "size"]) == "rate=0.5 size=8"
    assert Setting.of(CELL).axes == {"size": 1, "rate": 0.5, "device": "cpu", "dtype": "float32"}
