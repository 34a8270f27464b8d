"""The result of a suite: the answer and sentences for people, one document for machines."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.output import errors, people
from harness.numbers import duration, plural
from harness.records.provenance import usable_cores
from harness_plugins.terminal.overview import COLOURS, answer_lines, counted, overview
from harness_plugins.terminal.plan import skipped

if TYPE_CHECKING:
    from harness.judge import SuiteResult, Verdict
    from harness.judge.studies import Search

#: Most failed cells that are listed one by one.
_LISTED = 10


def print_result(result: SuiteResult, tables: bool = False) -> None:
    """Estimates if they are asked for, failures, what ran, the claims and, last, the answer.

    What ended early is said below the answer: it rests on fewer records than were planned.
    """
    from rich.markup import escape

    from harness_plugins.terminal.tables import print_tables

    plan = result.plan
    for warning in plan.warnings:
        errors().print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    if tables:
        print_tables(result)
    _print_failures(result)
    what_ran = escape(f"{_what_ran(result)}; records in {plan.results / 'records.jsonl'}")
    complete = not result.interrupted and all(cell.id in result.records for cell in plan.cells)
    if complete:
        people().print(what_ran, soft_wrap=True)
    for out in result.left_out:
        people().print(f"no more seeds for {escape(out.claim)}: {escape(out.why)}", soft_wrap=True)
    if busy := _busy(result):
        errors().print(f"[yellow]busy machine:[/] {busy}", soft_wrap=True)
    _print_edges(result)
    lines = overview(result, people().width)
    for line in lines:
        people().print(line)
    if not lines:
        people().print(f"[bold]{escape(plan.suite.title)}[/]")
    if not complete:
        people().print(f"\n{what_ran}", soft_wrap=True)


def _print_edges(result: SuiteResult) -> None:
    """Which optima lie at the edge of what was tried: a wider grid may do better."""
    from rich.markup import escape

    for _, text in result.edges:
        errors().print(f"[yellow]edge of the grid:[/] {escape(text)}", soft_wrap=True)


def _busy(result: SuiteResult) -> str:
    """That other processes computed here while cells ran; "" where the load is no more than the cores can carry."""
    average = os.getloadavg()[0] if result.ran and hasattr(os, "getloadavg") else 0.0
    cores = usable_cores()
    if average <= cores * 1.1:
        return ""
    return f"a load of {average:.1f} on {plural(cores, 'core')} in the last minute, so measured seconds are too long"


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
    """What the sources claim, our own questions and the checks in full sentences, and below them the overview."""
    suite = result.plan.suite
    if not result.verdicts:
        return
    groups = {f"Claims of the suite {suite.name}": result.sourced, "Our own questions": result.questions}
    for title, verdicts in groups.items():
        if verdicts:
            people().print(f"\n[bold]{title}:[/]", counted(verdicts))
        # What was not run comes last: it has nothing to say but why.
        for verdict in sorted(verdicts, key=lambda v: v.verdict == "not-run"):
            _print_claim(verdict, result)
    _print_checks(result)
    _print_edges(result)
    looks = ", ".join(map(str, suite.looks))
    people().print(
        f"\n  [dim]Claims are judged at {looks} seeds. All looks together err in at most 5 % of the cases if the "
        "differences between seeds are near normal. After Holm: corrected over the claims of one source. An interval "
        "without a percentage covers 90 %.[/]"
    )
    if untestable := [i for i, claim in suite.claims.items() if claim.test is None]:
        example = f"'harness show {untestable[0]}', for one, says why"
        people().print(f"  [dim]{plural(len(untestable), 'claim')} cannot be tested; {example}[/]")
    # Of claims that were picked by name there may be none.
    if result.answers:
        people().print()
        for line in answer_lines(result, people().width):
            people().print(line)


def _print_checks(result: SuiteResult) -> None:
    """One line a check: what must hold before a claim can be judged, and what came out."""
    from rich.markup import escape

    from harness.judge import CHECKED, sentence

    if result.checks:
        people().print("\n[bold]Checks[/] that claims rest on:")
    for verdict in result.checks:
        check = result.plan.suite.checks[verdict.claim]
        found = sentence(verdict, check).partition(": ")[2]
        colour, word = COLOURS[verdict.verdict], CHECKED[verdict.verdict]
        people().print(
            f"  [{colour}]{word:<10}[/][bold]{check.id}[/] {escape(check.says)}: {escape(found)}", soft_wrap=True
        )


def _print_claim(verdict: Verdict, result: SuiteResult) -> None:
    from rich.markup import escape

    from harness.judge import sentence

    claim = result.plan.suite.claims[verdict.claim]
    where = f" on {verdict.device}" if len({v.device for v in result.verdicts}) > 1 else ""
    head = f"  [{COLOURS[verdict.verdict]}]{verdict.verdict:<16}[/][bold]{claim.id}[/]{where}"
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
    from harness.judge import answers_of, sentence

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
        "left_out": [asdict(out) for out in result.left_out],
        "records": [r.as_dict() for r in cells],
        "summaries": [asdict(s) for s in result.summaries],
        "tuning": [_search_document(search, result) for search in result.searches],
        "verdicts": verdict_documents(result),
        "checks": [{**v.to_json(), "sentence": sentence(v, plan.suite.checks[v.claim])} for v in result.checks],
        "answers": [
            {"claim": a.claim.id, "says": a.claim.says, "device": a.verdict.device, "word": a.word, **a.facts}
            for a in answers_of(result)
        ],
    }


def _search_document(search: Search, result: SuiteResult) -> dict[str, Any]:
    """What tuning came to in one setting: each trial and how many studies chose it."""
    tuning = search.tuning
    return {
        **asdict(tuning.setting),
        "by": tuning.by,
        "trials": [{"options": dict(trial), "chosen": count} for trial, count in search.chosen],
        "studies": search.ended,
        "failed_trials": search.failed,
        "seconds": search.seconds,
        "edges": [text for other, text in result.edges if other is search],
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
