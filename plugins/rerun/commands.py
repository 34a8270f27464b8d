"""``harness rerun``: run recorded cells again and say whether the results are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import (
    Jobs,
    Json,
    Memory,
    Plugins,
    Results,
    Retries,
    Timeout,
    all_plugins,
    complete_claims,
    complete_records,
    registry,
    seconds,
    size,
)
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode, UnknownName, UsageError
from harness.numbers import duration, number, plural

if TYPE_CHECKING:
    from harness.cell import Record
    from harness.judge import SuiteResult
    from harness.registry import Registry
    from harness.running.runner import Finished
    from harness_plugins.rerun.outcome import Outcome, Word
    from harness_plugins.rerun.second_runs import Planned

#: The shortest beginning of an id that names a record.
_ID_DIGITS = 6
_COLOURS: Mapping[Word, str] = {
    "bit-equal": "green",
    "within tolerance": "green",
    "different": "red",
    "not-run": "yellow",
}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rerun)


# One parameter for each flag.
def rerun(
    context: typer.Context,
    records: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECORD", help="Records, by id or its first 6 digits or more.", autocompletion=complete_records
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="N good records at random.")
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="ID",
            help="All records a claim rests on; globs are allowed.",
            autocompletion=complete_claims,
        ),
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = None,
    retries: Retries = 2,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Run recorded cells again: bit-equal, within tolerance, or different. Exits with 3 if a cell is different."""
    from harness.planning.request import Request
    from harness.planning.setting import varying_by_task
    from harness.records import RecordsFile
    from harness.running.interrupt import interruptible
    from harness_plugins.rerun.second_runs import RERUNS, plan, run_again

    if sum((bool(records), sample is not None, bool(claim))) != 1:
        raise UsageError("say what to run again: records by id, or --sample N, or --claim ID; one of the three")
    request = Request(
        suite="",
        jobs=jobs,
        timeout=seconds(timeout),
        memory=size(memory),
        retries=retries,
        results=results,
        plugins=all_plugins(context, plugin),
    )
    plugins = registry(context, plugin)
    judged: list[tuple[SuiteResult, set[str]]] = []
    if claim:
        judged, chosen = _records_of_claims(claim, request.folder, plugins)
    else:
        chosen = _chosen_records(records or (), sample, request.folder)
    planned = plan(chosen, request.folder, plugins)
    _print_plan(planned)
    varying = varying_by_task(RecordsFile(request.folder).load().by_id.values())
    with interruptible() as stop:
        outcomes = run_again(planned, request, plugins, stop, partial(_print_progress, varying))
        interrupted = stop()
    verdicts = [verdict for result, claims in judged for verdict in _verdicts(result, claims, outcomes)]
    counts = Counter(outcome.word for outcome in outcomes)
    reruns = request.folder / RERUNS
    if as_json:
        document = {"results": str(request.folder), "reruns": str(reruns), "counts": dict(counts)}
        print_json({**document, "outcomes": [o.to_json() for o in outcomes], "verdicts": verdicts})
    else:
        _print_outcomes(outcomes, verdicts, varying)
        tally = ", ".join(f"{count} {word}" for word in _COLOURS if (count := counts[word]))
        head = "interrupted; " if interrupted else ""
        people().print(f"\n{head}{tally}; the second runs are in {reruns}", markup=False, soft_wrap=True)
    raise typer.Exit(_exit_code(counts, interrupted))


def _exit_code(counts: Mapping[Word, int], interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    if counts.get("different"):
        return ExitCode.NOT_HELD
    return ExitCode.CELLS_FAILED if counts.get("not-run") else ExitCode.OK


def _chosen_records(ids: Sequence[str], sample: int | None, folder: Path) -> list[Record]:
    """The records with these ids, or ``sample`` good ones at random."""
    import random

    from harness.records import RecordsFile

    by_id = RecordsFile(folder).load().by_id
    if not by_id:
        raise UsageError(f"there are no records in {folder}; 'harness suite NAME' makes some")
    if sample is not None:
        good = [record for record in by_id.values() if record.good]
        return random.sample(good, min(sample, len(good)))
    chosen = {}
    for beginning in ids:
        matching = [i for i in by_id if i.startswith(beginning)] if len(beginning) >= _ID_DIGITS else []
        if len(matching) > 1:
            raise UsageError(f"record {beginning}: {len(matching)} ids begin with it; give more digits")
        if not matching:
            raise UnknownName("record", beginning, by_id, where=str(folder))
        chosen[matching[0]] = by_id[matching[0]]
    return list(chosen.values())


def _records_of_claims(
    names: Sequence[str], folder: Path, plugins: Registry
) -> tuple[list[tuple[SuiteResult, set[str]]], list[Record]]:
    """The suites that decide these claims, judged from the folder's records, each with those of its claims that are
    meant; and the records that these rest on.

    The suites are whole: a claim's verdict depends on how many others it is corrected for.
    """
    from harness.judge import judged_suites, needed_cells
    from harness.planning.request import Request

    for name in names:
        if name in plugins.suites:
            raise UsageError(f"--claim {name}: that is a suite; 'harness show {name}' lists its claims")
    request = Request(suite="", results=folder)
    meant = {r.plan.suite.name: set(r.plan.suite.claims) for r in judged_suites(plugins, names, request)}
    whole = judged_suites(plugins, list(meant), request) if meant else []
    judged = [(result, meant[result.plan.suite.name]) for result in whole]
    chosen: dict[str, Record] = {}
    for result, claims in judged:
        for name in claims:
            needed = needed_cells(result.plan.suite.claims[name], result.cells)
            chosen.update(result.records_behind(needed))
    if not chosen:
        raise UsageError(f"--claim {' '.join(names)}: no record in {folder} belongs to it")
    return judged, list(chosen.values())


def _print_plan(planned: Sequence[Planned]) -> None:
    """Say what has changed since the records, before anything runs."""
    from rich.markup import escape

    causes = Counter(item.cause for item in planned if item.cell is None)
    for cause, count in causes.items():
        errors().print(f"[yellow]cannot run[/] {plural(count, 'record')}: {escape(cause)}", soft_wrap=True)
    changes = Counter(change for item in planned for change in item.changes)
    for change, count in changes.items():
        errors().print(f"[yellow]changed[/] for {plural(count, 'record')}: {escape(change)}", soft_wrap=True)
    cells = len({item.cell.id for item in planned if item.cell is not None})
    errors().print(f"running {plural(cells, 'cell')} again")


def _cell_text(record: Record, varying: Mapping[str, Sequence[str]]) -> str:
    """Method, task, the options that tell the folder's records of the task apart, and seed."""
    from harness.planning.setting import label

    setting = f" {label(record.options, varying.get(record.task, ()))}".rstrip()
    return f"{record.method} on {record.task}{setting} seed={record.seed}"


def _print_progress(varying: Mapping[str, Sequence[str]], finished: Finished) -> None:
    from rich.markup import escape

    record = finished.record
    cell = _cell_text(record, varying)
    where = "" if finished.here else ", by another process"
    message = f"{record.status} {escape(cell)} in {duration(record.seconds)}{where}"
    errors().print(f"[dim]{message}[/]", soft_wrap=True)


def _verdicts(result: SuiteResult, names: Container[str], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The verdict on each of these claims from the records, and with the second runs in their place."""
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
        if before.claim in names
    ]


def _print_outcomes(
    outcomes: Sequence[Outcome], verdicts: Sequence[dict[str, Any]], varying: Mapping[str, Sequence[str]]
) -> None:
    from rich.markup import escape

    for outcome in outcomes:
        _print_outcome(outcome, varying)
    for verdict in verdicts:
        same = verdict["before"] == verdict["after"]
        colour, head = ("green", "the same verdict") if same else ("red", "another verdict")
        people().print(f"\n[{colour}]{head}[/] {escape(verdict['claim'])}")
        people().print(f"    [dim]before[/] {escape(verdict['sentence_before'])}", soft_wrap=True)
        people().print(f"    [dim]again [/] {escape(verdict['sentence_after'])}", soft_wrap=True)


def _print_outcome(outcome: Outcome, varying: Mapping[str, Sequence[str]]) -> None:
    """One cell in a line, and below it what differs and why. ``varying`` are the options that vary, by task."""
    from rich.markup import escape

    record = outcome.record
    head = f"[{_COLOURS[outcome.word]}]{outcome.word:<16}[/] {record.id[:10]}"
    cell = _cell_text(record, varying)
    people().print(f"{head} {escape(cell)}", soft_wrap=True)
    if outcome.cause and outcome.word != "bit-equal":
        people().print(f"    {escape(outcome.cause)}", soft_wrap=True)
    if outcome.word in ("bit-equal", "not-run"):
        return
    for m in outcome.metrics:
        if m.before != m.after:
            # Ten digits, as float32 has seven: fewer would show two numbers that differ as the same.
            values = f"{m.name} was {m.before:.10g}, is {m.after:.10g}"
            verb = "within" if m.within else "beyond"
            distance = f"off by {number(abs(m.after - m.before))}, {verb} the tolerance of {number(m.tolerance)}"
            people().print(f"    {escape(f'{values}: {distance}')}", soft_wrap=True)
    if outcome.curves:
        people().print(f"    [dim]curves that differ:[/] {escape(', '.join(outcome.curves))}", soft_wrap=True)
    if outcome.items:
        people().print(f"    [dim]outcomes of items that differ:[/] {escape(', '.join(outcome.items))}", soft_wrap=True)
    people().print(f"    [dim]why:[/] {escape(outcome.explanation)}", soft_wrap=True)
