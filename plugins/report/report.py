"""A report from results folders: judged suites and environments put into the template, and written to a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.cell import Record
from harness.errors import UsageError
from harness.judge import SuiteResult, judged_suites
from harness.numbers import memory
from harness.planning.request import Request
from harness.records import Loaded, RecordsFile
from harness.registry import Registry
from harness_plugins.report.compare import compare
from harness_plugins.report.figures import drawn_figures
from harness_plugins.report.measures import task_views
from harness_plugins.report.overall import overall_views
from harness_plugins.report.page import SuiteView, Table, command, environments, suite_view

HERE = Path(__file__).parent
#: Environment entries that the page spells out in its own way.
_TOLD = {"digest", "records", "packages", "source", "torch", "switches", "gpu", "plugins", "blas"}


@dataclass(frozen=True)
class Place:
    """One environment that records come from."""

    heading: str
    facts: Sequence[tuple[str, str]]
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    title: str
    folder: str
    suites: Sequence[SuiteView]
    facts: Sequence[tuple[str, str]]
    environments: Sequence[Place]
    data: Table | None
    commands: Sequence[str]
    warnings: Sequence[str]


def report(registry: Registry, request: Request, suites: Sequence[str] = ()) -> str:
    """The report of one results folder as HTML.

    ``request`` says which folder and how many seeds are judged; ``suites`` names those to show, or files of
    unregistered ones.
    """
    return rendered(judged_suites(registry, suites, request), request.folder, registry)


def comparison(registry: Registry, requests: tuple[Request, Request], suites: Sequence[str] = ()) -> str:
    """Two results folders side by side, as HTML. Raises UsageError where they share no suite."""
    return fill("compare.html.j2", page=compare(registry, requests, suites))


def rendered(results: Sequence[SuiteResult], folder: Path, registry: Registry) -> str:
    """The report of judged suites as HTML."""
    # Every plan has read the whole folder.
    plans = [result.plan for result in results]
    loaded = Loaded(plans[0].records, plans[0].warnings) if plans else RecordsFile(folder).load()
    views = [
        suite_view(
            result,
            folder,
            registry.extra,
            tasks=task_views(result),
            aggregates=overall_views(result),
            figures=drawn_figures(result),
        )
        for result in results
    ]
    records = [record for result in results for record in result.records.values()]
    found = environments(folder, records)
    unknown = sorted({r.suite for r in loaded.by_id.values()} - {view.name for view in views})
    warnings = list(loaded.warnings)
    if unknown:
        warnings.append(f"Records of other suites stand in this folder too and are not shown: {', '.join(unknown)}.")
    title = views[0].title if len(views) == 1 else f"{len(views) or 'No'} suites in {folder.resolve().name}"
    page = Page(
        title=title,
        folder=str(folder),
        suites=views,
        facts=_facts(found, records),
        environments=[_place(one) for one in found],
        data=_data(records),
        commands=[
            *_checkout(found),
            *(view.command for view in views),
            command(folder, registry.extra, "rerun", "--sample=10"),
        ],
        warnings=warnings,
    )
    return fill("report.html.j2", page=page)


def fill(template: str, **content: Any) -> str:
    """A template of this folder with its content; everything but finished markup is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup((HERE / "report.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(css=css, **content)


def write(text: str, target: Path) -> None:
    """Write the report whole or not at all. Raises UsageError where the file cannot be written."""
    draft = target.with_name(f".{target.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise UsageError(f"-o {target}: cannot be written: {error.strerror}") from None


def _facts(found: Sequence[Mapping[str, Any]], records: Sequence[Record]) -> list[tuple[str, str]]:
    """Machine, code and dates, in a line each."""
    machines = dict.fromkeys(_machine(one) for one in found)
    facts = [("machine", "; ".join(machines) or "not recorded")]
    versions = dict.fromkeys(_versions(one) for one in found)
    if versions:
        facts.append(("versions", "; ".join(versions)))
    if dates := sorted(r.finished for r in records if r.finished):
        first, last = dates[0][:10], dates[-1][:16].replace("T", " ")
        facts.append(("measured", f"{last} UTC" if first == last[:10] else f"{first} to {last} UTC"))
    return facts


def _machine(one: Mapping[str, Any]) -> str:
    gpu = one.get("gpu") or {}
    parts = [f"{gpu['name']}, {memory(gpu.get('memory_bytes'))}"] if gpu.get("name") else []
    cores = one.get("cpus")
    parts.append(f"{one.get('cpu', 'unknown processor')}" + (f", {cores} core{'s' * (cores != 1)}" if cores else ""))
    return " with ".join(parts)


def _versions(one: Mapping[str, Any]) -> str:
    source = one.get("source") or {}
    commit = f"commit {str(source['commit'])[:10]}" if source.get("commit") else ""
    commit += " with uncommitted changes" if source.get("dirty") else ""
    torch = f"torch {one['torch']['version']}" if one.get("torch") else ""
    python = f"Python {one['python']}" if one.get("python") else ""
    return ", ".join(filter(None, (python, torch, commit)))


def _place(one: Mapping[str, Any]) -> Place:
    source, gpu = one.get("source") or {}, one.get("gpu") or {}
    facts: list[tuple[str, str]] = [("records", str(one["records"]))]
    facts += [(name, str(value)) for name, value in one.items() if name not in _TOLD and value is not None]
    if source.get("commit"):
        dirty = f", with uncommitted changes (digest {source.get('diff')})" if source.get("dirty") else ", clean"
        facts.append(("commit", f"{source['commit']}{dirty}"))
    for name, group in (("gpu", gpu), ("torch", one.get("torch")), ("switches", one.get("switches"))):
        if group:
            facts.append((name, ", ".join(f"{k} {v}" for k, v in group.items())))
    for library in one.get("blas") or ():
        facts.append(("blas", ", ".join(f"{k} {v}" for k, v in library.items())))
    if one.get("plugins"):
        told = (f"{name} {p.get('version', '')} ({p.get('code', '')})" for name, p in one["plugins"].items())
        facts.append(("plugins", ", ".join(told)))
    return Place(f"{_machine(one)} ({one['digest']})", facts, one.get("packages") or {})


def _data(records: Iterable[Record]) -> Table | None:
    used: dict[tuple[str, str], set[str]] = {}
    for record in records:
        for name, digest in record.data.items():
            used.setdefault((name, digest or "not here"), set()).add(record.task)
    rows = [[name, digest, ", ".join(sorted(tasks))] for (name, digest), tasks in sorted(used.items())]
    return Table.of(("data set", "digest", "read by"), rows) if rows else None


def _checkout(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """How to get the code that the records come from."""
    sources = [one.get("source") or {} for one in found]
    commits = dict.fromkeys(str(s["commit"]) for s in sources if s.get("commit"))
    lines = [f"git checkout {commit}" for commit in commits if re.fullmatch("[0-9a-f]{7,64}", commit)]
    dirty = any(s.get("dirty") for s in sources)
    if lines and dirty:
        lines[-1] += "   # and the uncommitted changes it was run with"
    return [*lines, "pip install -c constraints.txt -e ."] if lines else []
