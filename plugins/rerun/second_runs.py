"""Run recorded cells a second time, as they would run today, and compare the results with the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cell import Cell, Record
from harness.errors import DatasetError, DatasetMissing, HarnessError, UsageError
from harness.planning.cross import option_files
from harness.planning.request import Request
from harness.planning.setting import cell_of
from harness.records import RecordsFile
from harness.records.provenance import packages
from harness.registry import Registry
from harness.registry.datasets import locate
from harness.running.engines import Settings
from harness.running.engines.devices import check_devices_exist
from harness.running.runner import Finished, engine_settings, run_cells
from harness.spec import read_options
from harness_plugins.rerun.changes import code_and_data_changes, environment_changes, package_changes
from harness_plugins.rerun.outcome import Outcome, compare, same_bits, tolerances

#: Folder inside the results that holds the second runs: a results folder of its own.
RERUNS = "reruns"
#: At most so many cells without the bits of their record run once more: that tells a cell that never repeats from a
#: machine that computes differently.
MAX_PROBES = 3


@dataclass(frozen=True)
class Planned:
    """A record with the cell that will run again; without a cell, with the cause."""

    record: Record
    cell: Cell | None
    cause: str = ""
    #: What has changed since the record.
    changes: tuple[str, ...] = ()
    #: The environment of the record.
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)


def plan(records: Sequence[Record], folder: Path, registry: Registry) -> list[Planned]:
    """Give each record's cell as it would run today, with everything that is known to have changed since."""
    file = RecordsFile(folder)
    planned = []
    for record in records:
        environment = file.environment(record)
        try:
            cell = _cell_today(record, registry)
        except HarnessError as error:
            planned.append(Planned(record, None, str(error), environment=environment))
            continue
        changes = code_and_data_changes(record, cell, environment, registry)
        changes += package_changes(environment.get("packages") or {}, packages())
        planned.append(Planned(record, cell, "", tuple(changes), environment))
    return planned


def run_again(
    planned: Sequence[Planned],
    request: Request,
    registry: Registry,
    stop: Callable[[], bool] = lambda: False,
    on_finished: Callable[[Finished], None] = lambda finished: None,
) -> list[Outcome]:
    """Run the cells and compare each result with its record, in the order of ``planned``.

    ``request`` names the results folder and the limits of a cell. The new records go to ``reruns`` in that folder. A
    few cells without the bits of their record run once more, which tells whether they repeat at all.
    """
    recorded = list(RecordsFile(request.folder).load().by_id.values())
    cells = {item.cell.id: item.cell for item in planned if item.cell is not None}
    devices = tuple(dict.fromkeys(cell.device for cell in cells.values()))
    settings = replace(engine_settings(replace(request, devices=devices), request.worker_count), stop=stop)
    reruns = request.folder / RERUNS
    first = _run(list(cells.values()), reruns, registry, settings, on_finished)
    outcomes = [_outcome(item, first, recorded, RecordsFile(reruns), registry) for item in planned]
    doubtful = dict.fromkeys(o.again.id for o in outcomes if o.again is not None and o.word != "bit-equal")
    probes = [cells[i] for i in doubtful][:MAX_PROBES]
    second = _run([] if stop() else probes, reruns, registry, settings, on_finished)
    return [_with_probe(outcome, second, registry) for outcome in outcomes]


def _run(
    cells: Sequence[Cell],
    folder: Path,
    registry: Registry,
    settings: Settings,
    on_finished: Callable[[Finished], None],
) -> dict[str, Record]:
    """Run cells and append their records to the folder's. Give the new records by cell id."""
    if not cells:
        return {}
    # A new reader of the file: records from before it do not count as this run's.
    file = RecordsFile(folder)
    file.prepare()
    records = {}
    for finished in run_cells(cells, file, registry, "local", settings):
        records[finished.cell.id] = finished.record
        on_finished(finished)
    return records


def _outcome(
    planned: Planned, again: Mapping[str, Record], recorded: Sequence[Record], file: RecordsFile, registry: Registry
) -> Outcome:
    """Compare a record with its second run, one of ``again``, whose environment is kept beside ``file``."""
    record = planned.record
    second = again.get(planned.cell.id) if planned.cell is not None else None
    if second is None:
        cause = planned.cause or "interrupted before it ran"
        return Outcome(record=record, word="not-run", cause=cause, changed=planned.changes)
    outcome = compare(record, second, tolerances(record, recorded), _timed_metrics(record, registry))
    differences = ["its environment is not recorded"]
    if planned.environment:
        differences = environment_changes(planned.environment, file.environment(second))
    return replace(outcome, changed=planned.changes, differs=differences)


def _with_probe(outcome: Outcome, probes: Mapping[str, Record], registry: Registry) -> Outcome:
    """The outcome, and whether the cell's third run, where there is one, gave the bits of the second."""
    if outcome.again is None or outcome.again.id not in probes:
        return outcome
    timed = _timed_metrics(outcome.record, registry)
    return replace(outcome, repeatable=same_bits(outcome.again, probes[outcome.again.id], timed))


def _timed_metrics(record: Record, registry: Registry) -> set[str]:
    """Metrics of the record's task that measure time or memory: no two runs give the same."""
    return {name for name, metric in registry.tasks[record.task].metrics.items() if metric.timed}


def _cell_today(record: Record, registry: Registry) -> Cell:
    """The record's cell with today's options, code and data. Raises HarnessError where it cannot run."""
    recorded = cell_of(record, registry)
    method, task = registry.methods[record.method], registry.tasks[record.task]
    options = read_options(f"{method.name} on {task.name}", {**method.options, **task.options}, record.options)
    check_devices_exist((record.device,))
    code = registry.code(record.method, record.task, options)
    data = {**_dataset_digests(record, registry), **option_files(options, task, method)}
    return replace(recorded, options=options, code=code, data=data)


def _dataset_digests(record: Record, registry: Registry) -> dict[str, str | None]:
    digests: dict[str, str | None] = {}
    for name in registry.tasks[record.task].datasets:
        try:
            digests[name] = locate(registry.datasets[name]).digest
        except (DatasetMissing, DatasetError) as error:
            raise UsageError(f"{error} (the record's data set had the digest {record.data.get(name)})") from None
    return digests
