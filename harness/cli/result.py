"""What a plan and a run of a suite look like: tables and sentences for people, a document for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.output import duration, errors, memory, people, plural, table
from harness.cli.plan import varying_options

if TYPE_CHECKING:
    from harness.claims import Claim
    from harness.judge import Estimate, Summary, Verdict
    from harness.session import SuiteResult
    from harness.spec import Task

_COLOURS = {"reproduced": "green", "contradicted": "red", "inconclusive": "yellow", "not-run": "dim"}
#: Failed cells that are told one by one.
_TOLD = 10


def print_result(result: SuiteResult) -> None:
    """Everything a person wants to know at the end of a suite: estimates and costs, failures, claims."""
    session = result.session
    out = people()
    for warning in session.warnings:
        errors().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    out.print(f"\n[bold]{session.suite.title}[/]")
    known = [s for s in result.summaries if s.n or s.failures or s.skipped]
    for task in dict.fromkeys(s.task for s in known):
        _print_estimates([s for s in known if s.task == task], session.registry.tasks[task])
    if left := len(result.summaries) - len(known):
        out.print(f"[dim]{plural(left, 'further setting')} of the suite without a record[/]\n")
    _print_trouble(result)
    print_claims(result)
    ran = result.ran
    kept = sum(c.id in session.records and session.records[c.id].good for c in session.cells) if ran == 0 else 0
    told = (
        f"{plural(ran, 'cell')} run in {duration(result.seconds)}"
        if ran
        else f"nothing to run: {plural(kept, 'cell')} recorded before"
    )
    out.print(f"\n{told}; records in {session.results / 'records.jsonl'}")


def _print_estimates(rows: Sequence[Summary], task: Task) -> None:
    from rich.markup import escape

    varying = varying_options(s.options for s in rows)
    axes = [a for a in ("device", "dtype") if len({getattr(s, a) for s in rows}) > 1]
    metrics = list(task.metrics)
    numbers = [*metrics, "seconds", "memory", "seeds"]
    # Spaces instead of underscores, so that long headers wrap between words.
    headers = [name.replace("_", " ") for name in ("method", *varying, *axes, *numbers)]
    right = [name.replace("_", " ") for name in (*varying, *numbers)]
    shown = table(*headers, title=f"{task.name}  (mean ± half of the 90 % interval)", right=right)
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


def _estimate(found: Estimate | None) -> str:
    """Mean and half of its interval, to the digits that the interval gives meaning to."""
    if found is None:
        return "-"
    if found.low is None or found.high is None or found.high == found.low:
        return f"{found.mean:.4g}"
    half = (found.high - found.low) / 2
    digits = 1 - math.floor(math.log10(half))
    if not 0 <= digits <= 6:
        return f"{found.mean:.3g} ± {half:.2g}"
    return f"{found.mean:.{digits}f} ± {half:.{digits}f}"


def _print_trouble(result: SuiteResult) -> None:
    from rich.markup import escape

    failures = result.failures
    for record in failures[:_TOLD]:
        what = " ".join(f"{k}={v}" for k, v in record.options.items())
        errors().print(
            f"[red]{record.status}[/] {record.method} on {record.task} {what} seed={record.seed}: "
            + escape(record.cause or ""),
            soft_wrap=True,
        )
    if failures:
        more = f"{len(failures) - _TOLD} more; " if len(failures) > _TOLD else ""
        errors().print(f"{more}failed cells keep their result; --retry-failed runs them again")
    skipped: dict[str, int] = {}
    for cell in result.session.cells:
        if cell.skip:
            skipped[cell.skip] = skipped.get(cell.skip, 0) + 1
    for reason, count in skipped.items():
        errors().print(f"[yellow]skipped[/] {plural(count, 'cell')}: {escape(reason)}", soft_wrap=True)


_COLOURS = {"reproduced": "green", "contradicted": "red", "inconclusive": "yellow", "not-run": "dim"}


def print_claims(result: SuiteResult) -> None:
    """Each claim: what is said, what was printed, what was found here, and the verdict."""
    suite = result.session.suite
    if not result.verdicts:
        return
    several = len({v.device for v in result.verdicts}) > 1
    people().print(f"[bold]Claims of the suite {suite.name}[/]")
    for verdict in result.verdicts:
        _print_claim(verdict, suite.claims[verdict.claim], f" on {verdict.device}" if several else "")
    counts = {name: sum(v.verdict == name for v in result.verdicts) for name in _COLOURS}
    people().print("\n  " + ", ".join(f"[{_COLOURS[n]}]{c} {n}[/]" for n, c in counts.items() if c))
    untestable = sum(c.test is None for c in suite.claims.values())
    if untestable:
        people().print(
            f"  {plural(untestable, 'further claim')} cannot be tested here: 'harness list claims' says why"
        )
    alpha = max(v.alpha for v in result.verdicts)
    people().print(
        f"  [dim]intervals cover {1 - 2 * alpha:.3g} and err to either side with {alpha:.2g}; "
        "p is one-sided, and Holm's correction is over one article's claims[/]"
    )


def _print_claim(verdict: Verdict, claim: Claim, where: str) -> None:
    from rich.markup import escape

    from harness.judge import sentence

    colour = _COLOURS[verdict.verdict]
    fidelity = f"{claim.fidelity}, {plural(verdict.n, 'seed')}" if verdict.n else claim.fidelity
    people().print(f"\n  [{colour}]{verdict.verdict:<13}[/][bold]{claim.id}[/]{where} [dim]({fidelity})[/]")
    lines = {"says": claim.says}
    if claim.paper:
        figures = ", ".join(f"{k} {v}" for k, v in claim.paper.items())
        lines["printed"] = figures + ("" if claim.confirmed else " (unconfirmed)")
    lines["here"] = sentence(verdict, claim).partition(": ")[2]
    if verdict.p is not None and verdict.p_holm is not None:
        lines["here"] += f"; p = {verdict.p:.2g}, {verdict.p_holm:.2g} after Holm"
        if verdict.holm_verdict != verdict.verdict:
            lines["here"] += f", which makes it {verdict.holm_verdict}"
    for name, text in lines.items():
        people().print(f"    [dim]{name:<8}[/] {escape(text)}", soft_wrap=True)


def document(result: SuiteResult) -> dict[str, Any]:
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
        "verdicts": verdict_documents(result),
    }


def verdict_documents(result: SuiteResult) -> list[dict[str, Any]]:
    from harness.judge import sentence

    claims = result.session.suite.claims
    return [{**v.to_json(), "sentence": sentence(v, claims[v.claim])} for v in result.verdicts]
