"""Random expressions: every part is labelled once, and rightly."""

from __future__ import annotations

import math

import numpy as np

from harness_plugins.efficient_global_pointer.expressions import expression

#: Values of the names in expressions, for computing them.
NAMES = {"max": lambda *a: max(a), "min": lambda *a: min(a), "mean": lambda *a: sum(a) / len(a)}
NAMES |= {"x": 7.1, "y": 2.3, "z": 3.9, "rate": 5.7, "cost": 1.3}


def test_parts_of_expressions_are_labelled_once_and_rightly():
    rng = np.random.default_rng(0)
    for _ in range(300):
        row = expression(rng)
        assert len(set(row.entities)) == len(row.entities) > 0
        for entity in row.entities:
            part = row.text[entity.start : entity.end + 1]
            assert math.isfinite(eval(part, dict(NAMES)))
            outside = depth_zero(part)
            has_type = {
                "sum": any(c in "+-" for c in outside),
                "product": any(c in "*/" for c in outside) and not any(c in "+-" for c in outside),
                "group": part[0] == "(" and outside == "()",
                "call": outside in ("max()", "min()", "mean()"),
            }
            assert has_type[entity.type], (part, entity.type)


def depth_zero(text):
    """The text outside brackets, with the outermost brackets themselves."""
    depth, outside = 0, ""
    for character in text:
        depth -= character == ")"
        outside += character if depth == 0 else ""
        depth += character == "("
    return outside


def test_whole_expressions_and_all_brackets_are_labelled():
    for seed in range(30):
        row = expression(np.random.default_rng(seed))
        assert (0, len(row.text) - 1) in {(e.start, e.end) for e in row.entities}
        brackets = row.text.count("(")
        assert sum(e.type in ("group", "call") for e in row.entities) == brackets
