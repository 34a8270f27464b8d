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
from harness.planning.plan import Plan, make_plan
from harness.planning.request import Request
from harness.planning.setting import address_of, cell_of, key_of
from harness.records import RecordsFile
from harness.registry import Registry

_log = logging.getLogger(__name__)


def judged_suites(registry: Registry, names: Sequence[str], request: Request) -> list[SuiteResult]:
    """Judge the suites that the names mean from their records, each restricted to the claims they mean.

    Names are suites, suite files, or claims (globs allowed); without any, every registered suite that has
    records. ``request`` says how many seeds, and where the records are.
    """
    claims = claims_of(registry)
    for problem in claims.problems:
        _log.warning("%s", problem)
    recorded: dict[str, list[Record]] = {}
    loaded = RecordsFile(request.folder).load()
    for record in loaded.by_id.values():
        recorded.setdefault(record.suite, []).append(record)
    suites = [name for name in names if name in registry.suites or name.endswith(".toml")]
    patterns = [name for name in names if name not in suites]
    for pattern in patterns:
        if not fnmatch.filter(claims.by_id, pattern):
            raise UnknownName("suite or claim", pattern, [*registry.suites, *claims.by_id])
    also = [name for name in registry.suites if name in recorded and name not in suites and (patterns or not names)]
    results = []
    for name in (*suites, *also):
        own = recorded.get(Path(name).stem, [])
        kinds = tuple(sorted({record.device for record in own} or {"cpu"}))
        plan = make_plan(replace(request, suite=name, devices=kinds), registry, loaded=loaded)
        plan = _as_recorded(plan, own)
        if name in also and patterns:
            matching = [i for i in plan.suite.claims if any(fnmatch.fnmatchcase(i, p) for p in patterns)]
            selected = {i: plan.suite.claims[i] for i in matching}
            plan = replace(plan, suite=replace(plan.suite, claims=selected))
        if name in suites or not patterns or plan.suite.claims:
            results.append(judge_plan(plan, plan.records))
    return results


def warn_of_unregistered(registry: Registry, request: Request) -> None:
    """Say which suites have records but are known only by their file."""
    suites = {record.suite for record in RecordsFile(request.folder).load().by_id.values()}
    if unknown := sorted(suites - registry.suites.keys()):
        _log.info("not registered, so name the file (and the plugin with -p): %s", ", ".join(unknown))
    if not suites:
        _log.info("there are no records in %s; 'harness suite NAME' makes some", request.folder)


def _as_recorded(plan: Plan, own: Sequence[Record]) -> Plan:
    """The plan with the cells of the suite's own records, whatever code and data made them.

    Records may come from another machine, where data sets were that are not here, or from before a change of
    the plugin; they are judged all the same, and a note says how many. More seeds than the suite asks for count.
    """
    registry, name = plan.registry, plan.suite.name
    latest: dict[str, Record] = {}
    for record in sorted(own, key=lambda r: (r.good, r.finished)):
        if record.method in registry.methods and record.task in registry.tasks:
            latest[address_of(record)] = record
    scope = [cell if cell.id in plan.records else latest.pop(address_of(cell), cell) for cell in plan.scope]
    addresses = {address_of(item) for item in scope}
    settings = {key_of(cell) for cell in plan.scope}
    more = [r for a, r in latest.items() if a not in addresses and key_of(r) in settings and plan.request.seeds is None]
    # The looks of --until-decided take seeds in their order, whenever they ended.
    more.sort(key=lambda record: record.seed)
    if more and not plan.request.until_decided:
        _log.info(
            "%s has records of more seeds than it asks for, and all are judged as if that many had been "
            "planned; where 'suite --until-decided' added them, judge with --until-decided",
            name,
        )
    cells = tuple(cell_of(item, registry) if isinstance(item, Record) else item for item in (*scope, *more))
    if other := sum(isinstance(item, Record) for item in scope):
        _log.info(
            "%d record%s of %s come from other code or data than are here now; 'harness suite %s' would run "
            "these cells again",
            other,
            "s" * (other != 1),
            name,
            name,
        )
    return replace(plan, scope=cells, cells=cells)
