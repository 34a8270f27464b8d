"""Running recorded cells a second time, as they would run today, and comparing what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cell import Cell, Record
from harness.errors import DatasetError, DatasetMissing, HarnessError, UsageError
from harness.records import RecordsFile
from harness.records.provenance import packages, usable_cores
from harness.registry import Registry
from harness.registry.datasets import locate
from harness.running.engines import EngineFunction, Settings
from harness.running.engines.devices import check_devices_exist
from harness.spec import read_options, resolve
from harness_plugins.rerun.changes import code_and_data, differences, environment_of, may_explain, package_changes
from harness_plugins.rerun.outcome import Outcome, compare, same_bits, tolerances

#: Folder inside the results where second runs are kept: a results folder of its own.
RERUNS = "reruns"
#: Cells that did not give their bits and are run once more, to tell a cell that never does from another place.
PROBES = 3


@dataclass(frozen=True)
class Planned:
    """A record whose cell is about to run again, or why it cannot."""

    record: Record
    cell: Cell | None
    cause: str = ""
    changed: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)


def plan(records: Sequence[Record], folder: Path, registry: Registry) -> list[Planned]:
    """Each record's cell as it stands today, with everything that is known to have changed since."""
    planned = []
    for record in records:
        environment = environment_of(record, folder)
        try:
            cell = _cell(record, registry)
        except HarnessError as error:
            planned.append(Planned(record, None, str(error), environment=environment))
            continue
        changed = code_and_data(record, cell, environment, registry)
        changed += package_changes(environment.get("packages") or {}, packages())
        planned.append(Planned(record, cell, "", tuple(changed), environment))
    return planned


def run_again(
    planned: Sequence[Planned],
    folder: Path,
    registry: Registry,
    tell: Callable[[Record], None] = lambda record: None,
    jobs: int | None = None,
) -> list[Outcome]:
    """Run the cells and compare each with its record, in the order given. The runs are kept in ``reruns``.

    Cells that came out otherwise are run once more, a few of them, which tells whether they can be repeated at all.
    """
    file = RecordsFile(folder / RERUNS)
    file.prepare()
    everything = list(RecordsFile(folder).load().by_id.values())
    cells = {one.cell.id: one.cell for one in planned if one.cell is not None}
    first = _run(list(cells.values()), file, registry, tell, jobs)
    outcomes = []
    for one in planned:
        again = first.get(one.cell.id) if one.cell is not None else None
        if again is None:
            cause = one.cause or "it was interrupted"
            outcomes.append(Outcome(record=one.record, word="not-run", cause=cause, changed=one.changed))
            continue
        now = environment_of(again, file.folder)
        outcomes.append(
            replace(
                compare(one.record, again, tolerances(one.record, everything), _timed(one.record, registry)),
                changed=one.changed,
                differs=differences(one.environment, now) if one.environment else ("its environment is not recorded",),
            )
        )
    odd = {o.again.id: o.again for o in outcomes if o.again is not None and o.word != "bit-equal"}
    second = _run([cells[i] for i in list(odd)[:PROBES]], file, registry, tell, jobs)
    return [
        replace(o, repeatable=same_bits(o.again, second[o.again.id], _timed(o.record, registry)))
        if o.again and o.again.id in second
        else o
        for o in outcomes
    ]


def _timed(record: Record, registry: Registry) -> set[str]:
    """Metrics of the record's task that tell of the machine at that moment."""
    return {name for name, metric in registry.tasks[record.task].metrics.items() if metric.timed}


def explanation(outcome: Outcome) -> str:
    """Why a cell came out otherwise, as far as it is known, in a sentence."""
    causes = [*outcome.changed, *(d for d in outcome.differs if may_explain(d) and d not in outcome.changed)]
    if outcome.repeatable is False:
        causes.insert(0, "two runs here differ from each other too: the method or the task is not deterministic")
    if causes:
        return "; ".join(causes)
    if outcome.repeatable:
        return "it repeats here bit for bit, and nothing that is recorded of the environment differs"
    return "nothing that is recorded of the environment differs"


def _cell(record: Record, registry: Registry) -> Cell:
    """The cell that a record's would be today. Raises HarnessError where it cannot be run."""
    method, task = registry.methods[record.method], registry.tasks[record.task]
    declared = {**method.options, **task.options}
    options = read_options(f"{record.method} on {record.task}", declared, record.options)
    check_devices_exist((record.device,))
    data: dict[str, str | None] = {}
    for name in task.datasets:
        try:
            data[name] = locate(registry.datasets[name]).digest
        except (DatasetMissing, DatasetError) as error:
            raise UsageError(f"{error} (the record's data set had the digest {record.data.get(name)})") from None
    return Cell(
        suite=record.suite,
        method=record.method,
        task=record.task,
        options=options,
        device=record.device,
        dtype=record.dtype,
        seed=record.seed,
        code=registry.code(record.method, record.task),
        data=data,
        own=tuple(name for name in method.options if name not in task.options),
    )


def _run(
    cells: Sequence[Cell], file: RecordsFile, registry: Registry, tell: Callable[[Record], None], jobs: int | None
) -> dict[str, Record]:
    """Run cells through the local engine; each record is on disk before anybody is told."""
    if not cells:
        return {}
    engine: EngineFunction = resolve(registry.engines["local"].run)
    settings = Settings(
        jobs=jobs or usable_cores(),
        slots=tuple(dict.fromkeys("cpu" if cell.device == "cpu" else f"{cell.device}:0" for cell in cells)),
        plugins=registry.extra,
        on_environment=file.add_environment,
    )
    found = {}
    for _, record in engine(cells, settings):
        file.append(record)
        found[record.id] = record
        tell(record)
    return found
