"""Run one cell in this process, whatever the engine, and turn what happens into a record."""

from __future__ import annotations

import math
import random
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cell import Cell, Curve, Record, Status
from harness.errors import CannotRunHere, HarnessError, UnknownName, UsageError
from harness.records.items import MEAN_TOLERANCE, MOST_ITEMS, are_outcomes, item_digest
from harness.registry.datasets import load
from harness.running.memory import PeakMemory, at_most, ran_out
from harness.running.run import Run
from harness.spec import Task, resolve

if TYPE_CHECKING:
    from harness.registry import Registry


def execute(
    cell: Cell,
    registry: Registry,
    *,
    slot: str = "cpu",
    environment: str | None = None,
    memory_limit: int | None = None,
    report: Callable[[float], None] = lambda fraction: None,
    keep_items: Callable[[bytes], None] = lambda content: None,
) -> Record:
    """Run a cell and return its record. Whatever the plugin's code raises becomes a failed record with its cause.

    ``keep_items`` gets the outcomes that the record names by their digests.

    ``memory_limit`` is what this process may take beyond what it holds when the task begins, in bytes. Data are
    loaded and the method is built before the clock starts, so that ``seconds`` and ``peak_bytes`` are the task's own.
    """
    started, begin = now(), time.perf_counter()
    curves: dict[str, Curve] = {}
    run: Run | None = None
    memory = PeakMemory(slot)
    metrics: dict[str, float] = {}
    items: dict[str, bytes] = {}
    status: Status = "done"
    cause = None
    try:
        method, task = registry.methods[cell.method], registry.tasks[cell.task]
        datasets = {name: registry.datasets[name] for name in task.datasets}
        for dataset in datasets.values():
            load(dataset)
        seed_everything(cell.random_seed, slot)
        code = resolve(task.run)
        built = method.create(**{k: cell.options[k] for k in method.options})
        named = registry.named(cell.method, cell.task, cell.options)
        run = Run(cell, {k: cell.options[k] for k in task.options}, datasets, slot, report, named)
        memory.start()
        begin = time.perf_counter()
        with at_most(memory_limit):
            metrics = check_metrics(task, code(built, run))
        curves = check_curves(task, run.curves)
        items = check_items(task, run.items, metrics)
    except CannotRunHere as error:
        status, cause = "skipped", str(error)
    except BaseException as error:  # noqa: BLE001  a method may fail in any way; that is its result
        status, cause = "failed", explain(error, memory_limit)
        # To stderr, which engines keep with the record.
        traceback.print_exc()
        with suppress(Exception):
            curves = check_curves(task, run.curves) if run is not None else {}
    seconds = time.perf_counter() - begin
    for content in items.values():
        keep_items(content)
    return record_of(
        cell,
        status,
        cause,
        metrics=metrics,
        curves=curves,
        items={name: item_digest(content) for name, content in items.items()},
        seconds=seconds,
        peak_bytes=memory.stop(),
        environment=environment,
        started=started,
    )


def record_of(cell: Cell, status: Status, cause: str | None, **more: Any) -> Record:
    """A record of this cell, finished now."""
    return Record(
        id=cell.id,
        suite=cell.suite,
        method=cell.method,
        task=cell.task,
        options=dict(cell.options),
        device=cell.device,
        dtype=cell.dtype,
        seed=cell.seed,
        status=status,
        cause=cause,
        code=cell.code,
        data=dict(cell.data),
        finished=now(),
        **{"started": now(), **more},
    )


def check_metrics(task: Task, returned: object) -> dict[str, float]:
    """What a task returned, as finite floats. Raises UsageError for one that is missing, unknown or not finite."""
    if not isinstance(returned, Mapping):
        raise UsageError(f"task {task.name} returned {type(returned).__name__}, not a mapping of metrics")
    for name in returned:
        if name not in task.metrics:
            raise UnknownName(f"metric returned by {task.name}:", str(name), task.metrics)
    if missing := [name for name in task.metrics if name not in returned]:
        raise UsageError(f"task {task.name} did not return the metric it promises: {', '.join(missing)}")
    metrics = {}
    for name, value in returned.items():
        try:
            metrics[name] = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"task {task.name}: metric {name} = {value!r} is not a number") from None
        if not math.isfinite(metrics[name]):
            raise UsageError(f"task {task.name}: metric {name} = {metrics[name]} is not finite")
    return metrics


def check_curves(task: Task, curves: object) -> dict[str, Curve]:
    """What a task has logged: lists of (step, finite value) by name. Raises UsageError for anything else."""
    if not isinstance(curves, Mapping):
        raise UsageError(f"task {task.name}: its run's curves are a {type(curves).__name__}, not a mapping of lists")
    checked: dict[str, Curve] = {}
    for name, points in curves.items():
        try:
            checked[str(name)] = [(int(step), float(value)) for step, value in points]
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"task {task.name}: the curve {str(name)!r} is no list of (step, value)") from None
        if bad := [step for step, value in checked[str(name)] if not math.isfinite(value)]:
            raise UsageError(f"task {task.name}: the curve {str(name)!r} is not finite at step {bad[0]}")
    return checked


def check_items(task: Task, items: object, metrics: Mapping[str, float]) -> dict[str, bytes]:
    """The outcomes that a task has handed over, by metric. Raises UsageError for those that are not its metric's."""
    if not isinstance(items, Mapping):
        raise UsageError(f"task {task.name}: its run's items are a {type(items).__name__}, not a mapping of bytes")
    for name, content in items.items():
        if name not in metrics:
            raise UnknownName(f"outcomes of {task.name}: metric", str(name), metrics)
        if not isinstance(content, bytes) or not are_outcomes(content):
            raise UsageError(f"task {task.name}: the outcomes of {name} are no bytes that are 0 or 1")
        if abs((share := content.count(1) / len(content)) - metrics[name]) > MEAN_TOLERANCE:
            raise UsageError(
                f"task {task.name}: {name} = {metrics[name]:.6g}, and the mean of its outcomes is {share:.6g}; "
                "a metric with outcomes is their mean"
            )
    if sum(map(len, items.values())) > MOST_ITEMS:
        raise UsageError(f"task {task.name}: outcomes of more than {MOST_ITEMS:,} items in all")
    return dict(items)


def explain(error: BaseException, memory_limit: int | None = None) -> str:
    """One sentence on an exception: what it is and which line of the plugin raised it."""
    if isinstance(error, HarnessError):
        return str(error)
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  an exception of a plugin may be unable to say what it is
        text = "its message cannot be printed"
    if isinstance(error, SystemExit):
        what = f"called sys.exit({error.code!r})"
    elif place := ran_out(error):
        limit = f" (limit {memory_limit / 1e9:.3g} GB)" if memory_limit and "GPU" not in place else ""
        what = f"{place}{limit}: {text[:300] or type(error).__name__}"
    else:
        what = f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    here = Path(__file__).parent
    own = [f for f in frames if here not in Path(f.filename).parents and "/site-packages/torch/" not in f.filename]
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name})" if own else ""
    # Half of a surrogate pair cannot be written anywhere.
    return (what + place).encode(errors="replace").decode()


def seed_everything(seed: int, slot: str = "cpu") -> None:
    """Seed Python's, numpy's and torch's global generators. Tasks should use their Run's own instead."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if slot == "cpu":
        # torch.manual_seed formats a traceback for each kind of GPU there might be, which takes 2 ms.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
