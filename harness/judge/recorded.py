"""Judge suites from their records alone, for whoever judges or shows them and runs nothing."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.cell import Record
from harness.errors import UnknownName
from harness.files.claims import claims_of
from harness.judge.result import SuiteResult, judge_plan
from harness.numbers import plural
from harness.planning.plan import Plan, make_plan
from harness.planning.request import Request
from harness.planning.setting import address_of, cell_of
from harness.records import Loaded, RecordsFile
from harness.registry import Registry
from harness.registry.registry import NOT_INSTALLED

_log = logging.getLogger(__name__)
_OTHER_CODE = "%s of %s come from other code or data than are here now; 'harness suite %s' would run these cells again"


def judged_suites(registry: Registry, names: Sequence[str], request: Request) -> list[SuiteResult]:
    """Judge the suites that the names mean from their records; the verdicts are those on the claims they mean.

    A claim's verdict does not depend on which others are named: the whole suite is judged.

    Names are suites, suite files, or claims (globs allowed); without any, every registered suite that has
    records. ``request`` says where the records are.
    """
    for problem in claims_of(registry).problems:
        _log.warning("%s", problem)
    suites = [name for name in names if name in registry.suites or name.endswith(".toml")]
    patterns = [name for name in names if name not in suites]
    _check_patterns(patterns, registry)
    loaded = RecordsFile(request.folder).load()
    recorded: dict[str, list[Record]] = {}
    for record in loaded.by_id.values():
        recorded.setdefault(record.suite, []).append(record)
    results = []
    for name in suites:
        plan = _recorded_plan(name, recorded.get(Path(name).stem, []), registry, request, loaded)
        results.append(judge_plan(plan, plan.records))
    if names and not patterns:
        return results
    for name in (n for n in registry.suites if n in recorded and n not in suites):
        plan = _recorded_plan(name, recorded[name], registry, request, loaded)
        result = _restricted(judge_plan(plan, plan.records), patterns)
        if result.plan.suite.claims or not patterns:
            results.append(result)
    return results


def _check_patterns(patterns: Sequence[str], registry: Registry) -> None:
    """Raise UnknownName for a pattern that no claim matches."""
    claims = claims_of(registry).by_id
    for pattern in patterns:
        if not fnmatch.filter(claims, pattern):
            raise UnknownName("suite or claim", pattern, [*registry.suites, *claims], hint=NOT_INSTALLED)


def _restricted(result: SuiteResult, patterns: Sequence[str]) -> SuiteResult:
    """The result with those of its claims that match a pattern; all of them where there is none."""
    if not patterns:
        return result
    plan = result.plan
    claims = {i: c for i, c in plan.suite.claims.items() if any(fnmatch.fnmatchcase(i, p) for p in patterns)}
    plan = replace(plan, suite=replace(plan.suite, claims=claims))
    return replace(result, plan=plan, verdicts=tuple(v for v in result.verdicts if v.claim in claims))


def _recorded_plan(name: str, records: Sequence[Record], registry: Registry, request: Request, loaded: Loaded) -> Plan:
    """A suite's plan on the devices that its records come from, with the cells that these stand for."""
    devices = tuple(sorted({record.device for record in records} or {"cpu"}))
    return _as_recorded(make_plan(replace(request, suite=name, devices=devices), registry, loaded=loaded), records)


def warn_of_unregistered(registry: Registry, request: Request, judged: Sequence[SuiteResult] = ()) -> None:
    """Say which suites have records but are known only by their file. Each plan has read the whole folder."""
    records = judged[0].plan.records if judged else RecordsFile(request.folder).load().by_id
    suites = {record.suite for record in records.values()}
    if unknown := sorted(suites - registry.suites.keys()):
        _log.info("not registered, so name the file (and the plugin with -p): %s", ", ".join(unknown))
    if not suites:
        _log.info("there are no records in %s; 'harness suite NAME' makes some", request.folder)


def _as_recorded(plan: Plan, own: Sequence[Record]) -> Plan:
    """The plan with the cells of the suite's own records, whatever code and data made them.

    Records may come from another machine, where data sets were that are not here, or from before a change of
    the plugin; they are judged all the same, and a note says how many.
    """
    registry = plan.registry
    ids = {cell.id for cell in plan.scope}
    latest: dict[str, Record] = {}
    for record in sorted((r for r in own if r.id not in ids), key=lambda r: (r.good, r.finished)):
        if record.method in registry.methods and record.task in registry.tasks:
            latest[address_of(record)] = record
    if not latest:
        return replace(plan, cells=plan.scope)
    scope = [cell if cell.id in plan.records else latest.pop(address_of(cell), cell) for cell in plan.scope]
    if other := sum(isinstance(item, Record) for item in scope):
        _log.info(_OTHER_CODE, plural(other, "record"), plan.suite.name, plan.suite.name)
    cells = tuple(cell_of(item, registry) if isinstance(item, Record) else item for item in scope)
    return replace(plan, scope=cells, cells=cells)
