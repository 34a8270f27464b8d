"""How a suite opens in MLflow: the tags of its experiment, with saved views of the columns that matter.

MLflow keeps a saved view as JSON in a tag of the experiment, and offers it in the menu "Views" and under an address
of its own. A version of MLflow that does not know one of the view's keys ignores it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from harness_plugins.tracking.names import RunNames
from harness_plugins.tracking.runs import KIND

if TYPE_CHECKING:
    from harness.cell import SuiteRun

_VIEW = "mlflow.sharedViewState."
_NAME, _STATUS = "attributes.`Run Name`", "runDateAndNestInfo"
#: Widths of columns in pixels; MLflow's own width cuts most of them.
_WIDTHS = {
    _NAME: 270,
    _STATUS: 130,
    "verdict": 115,
    "verdicts": 260,
    "questions": 260,
    "interval": 235,
    "needs": 185,
    "says": 700,
    "sentence": 520,
    "source": 200,
    "cause": 420,
}
#: Width of any other column, and what each letter of a heading needs.
_LEAST_WIDTH, _LETTER_WIDTH = 90, 9
#: Of the column of names: what stands before a name, what each letter needs, and the most.
_NAME_ROOM, _NAME_LETTER, _MOST_WIDTH = 95, 6, 760


def experiment_tags(run: SuiteRun) -> dict[str, str]:
    """Title, kind of page and saved views of a suite's experiment."""
    tasks = list(run.tasks.values())
    metrics = list(dict.fromkeys(name for task in tasks for name in task.metrics))
    names = RunNames(run.cells)
    axes = sorted(set().union(*names.axes.values()))
    params = _columns("params", "method", *(["task"] if len(tasks) > 1 else []), *axes)
    cost = _columns("metrics", "seconds", "peak_mb")
    methods = [
        *_columns("metrics", "n"),
        *_columns("tags", *(f"interval.{name}" for name in metrics), "verdicts"),
        *cost,
        *params,
        *_columns("tags", "cause"),
    ]
    claims = [
        *_columns("tags", "verdict", "interval", "needs", "says"),
        *_columns("metrics", "n", "p_holm"),
        *_columns("tags", "sentence", "origin", "primary", "source", "fidelity"),
    ]
    settings = {names.of(cell) for cell in run.cells}
    statements = {*run.claims, *(f"check {claim}" for claim in run.claims)}
    seeds = [*_columns("metrics", *metrics), *cost, *params, *_columns("tags", "cause")]
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": run.title,
        **_view("methods", "Methods", "= 'summary'", methods, settings),
        # Kinds that begin with c: "claim" and "check".
        **_view("claims", "Claims and the checks that they rest on", "LIKE 'c%'", claims, statements),
        # Kinds that begin with s: "summary" and "seed".
        **_view("seeds", "Methods with their seeds", "LIKE 's%'", seeds, {f"seed 00 · {name}" for name in settings}),
    }


def _columns(kind: str, *names: str) -> list[str]:
    return [f"{kind}.`{name}`" for name in names]


def _view(key: str, name: str, kinds: str, columns: Sequence[str], runs: Collection[str]) -> Mapping[str, str]:
    """A saved view; ``runs`` are the names of its runs, whose column is wide enough for the longest."""
    widths = {column: _width(column) for column in (_STATUS, *columns)}
    widths[_NAME] = min(_MOST_WIDTH, max(_WIDTHS[_NAME], _NAME_ROOM + _NAME_LETTER * max(map(len, runs), default=0)))
    state = {
        "searchFilter": f'tags."{KIND}" {kinds}',
        "selectedColumns": columns,
        "columnOrder": [_NAME, _STATUS, *columns],
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",
    }
    return {f"{_VIEW}{key}": json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})}


def _width(column: str) -> int:
    """The width of a column: its heading must be readable."""
    heading = column.partition("`")[2].rstrip("`")
    width = _WIDTHS.get(column) or _WIDTHS.get(heading.partition(".")[0], _LEAST_WIDTH)
    return max(width, _LETTER_WIDTH * len(heading) + 20)
