"""``harness data`` and ``harness doctor``: what data sets are here, and what this machine is."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import people, print_json, table
from harness.errors import DatasetError, DatasetMissing, ExitCode, UsageError
from harness.numbers import plural


class Action(StrEnum):
    """What to do about data sets."""

    list = "list"
    fetch = "fetch"
    check = "check"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(data)
    app.command()(doctor)


def data(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help="list them, fetch one, or check every file.")] = Action.list,
    name: Annotated[str | None, typer.Argument(help="The data set to fetch.")] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Say which data sets are here and where from; fetch one; check their digests, or read those without any."""
    from harness.registry.datasets import fetch, load, locate

    found = registry(context, plugin)
    if (name is None) == (action is Action.fetch):
        raise UsageError("harness data fetch needs the name of one data set; list and check take none")
    if action is Action.fetch:
        dataset = found.datasets[str(name)]
        folder = fetch(dataset)
        if as_json:
            print_json({"name": dataset.name, "folder": str(folder)})
        else:
            people().print(f"{dataset.name} is in {folder}; its licence: {dataset.licence}")
        return
    rows: list[dict[str, Any]] = []
    for dataset in found.datasets.values():
        row: dict[str, Any] = {"name": dataset.name, "licence": dataset.licence, "digest": None}
        try:
            place = locate(dataset)
            if action is Action.check and not all(dataset.files.values()):
                load(dataset)
            row |= {"status": "here", "where": place.place, "digest": place.digest}
        except DatasetMissing as error:
            row |= {"status": "missing", "where": str(error).partition(": ")[2]}
        except DatasetError as error:
            row |= {"status": "damaged", "where": str(error)}
        rows.append(row)
    if as_json:
        print_json(rows)
    else:
        shown = table("data set", "status", "where, or how to get it", "licence")
        for row in rows:
            colour = {"here": "green", "missing": "yellow", "damaged": "red"}[row["status"]]
            shown.add_row(row["name"], f"[{colour}]{row['status']}[/]", row["where"], row["licence"])
        people().print(shown)
    if action is Action.check and any(row["status"] == "damaged" for row in rows):
        raise typer.Exit(ExitCode.USAGE)


def doctor(context: typer.Context, as_json: Json = False, plugin: Plugins = None) -> None:
    """Say what this machine has, what is amiss, and what threatens that results can be repeated."""

    from rich.markup import escape

    from harness.files.claims import claims_of
    from harness.records.provenance import cpu_name, packages, python_line, source_state, usable_cores
    from harness.registry.datasets import locate

    found = registry(context, plugin)
    import torch

    versions = {k: packages().get(k) for k in ("torch", "numpy", "scipy", "mlflow", "pluggy", "pydantic")}
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    amiss = [f"plugin {p.name} is broken: {p.broken}" for p in found.plugins.values() if p.broken]
    amiss += claims_of(found).problems
    for dataset in found.datasets.values():
        try:
            locate(dataset)
        except DatasetMissing as error:
            amiss.append(str(error))
        except DatasetError as error:
            amiss.append(f"damaged: {error}")
    findings = [one for found_by in found.manager.hook.harness_doctor() for one in found_by]
    report = {
        "python": python_line(),
        "cpu": f"{cpu_name()}, {plural(usable_cores(), 'usable core')}",
        "cuda": cuda,
        "packages": versions,
        "source": source_state(),
        "plugins": sorted(found.plugins),
        "findings": [asdict(one) for one in findings],
        "amiss": amiss,
    }
    if as_json:
        print_json(report)
        return
    people().print(f"python    {report['python']}")
    people().print(f"cpu       {report['cpu']}")
    people().print(f"cuda      {', '.join(cuda) or 'none; cells run on the CPU'}")
    people().print(f"packages  {', '.join(f'{k} {v}' for k, v in versions.items() if v)}")
    people().print(f"plugins   {', '.join(found.plugins)}")
    for one in findings:
        mark = "[green]ok[/]  " if one.ok else "[yellow]mind[/]"
        people().print(f"{mark}      {escape(f'{one.name}: {one.message}')}", soft_wrap=True)
        if not one.ok and one.advice:
            people().print(f"          [dim]to do:[/] {escape(one.advice)}", soft_wrap=True)
    for line in amiss:
        people().print(f"[yellow]mind[/]      {escape(line)}", soft_wrap=True)
    if not amiss and all(one.ok for one in findings):
        people().print("[green]nothing is amiss[/]")
