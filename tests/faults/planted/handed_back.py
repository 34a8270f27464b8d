"""Faults in what a cell hands back to the process that runs the suite."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

Metrics = dict[str, float]
GOOD: Metrics = {"total": 1.0, "noise": 0.0}


def _sockets() -> Iterator[int]:
    """The sockets of this process: one leads to the process that runs the suite."""
    for descriptor in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                yield descriptor
        except OSError:
            continue


def _write(content: bytes) -> None:
    for descriptor in _sockets():
        os.write(descriptor, content)


def curve_of_objects(run: Any) -> Metrics:
    run.curves["loss"] = [(0, object())]
    return GOOD


def curve_not_finite(run: Any) -> Metrics:
    run.curves["loss"] = [(0, 1.0), (1, math.nan)]
    return GOOD


def curve_is_text(run: Any) -> Metrics:
    run.curves["loss"] = "falling"
    return GOOD


def curves_are_none(run: Any) -> Metrics:
    run.curves = None
    return GOOD


def finite_is_patched(run: Any) -> Metrics:
    del run
    math.isfinite = lambda _: True  # type: ignore[assignment]
    return {"total": math.inf, "noise": 0.0}


def json_is_patched(run: Any) -> Metrics:
    del run
    import json

    json.dumps = lambda *_, **__: "patched"
    return GOOD


def garbage_line(run: Any) -> Metrics:
    del run
    _write(b"garbage\n")
    os._exit(0)


def garbage_without_end(run: Any) -> Metrics:
    del run
    _write(b"\x00\xff\xff\xff garbage")
    os._exit(0)


def garbage_then_good(run: Any) -> Metrics:
    del run
    _write(b'{"outcome": {"status": "done"}}\n{"progress": "all"}\n[[[[[[\n')
    return GOOD


def deep_garbage(run: Any) -> Metrics:
    del run
    _write(b"[" * 100_000 + b"\n")
    os._exit(0)


def pipe_closed(run: Any) -> Metrics:
    del run
    for descriptor in _sockets():
        os.close(descriptor)
    return GOOD


def keyboard_interrupt(run: Any) -> Metrics:
    del run
    raise KeyboardInterrupt


def stdout_closed(run: Any) -> Metrics:
    del run
    sys.stdout.close()
    sys.stderr.close()
    return GOOD


def exits_with_1(run: Any) -> Metrics:
    del run
    os._exit(1)


def exits_with_255(run: Any) -> Metrics:
    del run
    os._exit(255)


def exits_with_0(run: Any) -> Metrics:
    del run
    os._exit(0)


def exit_is_patched(run: Any) -> Metrics:
    del run
    os._exit = lambda _: None  # type: ignore[assignment]
    return GOOD


def progress_is_text(run: Any) -> Metrics:
    run.progress("much", 1)
    return GOOD


def items_good(run: Any) -> Metrics:
    run.outcomes("total", [True, True])
    return GOOD


def items_of_floats(run: Any) -> Metrics:
    run.outcomes("total", [1.0, 1.0])
    return GOOD


def items_not_finite(run: Any) -> Metrics:
    run.outcomes("total", [1, math.nan])
    return GOOD


def items_nested(run: Any) -> Metrics:
    run.outcomes("total", [[1], [[{}], 1]])
    return GOOD


def items_of_other_numbers(run: Any) -> Metrics:
    run.outcomes("total", [1, 2])
    return GOOD


def items_of_no_metric(run: Any) -> Metrics:
    run.outcomes("totl", [1, 1])
    return GOOD


def items_with_another_mean(run: Any) -> Metrics:
    run.outcomes("total", [1, 0])
    return GOOD


def items_twice(run: Any) -> Metrics:
    run.outcomes("total", [1, 1])
    run.outcomes("total", [1, 1])
    return GOOD


def items_are_none(run: Any) -> Metrics:
    run.items = None
    return GOOD


def items_are_text(run: Any) -> Metrics:
    run.items["total"] = b"11"
    return GOOD


def items_too_many(run: Any) -> Metrics:
    import numpy as np

    run.outcomes("total", np.ones(10_000_001, dtype=bool))
    return GOOD


def items_unchecked(run: Any) -> Metrics:
    del run
    from harness.running import execute

    execute.check_items = lambda *_: {"total": b"ab"}
    return GOOD


def items_unchecked_of_a_path(run: Any) -> Metrics:
    del run
    from harness.running import execute

    execute.check_items = lambda *_: {"../total": b"\1"}
    return GOOD


HANDED_BACK: dict[str, Callable[[Any], Metrics]] = {
    act.__name__: act
    for act in (
        curve_of_objects,
        curve_not_finite,
        curve_is_text,
        curves_are_none,
        finite_is_patched,
        json_is_patched,
        garbage_line,
        garbage_without_end,
        garbage_then_good,
        deep_garbage,
        pipe_closed,
        keyboard_interrupt,
        stdout_closed,
        exits_with_1,
        exits_with_255,
        exits_with_0,
        exit_is_patched,
        progress_is_text,
        items_good,
        items_of_floats,
        items_not_finite,
        items_nested,
        items_of_other_numbers,
        items_of_no_metric,
        items_with_another_mean,
        items_twice,
        items_are_none,
        items_are_text,
        items_too_many,
        items_unchecked,
        items_unchecked_of_a_path,
    )
}
