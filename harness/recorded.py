"""Suites as their records stand, for whoever judges or shows them and runs nothing."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cell import Cell
from harness.errors import UnknownName
from harness.records import Record, RecordsFile
from harness.watchers import tell

if TYPE_CHECKING:
    from harness.plan import Session
    from harness.registry import Registry
    from harness.request import Request
    from harness.session import SuiteResult


def judged_suites(found: Registry, names: Sequence[str], request: Request) -> list[SuiteResult]:
    """Judge the suites that the names mean from their records, each restricted to the claims they mean.

    Names are suites, suite files, or claims (globs allowed); without any, every registered suite that has
    records. ``request`` says how many seeds, and where the records are.
    """
    from harness.plan import prepare
    from harness.session import judged

    for problem in found.claim_problems:
        tell(f"warning: {problem}")
    recorded: dict[str, list[Record]] = {}
    loaded = RecordsFile(request.folder).load()
    for record in loaded.by_id.values():
        recorded.setdefault(record.suite, []).append(record)
    suites = [name for name in names if name in found.suites or name.endswith(".toml")]
    patterns = [name for name in names if name not in suites]
    for pattern in patterns:
        if not fnmatch.filter(found.claims, pattern):
            raise UnknownName("suite or claim", pattern, [*found.suites, *found.claims])
    also = [name for name in found.suites if name in recorded and name not in suites and (patterns or not names)]
    results = []
    for name in (*suites, *also):
        own = recorded.get(Path(name).stem, [])
        kinds = tuple(sorted({record.device for record in own} or {"cpu"}))
        asked = replace(request, suite=name, devices=kinds)
        session = _as_recorded(prepare(asked, found, loaded=loaded), own)
        if name in also and patterns:
            claims = {i: c for i, c in session.suite.claims.items() if any(fnmatch.fnmatchcase(i, p) for p in patterns)}
            session = replace(session, suite=replace(session.suite, claims=claims))
        if name in suites or not patterns or session.suite.claims:
            results.append(judged(session, session.records))
    return results


def tell_unregistered(found: Registry, request: Request) -> None:
    """Say which suites have records but are known only by their file."""
    suites = {record.suite for record in RecordsFile(request.folder).load().by_id.values()}
    if unknown := sorted(suites - found.suites.keys()):
        tell(f"not registered, so name the file (and the plugin with -p): {', '.join(unknown)}")
    if not suites:
        tell(f"there are no records in {request.folder}; 'harness suite NAME' makes some")


def _as_recorded(session: Session, own: Sequence[Record]) -> Session:
    """The session with the cells that its suite's records stand for, whatever code and data made them.

    Records may come from another machine, where data sets were that are not here, or from before a change of
    the plugin; they are judged all the same, and a note says how many. More seeds than the suite asks for count.
    """
    registry = session.registry
    latest: dict[str, Record] = {}
    for record in sorted(own, key=lambda r: (r.good, r.finished)):
        if record.method in registry.methods and record.task in registry.tasks:
            latest[_address(record)] = record
    scope = [cell if cell.id in session.records else latest.pop(_address(cell), cell) for cell in session.scope]
    here = {_address(cell) for cell in scope}
    settings = {_setting(cell) for cell in session.scope}
    seeds = session.request.seeds
    more = [r for a, r in latest.items() if a not in here and _setting(r) in settings and seeds is None]
    # The looks of --until-decided take seeds in their order, whenever they ended.
    more.sort(key=lambda record: record.seed)
    if more and not session.request.until_decided:
        told = (
            f"note: {session.suite.name} has records of more seeds than it asks for, and all are judged as if that many"
        )
        tell(f"{told} had been planned; where 'suite --until-decided' added them, judge with --until-decided")
    cells = tuple(one if isinstance(one, Cell) else _cell(one, registry) for one in (*scope, *more))
    if other := sum(isinstance(one, Record) for one in scope):
        name = session.suite.name
        told = f"note: {other} record{'s' * (other != 1)} of {name} come from other code or data than are here now"
        tell(f"{told}; 'harness suite {name}' would run these cells again")
    return replace(session, scope=cells, cells=cells)


def _cell(record: Record, registry: Registry) -> Cell:
    """The cell that left a record."""
    method, task = registry.methods[record.method], registry.tasks[record.task]
    return Cell(
        suite=record.suite,
        method=record.method,
        task=record.task,
        options=record.options,
        device=record.device,
        dtype=record.dtype,
        seed=record.seed,
        code=record.code,
        data=record.data,
        own=tuple(name for name in method.options if name not in task.options),
    )


def _address(one: Cell | Record) -> str:
    """What stands for a cell whatever code and data made its record."""
    return f"{_setting(one)} {one.seed}"


def _setting(one: Cell | Record) -> str:
    options = json.dumps(dict(one.options), sort_keys=True)
    return f"{one.method} {one.task} {options} {one.device} {one.dtype}"
