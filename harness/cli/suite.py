"""``harness suite`` and ``harness claims``: run a suite, and say what its claims have come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from harness.cli.options import (
    Devices,
    Json,
    Plugins,
    Results,
    all_plugins,
    complete_claims,
    complete_suites,
    registry,
    seconds,
    size,
)
from harness.cli.output import errors, print_json
from harness.errors import ExitCode, UnknownName


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(suite)
    app.command()(claims)


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
        typer.Option("--only", metavar="AXIS=VALUE", help="Only these cells; globs and commas, any number of times."),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", metavar="N", help="Workers (default: one a core).")] = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Limit a cell, such as 10m.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Limit a cell, such as 4G.")] = None,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", help="Tries more for a cell whose worker was lost.")
    ] = 2,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="What runs the cells.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDR", help="Where the engine is, beyond this machine.")
    ] = None,
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
    from harness.cli.plan import print_plan
    from harness.cli.result import document, print_result
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
        memory=size(memory),
        retries=retries,
        engine=engine,
        address=address,
        fresh=fresh,
        retry_failed=retry_failed,
        until_decided=until_decided,
        results=results,
        plugins=all_plugins(context, plugin),
    )
    found = registry(context, plugin)
    found.engines[engine]
    if plan:
        session = prepare(request, found, seeds=LOOKS[0] if until_decided else seeds)
        print_plan(session, as_json)
        return
    if engine == "local":
        from harness.engines.local import warm_up

        warm_up()
    from harness.progress import ProgressWatcher

    try:
        result = run_suite(replace(request, watchers=(ProgressWatcher(errors()),)), found)
    except KeyboardInterrupt:
        errors().print("stopped at once; what had finished is recorded, and the same command goes on from there")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        print_json(document(result))
    else:
        print_result(result)
    raise typer.Exit(result.exit_code)


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

    from harness.cli.result import print_claims, verdict_documents
    from harness.judge.verdicts import Word
    from harness.recorded import judged_suites, tell_unregistered
    from harness.request import Request
    from harness.watchers import tell

    if require is not None and require not in get_args(Word):
        raise UnknownName("verdict", require, get_args(Word), where="--require")
    found = registry(context, plugin)
    request = Request(suite="", seeds=seeds, until_decided=until_decided, results=results)
    judged = judged_suites(found, names or [], request)
    if as_json:
        print_json([v | {"suite": r.session.suite.name} for r in judged for v in verdict_documents(r)])
    else:
        for result in judged:
            print_claims(result)
        if not names:
            tell_unregistered(found, request)
    verdicts = [v for r in judged for v in r.verdicts]
    if not verdicts and (judged or names):
        tell(f"nothing to judge: no suite with records in {request.folder} names such a claim under 'claims'")
    held = verdicts and not found.claim_problems and all(v.verdict == require for v in verdicts)
    if require is not None and not held:
        raise typer.Exit(ExitCode.NOT_HELD)
