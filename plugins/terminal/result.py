"""The result of a suite: tables and sentences for people, one document for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.output import errors, people, table
from harness.numbers import duration, memory, plural, with_half
from harness.planning.setting import key_of, varying
from harness_plugins.terminal.plan import skipped

if TYPE_CHECKING:
    from rich.table import Table

    from harness.judge import Estimate, SuiteResult, Summary, Verdict

_COLOURS = {
    "reproduced": "green",
    "contradicted": "red",
    "inconclusive": "yellow",
    "not-informative": "magenta",
    "not-run": "dim",
}
#: Most failed cells that are listed one by one.
_LISTED = 10
#: Most metrics that are named where no claim asks for them.
_NAMED = 6


def print_result(result: SuiteResult) -> None:
    """Estimates and costs, failures, claims, and what ran."""
    plan = result.plan
    for warning in plan.warnings:
        errors().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    people().print(f"\n[bold]{plan.suite.title}[/]")
    selected = {key_of(cell) for cell in plan.cells}
    rows = [s for s in result.summaries if (s.n or s.failures) and key_of(s) in selected]
    for task in dict.fromkeys(row.task for row in rows):
        _print_estimates([row for row in rows if row.task == task], result)
    _print_failures(result)
    print_claims(result)
    people().print(f"\n{_what_ran(result)}; records in {plan.results / 'records.jsonl'}")


def _what_ran(result: SuiteResult) -> str:
    """How many cells ran, were skipped, had a record before, or are left."""
    plan = result.plan
    recorded = [(cell, record) for cell in plan.cells if (record := result.records.get(cell.id))]
    left = len(plan.cells) - len(recorded)
    ran = f"{plural(result.ran, 'cell')} run in {duration(result.seconds)}" if result.ran else "nothing to run"
    parts = ["no cell has ended" if left and not result.ran else ran]
    skipped = sum(cell.skip is not None and record.status == "skipped" for cell, record in recorded)
    before = len(recorded) - result.ran - skipped
    parts += [f"{skipped} skipped"] * bool(skipped) + [f"{before} recorded before"] * bool(before)
    parts += [f"{left} left: the same command goes on from here"] * bool(left)
    return ("interrupted; " if result.interrupted else "") + ", ".join(parts)


def _print_estimates(rows: Sequence[Summary], result: SuiteResult) -> None:
    from rich.markup import escape

    task = result.plan.registry.tasks[rows[0].task]
    names = varying(s.options for s in rows)
    axes = [a for a in ("device", "dtype") if len({getattr(s, a) for s in rows}) > 1]
    claims = result.plan.suite.claims.values()
    claimed = {c.test.metric for c in claims if c.test is not None and task.name in c.test.tasks}
    metrics = [metric for metric in task.metrics if metric in claimed] or list(task.metrics)
    keys = {"method": [escape(row.method) for row in rows]}
    keys |= {name: [str(row.options.get(name, "")) for row in rows] for name in names}
    keys |= {name: [getattr(row, name) for row in rows] for name in axes}
    numbers = {name: [_estimate(row.estimates.get(name)) for row in rows] for name in metrics}
    numbers["seconds"] = ["" if row.seconds is None else f"{row.seconds:.2f}" for row in rows]
    numbers["memory"] = [memory(row.peak_bytes) for row in rows]
    numbers["seeds"] = [f"{r.n}" + (f" [red]({r.failures} failed)[/]" if r.failures else "") for r in rows]
    people().print(f"[bold]{task.name}[/]  (mean ± half of the 90 % interval)")
    for estimates in _fitting(keys, numbers, right=(*names, *numbers)):
        people().print(estimates)
    if others := [metric for metric in task.metrics if metric not in metrics]:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        people().print(f"[dim]no claim asks for {', '.join(others[:_NAMED])}{more}: --json has them[/]\n")


def _fitting(keys: Mapping[str, list[str]], numbers: Mapping[str, list[str]], right: Sequence[str]) -> list[Table]:
    """One table, or several below each other where the screen is too narrow, so that no number is cut.

    Each table has all the ``keys`` and as many of the ``numbers`` as fit. Headers break at underscores, cells never.
    """
    from rich.measure import Measurement

    def with_columns(names: Sequence[str]) -> Table:
        columns = {**keys, **{name: numbers[name] for name in names}}
        headers = {name: name.replace("_", "\n") for name in columns}
        filled = table(*headers.values(), right=[headers[name] for name in right if name in headers], no_wrap=True)
        for row in zip(*columns.values(), strict=True):
            filled.add_row(*row)
        return filled

    tables: list[Table] = []
    names: list[str] = []
    for name in numbers:
        console = people()
        width = Measurement.get(console, console.options, with_columns([*names, name])).maximum
        # Measuring stops at the width of the screen.
        if names and width >= console.width:
            tables.append(with_columns(names))
            names = []
        names.append(name)
    return [*tables, with_columns(names)]


def _estimate(estimate: Estimate | None) -> str:
    """Mean and half of its interval, to the digits that the interval gives meaning to."""
    return "-" if estimate is None else with_half(estimate.mean, estimate.low, estimate.high)


def _print_failures(result: SuiteResult) -> None:
    """Failed cells with their causes, and why cells were skipped."""
    from rich.markup import escape

    failures = result.failures
    for record in failures[:_LISTED]:
        cause = escape(record.cause or "")
        cell = f"{record.method} on {record.task} seed={record.seed}"
        errors().print(f"[red]{record.status}[/] {record.id[:10]} {cell}: {cause}", soft_wrap=True)
    if failures:
        more = f"{len(failures) - _LISTED} more; " if len(failures) > _LISTED else ""
        show = f"'harness show {failures[0].id[:10]}' has the options, the output and the traceback"
        errors().print(f"{more}{show}; --retry-failed runs failed cells again")
    for reason, count in skipped(result.plan.cells, result.records).items():
        errors().print(f"[yellow]skipped[/] {plural(count, 'cell')}: {escape(reason)}", soft_wrap=True)


def print_claims(result: SuiteResult) -> None:
    """The answer, what the sources claim, our own questions and the checks: what each says and what came out here."""
    suite = result.plan.suite
    if not result.verdicts:
        return
    answers = result.answers
    groups = {
        f"Answer of the suite {suite.name}": answers,
        f"Claims of the suite {suite.name}": result.sourced,
        "Our own questions": result.questions,
    }
    shown: list[Verdict] = []
    for title, verdicts in groups.items():
        further = [verdict for verdict in verdicts if verdict not in shown]
        if verdicts:
            above = ", with the answer above" if len(further) < len(verdicts) else ""
            people().print(f"\n[bold]{title}:[/] {_counted(verdicts)}{above}")
        # What was not run comes last: it has nothing to say but why.
        for verdict in sorted(further, key=lambda v: v.verdict == "not-run"):
            _print_claim(verdict, result)
        shown += further
    _print_checks(result)
    looks = ", ".join(map(str, suite.looks))
    people().print(
        f"\n  [dim]Claims are judged at {looks} seeds. All looks together err in at most 5 % of the cases if the "
        "differences between seeds are near normal. After Holm: corrected over the claims of one source. An interval "
        "without a percentage covers 90 %.[/]"
    )
    if untestable := [i for i, claim in suite.claims.items() if claim.test is None]:
        example = f"'harness show {untestable[0]}', for one, says why"
        people().print(f"  [dim]{plural(len(untestable), 'claim')} cannot be tested; {example}[/]")


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {name: sum(v.verdict == name for v in verdicts) for name in _COLOURS}
    return ", ".join(f"[{_COLOURS[name]}]{count} {name}[/]" for name, count in counts.items() if count)


def _print_checks(result: SuiteResult) -> None:
    """One line a check: what must hold before a claim can be judged, and what came out."""
    from rich.markup import escape

    from harness.judge import CHECKED, sentence

    if result.checks:
        people().print("\n[bold]Checks[/] that claims rest on:")
    for verdict in result.checks:
        check = result.plan.suite.checks[verdict.claim]
        found = sentence(verdict, check).partition(": ")[2]
        colour, word = _COLOURS[verdict.verdict], CHECKED[verdict.verdict]
        people().print(
            f"  [{colour}]{word:<10}[/][bold]{check.id}[/] {escape(check.says)}: {escape(found)}", soft_wrap=True
        )


def _print_claim(verdict: Verdict, result: SuiteResult) -> None:
    from rich.markup import escape

    from harness.judge import sentence

    claim = result.plan.suite.claims[verdict.claim]
    where = f" on {verdict.device}" if len({v.device for v in result.verdicts}) > 1 else ""
    head = f"  [{_COLOURS[verdict.verdict]}]{verdict.verdict:<16}[/][bold]{claim.id}[/]{where}"
    here = sentence(verdict, claim).partition(": ")[2]
    if verdict.verdict == "not-run":
        people().print(f"{head} {escape(here)}", soft_wrap=True)
        return
    unconfirmed = "" if claim.confirmed else ", rests on unconfirmed figures"
    seeds = f"{plural(verdict.n, 'seed')}{', primary' * claim.primary}"
    people().print(f"\n{head} [dim]({claim.origin}, {claim.fidelity}, {seeds}{unconfirmed})[/]")
    lines = {"says": claim.says}
    if claim.paper:
        figures = ", ".join(f"{k} {v}" for k, v in claim.paper.items() if not isinstance(v, str))
        context = ", ".join(v for v in claim.paper.values() if isinstance(v, str))
        lines["printed"] = f"{figures} ({context})" if context else figures
    lines["here"] = here
    if verdict.p is not None and verdict.p_holm is not None:
        family = f", after Holm {verdict.p_holm:.2g} as one of {verdict.family}" if verdict.family > 1 else ""
        lines["p"] = f"{verdict.p:.2g}{family}; the interval covers {verdict.covers}"
    for name, text in lines.items():
        people().print(f"    [dim]{name:<8}[/] {escape(text)}", soft_wrap=True)


def document(result: SuiteResult) -> dict[str, Any]:
    """The result as plain JSON types."""
    from harness.judge import sentence

    plan = result.plan
    cells = [result.records[c.id] for c in plan.cells if c.id in result.records]
    return {
        "suite": plan.suite.name,
        "title": plan.suite.title,
        "results": str(plan.results),
        "interrupted": result.interrupted,
        "seconds": round(result.seconds, 3),
        "cells": {
            "planned": len(plan.cells),
            "run": result.ran,
            **{
                status: sum(r.status == status for r in cells)
                for status in ("done", "failed", "timeout", "crashed", "skipped")
            },
        },
        "records": [r.as_dict() for r in cells],
        "summaries": [asdict(s) for s in result.summaries],
        "verdicts": verdict_documents(result),
        "checks": [{**v.to_json(), "sentence": sentence(v, plan.suite.checks[v.claim])} for v in result.checks],
    }


def verdict_documents(result: SuiteResult) -> list[dict[str, Any]]:
    """The verdicts as plain JSON types, each with its sentence and what the claim is."""
    from harness.judge import sentence

    claims = result.plan.suite.claims
    return [
        {
            **v.to_json(),
            "sentence": sentence(v, claims[v.claim]),
            **{name: getattr(claims[v.claim], name) for name in ("origin", "primary", "fidelity")},
            "rests_on": list(result.plan.suite.rests_on.get(v.claim, ())),
        }
        for v in result.verdicts
    ]
