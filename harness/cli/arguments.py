"""Arguments that several commands share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.registry import Registry

Plugins = Annotated[
    list[str] | None,
    typer.Option("-p", "--plugin", metavar="MODULE_OR_PATH", help="Add a plugin that is not installed."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Results = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="Results folder (default: $HARNESS_RESULTS or ./results)."),
]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ...; may be given more than once."),
]
Jobs = Annotated[int | None, typer.Option("--jobs", metavar="N", help="Workers (default: one a core).")]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Limit a cell, such as 10m.")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Limit a cell, such as 4G.")]
Retries = Annotated[int, typer.Option("--retries", metavar="N", help="Retries when a worker dies.")]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def all_plugins(context: typer.Context, plugin: list[str] | None) -> tuple[str, ...]:
    """Plugins named before the command and after it."""
    return (*(context.obj or ()), *(plugin or ()))


@cache
def load(plugins: tuple[str, ...] = ()) -> Registry:
    """The registry with these plugins beside the installed ones, loaded once."""
    from harness.registry import load_registry

    return load_registry(plugins)


def registry(context: typer.Context, plugin: list[str] | None) -> Registry:
    """The registry with the plugins that were named."""
    return load(all_plugins(context, plugin))


def complete_plugins(context: typer.Context, incomplete: str) -> list[str]:
    """Plugins' names for the shell."""
    return _beginning(load(all_plugins(context, None)).plugins, incomplete)


def complete_suites(context: typer.Context, incomplete: str) -> list[str]:
    """Suites' names for the shell."""
    return _beginning(load(all_plugins(context, None)).suites, incomplete)


def complete_claims(context: typer.Context, incomplete: str) -> list[str]:
    """Names of suites and of claims for the shell."""
    from harness.files.claims import claims_of

    registry = load(all_plugins(context, None))
    return _beginning({**registry.suites, **claims_of(registry).by_id}, incomplete)


def complete_records(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the records of the results folder for the shell."""
    from harness.planning.request import results_folder
    from harness.records import RecordsFile

    folder = context.params.get("results")
    return _beginning(RecordsFile(results_folder(folder and Path(folder))).load().by_id, incomplete)


def complete_only(context: typer.Context, incomplete: str) -> list[str]:
    """The axes of a suite's cells for the shell, and behind "AXIS=" its values."""
    from harness.errors import HarnessError
    from harness.files.suite import read_suite
    from harness.planning.cross import cells_of
    from harness.spec import AXES

    registry = load(all_plugins(context, None))
    try:
        cells = cells_of(read_suite(context.params.get("name") or "", registry), registry)
    except HarnessError:
        return []
    values: dict[str, set[str]] = {}
    for cell in cells:
        for axis in (*AXES, *cell.options):
            values.setdefault(axis, set()).add(str(cell.value(axis)))
    axis, equals, _ = incomplete.partition("=")
    if not equals:
        return _beginning([f"{axis}=" for axis in values], incomplete)
    return _beginning([f"{axis}={value}" for value in values.get(axis, ())], incomplete)


def complete_all(context: typer.Context, incomplete: str) -> list[str]:
    """Names of whatever can be shown, for the shell."""
    from harness.files.claims import claims_of

    registry = load(all_plugins(context, None))
    kinds = (registry.plugins, registry.roles, registry.methods, registry.tasks, registry.workloads)
    more = (registry.datasets, registry.engines, registry.suites, claims_of(registry).by_id)
    return _beginning({name for kind in (*kinds, *more) for name in kind}, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def seconds(duration: str | None, flag: str = "--timeout") -> float | None:
    """A length of time in seconds; an error names the flag.

    >>> seconds("10m"), seconds("1.5h"), seconds("45")
    (600.0, 5400.0, 45.0)
    """
    if duration is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", duration.strip())
    if not found or float(found[1]) == 0:
        raise UsageError(f"{flag} {duration}: a length of time is needed, such as 90s, 10m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def size(amount: str | None) -> int | None:
    """An amount of memory in bytes.

    >>> size("4G"), size("1.5 GiB"), size("500MB")
    (4000000000, 1610612736, 500000000)
    """
    if amount is None:
        return None
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        count = TypeAdapter(ByteSize).validate_python(amount)
    except ValidationError:
        count = ByteSize(0)
    if count <= 0:
        raise UsageError(f"--memory {amount}: an amount of memory is needed, such as 500M, 4G or 4GiB")
    return int(count)
