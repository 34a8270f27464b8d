"""``harness data``: list, fetch or verify data sets."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import people, print_json, table
from harness.errors import DatasetError, DatasetMissing, ExitCode, UsageError
from harness.spec import Dataset

_COLOURS = {"here": "green", "missing": "yellow", "damaged": "red"}


class Action(StrEnum):
    """What to do about data sets."""

    list = "list"
    fetch = "fetch"
    check = "check"


def data(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help="List all, fetch one, or verify every file.")] = Action.list,
    name: Annotated[str | None, typer.Argument(help="The data set to fetch.")] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """List, fetch or verify data sets."""
    datasets = registry(context, plugin).datasets
    if (name is None) == (action is Action.fetch):
        raise UsageError("harness data fetch needs the name of one data set; list and check take none")
    if name is not None:
        _fetch(datasets[name], as_json)
        return
    rows = [_row(dataset, verify=action is Action.check) for dataset in datasets.values()]
    if as_json:
        print_json(rows)
    else:
        listing = table("data set", "status", "where, or how to get it", "licence")
        for row in rows:
            status = f"[{_COLOURS[row['status']]}]{row['status']}[/]"
            listing.add_row(row["name"], status, row["where"], row["licence"])
        people().print(listing)
    if action is Action.check and any(row["status"] == "damaged" for row in rows):
        raise typer.Exit(ExitCode.USAGE)


def _fetch(dataset: Dataset, as_json: bool) -> None:
    from harness_plugins.machine.fetching import fetch

    folder = fetch(dataset)
    if as_json:
        print_json({"name": dataset.name, "folder": str(folder)})
    else:
        people().print(f"{dataset.name} is in {folder}; its licence: {dataset.licence}", markup=False)


def _row(dataset: Dataset, verify: bool) -> dict[str, Any]:
    """Where a data set is. ``verify`` also loads it where its files have no digests."""
    from harness.registry.datasets import load, locate

    row: dict[str, Any] = {"name": dataset.name, "licence": dataset.licence, "digest": None}
    try:
        location = locate(dataset)
        if verify and not all(dataset.files.values()):
            load(dataset)
        return row | {"status": "here", "where": location.place, "digest": location.digest}
    except DatasetMissing as error:
        return row | {"status": "missing", "where": str(error).partition(": ")[2]}
    except DatasetError as error:
        return row | {"status": "damaged", "where": str(error)}
