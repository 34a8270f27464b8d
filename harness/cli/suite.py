"""``harness suite`` and ``harness claims``: run a suite, and say what its claims have come to."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Devices, Json, Plugins, Results, all_plugins, registry, seconds
from harness.cli.output import duration, errors, memory, people, plural, print_json, table
from harness.errors import ExitCode, UnknownName

if TYPE_CHECKING:
    from harness.plan import Session
    from harness.registry import Registry
    from harness.request import Request
    from harness.session import SuiteResult


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(suite)
    app.command()(claims)


def suite(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help="A suite's name, or the path of its file.")],
    device: Devices = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Seeds instead of the suite's.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="AXIS=VALUE", help="Only these cells; globs and commas, any number of times."),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", metavar="N", help="Workers [default: one a core].")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Limit a cell, such as 10m.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="What runs the cells.")] = "local",
    fresh: Annotated[bool, typer.Option("--fresh", help="Run cells again that have a record.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print the cells and run none.")] = False,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add seeds, 5 then 10 then 20, until each claim is decided."),
    ] = False,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Run a suite: cells that have no good record yet, then estimates, costs and verdicts."""
    from harness.judge import LOOKS
    from harness.plan import prepare
    from harness.request import Request
    from harness.session import run_suite

    request = Request(
        suite=name,
        devices=tuple(dict.fromkeys(device or ("cpu",))),
        seeds=seeds,
        only=tuple(only or ()),
        jobs=jobs,
        timeout=seconds(timeout),
        engine=engine,
        fresh=fresh,
        retry_failed=retry_failed,
        until_decided=until_decided,
        results=results,
        plugins=all_plugins(context, plugin),
    )
    found = registry(context, plugin)
    found.engine(engine)
    if plan:
        session = prepare(request, found, seeds=LOOKS[0] if until_decided else seeds)
        _print_plan(session, request, as_json)
        return
    if engine == "local":
        from harness.engines.local import warm_up

        warm_up()
    from harness.progress import ProgressWatcher
    from harness.tracking import MlflowWatcher

    watchers = (ProgressWatcher(errors()), MlflowWatcher())
    result = run_suite(replace(request, watchers=watchers), found)
    if as_json:
        print_json(_document(result))
    else:
        print_result(result)
    raise typer.Exit(result.exit_code)


def claims(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUITE_OR_CLAIM]...", help="Suites or claims; globs are allowed."),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option("--require", metavar="VERDICT", help="Exit with 3 unless each verdict is this one."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Judge so many seeds.")] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Judge as a run with --until-decided does.")
    ] = False,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Say what the recorded cells make of the claims, without running anything."""
    from typing import get_args

    from harness.judge.verdicts import Word
    from harness.request import Request

    if require is not None and require not in get_args(Word):
        raise UnknownName("verdict", require, get_args(Word), where="--require")
    found = registry(context, plugin)
    request = Request(suite="", seeds=seeds, until_decided=until_decided, results=results)
    judged = _judged_suites(found, names or [], request)
    if as_json:
        print_json([v | {"suite": r.session.suite.name} for r in judged for v in _verdicts(r)])
    else:
        for result in judged:
            _print_claims(result)
        if not judged:
            people().print("no suite has records here; 'harness suite NAME' makes some")
    verdicts = [v for r in judged for v in r.verdicts]
    if require is not None and (not verdicts or any(v.verdict != require for v in verdicts)):
        raise typer.Exit(ExitCode.NOT_HELD)


def _judged_suites(found: Registry, names: Sequence[str], request: Request) -> list[SuiteResult]:
    """Judge the suites that the names mean, each restricted to the claims they mean."""
    from harness.plan import prepare
    from harness.records import RecordsFile
    from harness.session import judged

    loaded = RecordsFile(request.folder).load()
    recorded = {r.suite for r in loaded.by_id.values()}
    suites = {n: "*" for n in names if n in found.suites or n.endswith(".toml")}
    patterns = [n for n in names if n not in suites]
    for pattern in patterns:
        if not fnmatch.filter(found.claims, pattern):
            raise UnknownName("suite or claim", pattern, [*found.suites, *found.claims])
    if patterns or not names:
        suites |= {n: "" for n in found.suites if n in recorded and n not in suites}
    judgements = []
    for name, everything in suites.items():
        devices = sorted({r.device for r in loaded.by_id.values() if r.suite == Path(name).stem}) or ["cpu"]
        session = prepare(replace(request, suite=name, devices=tuple(devices)), found)
        wanted = {
            i: c
            for i, c in session.suite.claims.items()
            if everything or not patterns or any(fnmatch.fnmatchcase(i, p) for p in patterns)
        }
        if wanted:
            session = replace(session, suite=replace(session.suite, claims=wanted))
            judgements.append(judged(session, session.records))
    return judgements


def print_result(result: SuiteResult) -> None:
    """Everything a person wants to know at the end of a suite: estimates and costs, failures, claims."""
    session = result.session
    out = people()
    for warning in session.warnings:
        errors().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    out.print(f"\n[bold]{session.suite.title}[/]")
    for task in dict.fromkeys(s.task for s in result.summaries):
        _print_estimates(result, task)
    _print_trouble(result)
    _print_claims(result)
    ran = result.ran
    kept = sum(c.id in session.records and session.records[c.id].good for c in session.cells) if ran == 0 else 0
    told = (
        f"{plural(ran, 'cell')} run in {duration(result.seconds)}"
        if ran
        else f"nothing to run: {plural(kept, 'cell')} recorded before"
    )
    out.print(f"\n{told}; records in {session.results / 'records.jsonl'}; 'harness ui' opens them in MLflow")


def _print_estimates(result: SuiteResult, task: str) -> None:
    from rich.markup import escape

    rows = [s for s in result.summaries if s.task == task]
    varying = _varying([s.options for s in rows])
    axes = [a for a in ("device", "dtype") if len({getattr(s, a) for s in rows}) > 1]
    metrics = list(result.session.registry.tasks[task].metrics)
    numbers = [*metrics, "seconds", "memory", "seeds"]
    shown = table(
        "method",
        *varying,
        *axes,
        *numbers,
        title=f"{task}  (mean ± half of the 90 % interval)",
        right=[*varying, *numbers],
    )
    for row in rows:
        cells = [
            escape(row.method),
            *(str(row.options.get(o, "")) for o in varying),
            *(getattr(row, a) for a in axes),
        ]
        cells += [_estimate(row.estimates.get(metric)) for metric in metrics]
        cells += ["" if row.seconds is None else f"{row.seconds:.2f}", memory(row.peak_bytes)]
        cells += [f"{row.n}" + (f" [red]({row.failures} failed)[/]" if row.failures else "")]
        shown.add_row(*cells)
    people().print(shown)


def _estimate(interval: Any) -> str:
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None or interval.high == interval.low:
        return f"{interval.mean:.4g}"
    half = (interval.high - interval.low) / 2
    return f"{interval.mean:.4g} ± {half:.2g}"


def _varying(options: Sequence[Any]) -> list[str]:
    names = list(dict.fromkeys(n for o in options for n in o))
    return [n for n in names if len({repr(o[n]) for o in options if n in o}) > 1]


def _print_trouble(result: SuiteResult) -> None:
    from rich.markup import escape

    failures = result.failures
    for record in failures[:10]:
        what = " ".join(f"{k}={v}" for k, v in record.options.items())
        errors().print(
            f"[red]{record.status}[/] {record.method} on {record.task} {what} seed={record.seed}: "
            + escape(record.cause or ""),
            soft_wrap=True,
        )
    if failures:
        more = f"{len(failures) - 10} more; " if len(failures) > 10 else ""
        errors().print(f"{more}failed cells keep their result; --retry-failed runs them again")
    skipped: dict[str, int] = {}
    for cell in result.session.cells:
        if cell.skip:
            skipped[cell.skip] = skipped.get(cell.skip, 0) + 1
    for reason, count in skipped.items():
        errors().print(f"[yellow]skipped[/] {plural(count, 'cell')}: {escape(reason)}", soft_wrap=True)


_COLOURS = {"reproduced": "green", "contradicted": "red", "inconclusive": "yellow", "not-run": "dim"}


def _print_claims(result: SuiteResult) -> None:
    from rich.markup import escape

    from harness.judge import sentence

    suite = result.session.suite
    if not result.verdicts:
        return
    several = len({v.device for v in result.verdicts}) > 1
    people().print(f"[bold]Claims of the suite {suite.name}[/]")
    for verdict in result.verdicts:
        claim = suite.claims[verdict.claim]
        colour = _COLOURS[verdict.verdict]
        where = f" on {verdict.device}" if several else ""
        people().print(f"\n  [{colour}]{verdict.verdict:<13}[/][bold]{claim.id}[/]{where} [dim]({claim.fidelity})[/]")
        figures = ", ".join(f"{k} {v}" for k, v in claim.paper.items())
        printed = (
            f" [dim]printed: {escape(figures)}{'' if claim.confirmed else ' (unconfirmed)'}[/]" if figures else ""
        )
        people().print(f"    says   {escape(claim.says)}{printed}", soft_wrap=True)
        people().print(f"    here   {escape(sentence(verdict, claim))}", soft_wrap=True)
    counts = {name: sum(v.verdict == name for v in result.verdicts) for name in _COLOURS}
    people().print("\n  " + ", ".join(f"[{_COLOURS[n]}]{c} {n}[/]" for n, c in counts.items() if c))
    people().print(
        "  [dim]each interval errs to either side with 5 % probability; Holm corrects within an article[/]"
    )


def _print_plan(session: Session, request: Request, as_json: bool) -> None:
    from rich.markup import escape

    estimate = session.estimate(request.worker_count)
    todo = {cell.id for cell in session.todo}
    rows = []
    for cell in session.cells:
        before = session.records.get(cell.id)
        state = "skip" if cell.skip else "run" if cell.id in todo else (before.status if before else "run")
        rows.append(
            {
                "id": cell.id,
                "method": cell.method,
                "task": cell.task,
                "options": dict(cell.options),
                "device": cell.device,
                "dtype": cell.dtype,
                "seed": cell.seed,
                "state": state,
                "skip": cell.skip,
            }
        )
    if as_json:
        print_json({"suite": session.suite.name, "cells": rows, "to_run": len(todo), "estimated_seconds": estimate})
        return
    for warning in session.warnings:
        errors().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    shown = table("cell", "method", "task", "options that vary", "device", "dtype", "seed", "state", right=["seed"])
    varying = {
        t: _varying([c.options for c in session.cells if c.task == t]) for t in {c.task for c in session.cells}
    }
    for row, cell in zip(rows, session.cells, strict=True):
        options = " ".join(f"{k}={cell.options[k]}" for k in varying[cell.task] if k in cell.options)
        shown.add_row(
            cell.id[:10],
            escape(cell.method),
            escape(cell.task),
            escape(options),
            cell.device,
            cell.dtype,
            str(cell.seed),
            str(row["state"]),
        )
    people().print(shown)
    time = (
        f"about {duration(estimate)} with {request.worker_count} workers, by past records"
        if estimate is not None
        else "no past records to estimate the time from"
    )
    if not todo:
        time = "nothing is left to do"
    people().print(f"{plural(len(rows), 'cell')}, {len(todo)} to run; {time}")


def _document(result: SuiteResult) -> dict[str, Any]:
    """The result as plain JSON types."""
    session = result.session
    cells = [result.records[c.id] for c in session.cells if c.id in result.records]
    return {
        "suite": session.suite.name,
        "title": session.suite.title,
        "results": str(session.results),
        "interrupted": result.interrupted,
        "seconds": round(result.seconds, 3),
        "cells": {
            "planned": len(session.cells),
            "run": result.ran,
            **{
                status: sum(r.status == status for r in cells)
                for status in ("done", "failed", "timeout", "crashed", "skipped")
            },
        },
        "records": [asdict(r) for r in cells],
        "summaries": [asdict(s) for s in result.summaries],
        "verdicts": _verdicts(result),
    }


def _verdicts(result: SuiteResult) -> list[dict[str, Any]]:
    from harness.judge import sentence

    claims = result.session.suite.claims
    return [{**v.to_json(), "sentence": sentence(v, claims[v.claim])} for v in result.verdicts]
