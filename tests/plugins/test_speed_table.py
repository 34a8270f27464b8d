"""What ``harness bench`` prints fits a narrow terminal, and a wide one gets every column."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.registry import load_registry
from harness_plugins.speed.conditions import Conditions
from harness_plugins.speed.machine import Rates
from harness_plugins.speed.peak import Cost
from harness_plugins.speed.points import Machine, Point, Row
from harness_plugins.speed.ratios import Ratio
from harness_plugins.speed.table import show

WORKLOAD = load_registry().workloads["contrastive/two-view-batch"]
MACHINES = [Machine("cpu", 1, Rates(3.5e9, 18.7e9))]


def row(method, ratio):
    blocks, ratios = ((1.02e-3,), (1.23e-3,)), (ratio, ratio)
    directions = ("forward", "both")
    return Row(
        method,
        "timed",
        cost=Cost(25_100_000, 1e-3, 2e-3, 1.0),
        blocks=dict(zip(directions, blocks, strict=True)),
        ratios=dict(zip(directions, ratios, strict=True)),
    )


ROWS = (
    row(WORKLOAD.baseline, Ratio(1.0, 1.0, 1.0)),
    row("infonce-cross-entropy-compiled", Ratio(0.6684, 0.664, 0.6729)),
    row("slow", Ratio(0.5, 0.0, float("inf"))),
)


def lines(width, backward=True):
    size = (("batch", 256), ("dimension", 128))
    conditions = Conditions(WORKLOAD.name, size, "cpu", "float32", 1, backward=backward)
    out = io.StringIO()
    show(Console(file=out, width=width), [Point(conditions, WORKLOAD, WORKLOAD.baseline, ROWS)], MACHINES)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("backward", [True, False])
def test_at_80_columns_no_line_is_longer_and_no_number_is_cut(backward):
    printed = lines(80, backward)
    assert max(map(len, printed)) <= 80
    text = "\n".join(printed)
    assert "0.6684 [0.6640, 0.6729]" in text and "25.1 MB" in text and "1.02 ms" in text
    assert ("1.23 ms" in text) == backward


def test_a_narrow_table_says_what_a_wider_one_has():
    narrow, wide = ("\n".join(lines(width)) for width in (80, 140))
    assert "copy and matmul: in a wider terminal" in narrow
    assert "wider terminal" not in wide
    header = next(line for line in wide.splitlines() if line.split()[:1] == ["method"])
    assert header.split() == ["method", "forward", "times", "both", "times,", "90", "%", "memory", "copy", "matmul"]


def test_a_method_that_was_called_once_has_no_interval():
    (slow,) = [line for line in lines(140) if line.split()[:1] == ["slow"]]
    assert slow.count("~0.5") == 2 and "[" not in slow
