"""The report of a results folder: judged suites and their environments, put into the template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cell import Record
from harness.judge import SuiteResult, judged_suites
from harness.planning.request import Request
from harness.records import Loaded, RecordsFile
from harness.records.anonymous import path_shown
from harness.registry import Registry
from harness_plugins.report.anonymous import anonymiser, anonymous, shown_without_paths
from harness_plugins.report.compare import compare
from harness_plugins.report.elements import Table, command_line
from harness_plugins.report.environments import (
    EnvironmentSection,
    checkout_commands,
    environments,
    reduced,
    section,
    summary,
)
from harness_plugins.report.suites import SuiteSection, suite_section
from harness_plugins.report.templates import fill


@dataclass(frozen=True)
class Page:
    """Everything that the page of a report shows."""

    title: str
    folder: str
    suites: Sequence[SuiteSection]
    facts: Sequence[tuple[str, str]]
    environments: Sequence[EnvironmentSection]
    data: Table | None
    commands: Sequence[str]
    warnings: Sequence[str]


def report(registry: Registry, request: Request, suites: Sequence[str] = (), full: bool = False) -> str:
    """The report of one results folder as HTML.

    ``request`` says which folder it is. ``suites`` are names or files; without any, all registered suites that have
    records are shown. Unless it is ``full``, nothing tells whose machine it was (see ``harness.records.anonymous``).
    """
    return rendered(judged_suites(registry, suites, request), request.folder, registry, full)


def comparison(
    registry: Registry, requests: tuple[Request, Request], suites: Sequence[str] = (), full: bool = False
) -> str:
    """Two results folders side by side as HTML. Raises UsageError where they share no suite."""
    shown = None if full else shown_without_paths
    return fill("compare.html.j2", shown, page=compare(registry, requests, suites, full))


def rendered(results: Sequence[SuiteResult], folder: Path, registry: Registry, full: bool = False) -> str:
    """The report of judged suites as HTML; see ``report``."""
    # Every plan has read the whole folder.
    plans = [result.plan for result in results]
    loaded = Loaded(plans[0].records, plans[0].warnings) if plans else RecordsFile(folder).load()
    sources = environments(folder, [record for result in results for record in result.records.values()])
    shown_folder, plugins = folder, registry.extra
    if not full:
        rewrite = anonymiser(sources, results, registry)
        results, sources = [anonymous(result, rewrite) for result in results], reduced(sources, rewrite)
        shown_folder, plugins = path_shown(folder), tuple(str(path_shown(Path(plugin))) for plugin in plugins)
    records = [record for result in results for record in result.records.values()]
    suites = [suite_section(result, shown_folder, plugins) for result in results]
    warnings = list(loaded.warnings)
    if others := sorted({r.suite for r in loaded.by_id.values()} - {result.plan.suite.name for result in results}):
        warnings.append(f"This folder also has records of suites that are not shown: {', '.join(others)}.")
    page = Page(
        title=suites[0].title if len(suites) == 1 else f"{len(suites) or 'No'} suites in {folder.resolve().name}",
        folder=str(shown_folder),
        suites=suites,
        facts=summary(sources, records),
        environments=[section(environment) for environment in sources],
        data=_data_sets(records),
        commands=[
            *checkout_commands(sources),
            *(suite.command for suite in suites),
            command_line(shown_folder, plugins, "rerun", "--sample=10"),
        ],
        warnings=warnings,
    )
    return fill("report.html.j2", None if full else shown_without_paths, page=page)


def _data_sets(records: Iterable[Record]) -> Table | None:
    """Each data set that was read, with its digest and the tasks that read it."""
    tasks: dict[tuple[str, str], set[str]] = {}
    for record in records:
        for name, digest in record.data.items():
            tasks.setdefault((name, digest or "not here"), set()).add(record.task)
    rows = [[name, digest, ", ".join(sorted(own))] for (name, digest), own in sorted(tasks.items())]
    return Table.of(("data set", "digest", "read by"), rows) if rows else None
