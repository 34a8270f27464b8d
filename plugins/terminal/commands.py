"""``harness suite`` and ``harness claims``: run a suite, judge its claims."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import (
    Devices,
    Jobs,
    Json,
    Memory,
    Plugins,
    Results,
    Retries,
    Timeout,
    all_plugins,
    complete_claims,
    complete_only,
    complete_suites,
    registry,
    seconds,
    size,
)
from harness.cli.output import errors, print_json
from harness.errors import ArgumentError, ExitCode, MissingArgument, UnknownName

if TYPE_CHECKING:
    from harness.cell import Record

_log = logging.getLogger(__name__)


def suite(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_FILE", help="A suite's name, or the path of its file.", autocompletion=complete_suites
        ),
    ],
    device: Devices = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Seeds instead of the suite's.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="AXIS=VALUE",
            help="Only these cells; globs and commas, any number of times.",
            autocompletion=complete_only,
        ),
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = None,
    retries: Retries = 2,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="Engine that runs the cells.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDR", help="Cluster address, for example HOST:6379.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run cells again that have a record.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the cells and what the claims can show; run none.")
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add seeds, 5, 10, 20, then 40, until each claim is decided."),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Wall time for --until-decided, such as 10m; the answer first."),
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option("--pilot", metavar="FOLDER", help="Records that --plan takes the spread of the seeds from."),
    ] = None,
    tables: Annotated[bool, typer.Option("--tables", help="Print the estimates and costs of each task too.")] = False,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Run a suite: cells that have no good record yet, then its claims and its answer."""
    from harness.files.suite import read_suite
    from harness.judge import check_claims, power_of
    from harness.planning.plan import make_plan
    from harness.planning.request import Request
    from harness.running.runner import prepare_engine, run_suite
    from harness_plugins.terminal.plan import print_plan
    from harness_plugins.terminal.result import document, print_result

    if pilot is not None and not plan:
        raise MissingArgument("pilot", "plan", "a run takes the spread from its own seeds")
    request = Request(
        suite=name,
        devices=tuple(dict.fromkeys(device or ("cpu",))),
        seeds=seeds,
        only=tuple(only or ()),
        jobs=jobs,
        timeout=seconds(timeout),
        memory=size(memory),
        retries=retries,
        engine=engine,
        address=address,
        fresh=fresh,
        retry_failed=retry_failed,
        until_decided=until_decided,
        budget=seconds(budget, "--budget"),
        results=results,
        plugins=all_plugins(context, plugin),
    )
    plugins = registry(context, plugin)
    if plan:
        first_look = read_suite(name, plugins).looks[0] if until_decided else seeds
        made = check_claims(make_plan(request, plugins, first_look))
        print_plan(made, power_of(made, None if pilot is None else _pilot_records(pilot)), as_json)
        return
    # Before anything else that takes time is imported: the workers' server starts meanwhile.
    prepare_engine(request, plugins)
    result = run_suite(request, plugins, errors())
    if as_json:
        print_json(document(result))
    else:
        print_result(result, tables)
    raise typer.Exit(result.exit_code)


def _pilot_records(folder: Path) -> Mapping[str, Record]:
    """The records of a pilot by cell id. Raises UsageError where there are none."""
    from harness.records import RecordsFile

    loaded = RecordsFile(folder).load()
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    if not loaded.by_id:
        raise ArgumentError("pilot", folder, "there are no records in this folder")
    return loaded.by_id


def claims(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE_OR_CLAIM]...", help="Suites, or claims by id or glob.", autocompletion=complete_claims
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option("--require", metavar="VERDICT", help="Exit with 3 unless each verdict is this one."),
    ] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Judge claims from the records, without running anything."""
    from typing import get_args

    from harness.files.claims import claims_of
    from harness.judge import judged_suites, warn_of_unregistered
    from harness.judge.verdicts import Word
    from harness.planning.request import Request
    from harness_plugins.terminal.result import print_claims, verdict_documents

    if require is not None and require not in get_args(Word):
        raise UnknownName("verdict", require, get_args(Word), where="--require")
    plugins = registry(context, plugin)
    request = Request(suite="", results=results)
    judged = judged_suites(plugins, names or [], request)
    for warning in dict.fromkeys(w for result in judged for w in result.plan.warnings):
        # Claim files that cannot be read have been reported.
        if warning not in claims_of(plugins).problems:
            _log.warning("%s", warning)
    if as_json:
        print_json([v | {"suite": r.plan.suite.name} for r in judged for v in verdict_documents(r)])
    else:
        for result in judged:
            print_claims(result)
        if not names:
            warn_of_unregistered(plugins, request, judged)
    verdicts = [v for r in judged for v in r.verdicts]
    if not verdicts and (judged or names):
        _log.info("nothing to judge: no suite with records in %s names such a claim under 'claims'", request.folder)
    holds = verdicts and not claims_of(plugins).problems and all(v.verdict == require for v in verdicts)
    if require is not None and not holds:
        raise typer.Exit(ExitCode.NOT_HELD)
