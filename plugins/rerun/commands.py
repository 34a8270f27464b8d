"""``harness rerun``: run recorded cells again and say whether the same comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import Json, Plugins, Results, registry
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode, UnknownName, UsageError
from harness.numbers import plural

if TYPE_CHECKING:
    from harness.cell import Record
    from harness.judge import SuiteResult
    from harness.registry import Registry
    from harness_plugins.rerun.again import Planned
    from harness_plugins.rerun.outcome import Outcome, Word

_COLOURS: Mapping[Word, str] = {
    "bit-equal": "green",
    "within tolerance": "green",
    "different": "red",
    "not-run": "yellow",
}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rerun)


def rerun(
    context: typer.Context,
    records: Annotated[
        list[str] | None, typer.Argument(metavar="[RECORD]...", help="Records by id, or its first 6 digits or more.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", metavar="N", min=1, help="So many at random.")] = None,
    claim: Annotated[
        list[str] | None, typer.Option("--claim", metavar="ID", help="All that this claim rests on; globs are allowed.")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", metavar="N", min=1, help="Workers.")] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Run recorded cells again: bit-equal, within tolerance, or different. Ends with 3 where one is different."""
    from harness.planning.request import results_folder
    from harness_plugins.rerun.again import RERUNS, plan, run_again

    if sum((bool(records), sample is not None, bool(claim))) != 1:
        raise UsageError("say what to run again: records by id, or --sample N, or --claim ID; one of the three")
    folder = results_folder(results)
    found = registry(context, plugin)
    judged: list[SuiteResult] = []
    if claim:
        judged, chosen = _of_claims(claim, folder, found)
    else:
        chosen = _chosen(records or (), sample, folder)
    planned = plan(chosen, folder, found)
    _tell_before(planned)

    def progress(record: Record) -> None:
        errors().print(f"[dim]{record.status} {record.id[:10]} in {record.seconds:.1f} s[/]")

    outcomes = run_again(planned, folder, found, progress, jobs)
    verdicts = [verdict for result in judged for verdict in _verdicts(result, outcomes)]
    counts = Counter(outcome.word for outcome in outcomes)
    if as_json:
        document = {"results": str(folder), "reruns": str(folder / RERUNS), "counts": dict(counts)}
        print_json({**document, "outcomes": [o.to_json() for o in outcomes], "verdicts": verdicts})
    else:
        _print(outcomes, verdicts)
        told = ", ".join(f"{count} {word}" for word in _COLOURS if (count := counts[word]))
        people().print(f"\n{told}; the second runs are in {folder / RERUNS}", soft_wrap=True)
    if counts["different"]:
        raise typer.Exit(ExitCode.NOT_HELD)
    if counts["not-run"]:
        raise typer.Exit(ExitCode.CELLS_FAILED)


def _chosen(ids: Sequence[str], sample: int | None, folder: Path) -> list[Record]:
    """The records that were named, or so many good ones at random."""
    import random

    from harness.records import RecordsFile

    by_id = RecordsFile(folder).load().by_id
    if not by_id:
        raise UsageError(f"there are no records in {folder}; 'harness suite NAME' makes some")
    if sample is not None:
        good = [record for record in by_id.values() if record.good]
        return random.sample(good, min(sample, len(good)))
    chosen = {}
    for name in ids:
        matching = [i for i in by_id if i.startswith(name)] if len(name) >= 6 else []
        if len(matching) > 1:
            raise UsageError(f"record {name}: {len(matching)} ids begin so; give more of its digits")
        if not matching:
            raise UnknownName("record", name, by_id, where=str(folder))
        chosen[matching[0]] = by_id[matching[0]]
    return list(chosen.values())


def _of_claims(names: Sequence[str], folder: Path, found: Registry) -> tuple[list[SuiteResult], list[Record]]:
    """The suites that decide these claims by the folder's records, and the records that they rest on."""
    from harness.judge import judged_suites, needed_cells
    from harness.planning.request import Request

    for name in names:
        if name in found.suites:
            raise UsageError(f"--claim {name}: that is a suite; 'harness show {name}' lists its claims")
    judged = judged_suites(found, names, Request(suite="", results=folder))
    chosen: dict[str, Record] = {}
    for result in judged:
        for claim in result.plan.suite.claims.values():
            needed = needed_cells(claim, result.plan.scope)
            chosen.update({i: r for i, r in result.records.items() if i in needed})
    if not chosen:
        raise UsageError(f"--claim {' '.join(names)}: no record in {folder} belongs to it")
    return judged, list(chosen.values())


def _tell_before(planned: Sequence[Planned]) -> None:
    """Say what has changed since the records, before anything runs."""
    from rich.markup import escape

    cannot = Counter(one.cause for one in planned if one.cell is None)
    for cause, count in cannot.items():
        errors().print(f"[yellow]cannot run[/] {plural(count, 'record')}: {escape(cause)}", soft_wrap=True)
    changed = Counter(change for one in planned for change in one.changed)
    for change, count in changed.items():
        errors().print(f"[yellow]changed since[/] {plural(count, 'record')}: {escape(change)}", soft_wrap=True)
    runs = len({one.cell.id for one in planned if one.cell is not None})
    errors().print(f"running {plural(runs, 'cell')} again")


def _verdicts(result: SuiteResult, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The verdicts of the recorded cells, and those of the same with their second runs in their place."""
    from dataclasses import replace

    from harness.judge import judge_plan, sentence

    again = {o.record.id: replace(o.again, id=o.record.id) for o in outcomes if o.again is not None}
    second = judge_plan(result.plan, {**result.records, **again}).verdicts
    claims = result.plan.suite.claims
    return [
        {
            "claim": before.claim,
            "suite": result.plan.suite.name,
            "device": before.device,
            "before": before.verdict,
            "after": after.verdict,
            "sentence_before": sentence(before, claims[before.claim]),
            "sentence_after": sentence(after, claims[before.claim]),
        }
        for before, after in zip(result.verdicts, second, strict=True)
    ]


def _print(outcomes: Sequence[Outcome], verdicts: Sequence[dict[str, Any]]) -> None:
    from rich.markup import escape

    from harness.planning.setting import label, varying
    from harness_plugins.rerun.again import explanation

    names = varying(o.record.options for o in outcomes)
    for outcome in outcomes:
        r = outcome.record
        setting = f" {label(r.options, names)}".rstrip()
        head = f"[{_COLOURS[outcome.word]}]{outcome.word:<16}[/] {r.id[:10]}"
        people().print(f"{head} {escape(f'{r.method} on {r.task}{setting} seed={r.seed}')}", soft_wrap=True)
        if outcome.cause and outcome.word != "bit-equal":
            people().print(f"    {escape(outcome.cause)}", soft_wrap=True)
        if outcome.word in ("bit-equal", "not-run"):
            continue
        for m in outcome.metrics:
            if m.before != m.after:
                text = f"{m.name} was {m.before:.10g}, is {m.after:.10g}"
                verb = "within" if m.within else "beyond"
                off = f"off by {abs(m.after - m.before):.2g}, {verb} the tolerance of {m.tolerance:.2g}"
                people().print(f"    {escape(f'{text}: {off}')}", soft_wrap=True)
        if outcome.curves:
            people().print(f"    [dim]curves that differ:[/] {escape(', '.join(outcome.curves))}", soft_wrap=True)
        people().print(f"    [dim]why:[/] {escape(explanation(outcome))}", soft_wrap=True)
    for verdict in verdicts:
        same = verdict["before"] == verdict["after"]
        colour, told = ("green", "the same verdict") if same else ("red", "another verdict")
        people().print(f"\n[{colour}]{told}[/] {escape(verdict['claim'])}")
        people().print(f"    [dim]before[/] {escape(verdict['sentence_before'])}", soft_wrap=True)
        people().print(f"    [dim]again [/] {escape(verdict['sentence_after'])}", soft_wrap=True)
