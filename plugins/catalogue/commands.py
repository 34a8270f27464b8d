"""``harness list`` and ``harness show``: what plugins bring, and everything about one thing. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import Json, Plugins, Results, complete_all, registry
from harness.cli.output import people, print_json, table
from harness.errors import DatasetError, DatasetMissing, FileError, UnknownName

if TYPE_CHECKING:
    from pathlib import Path

    from harness.registry import Plugin, Registry


class Kind(StrEnum):
    """What can be listed."""

    plugins = "plugins"
    roles = "roles"
    methods = "methods"
    tasks = "tasks"
    workloads = "workloads"
    suites = "suites"
    claims = "claims"
    checks = "checks"
    datasets = "datasets"
    engines = "engines"


def list_(
    context: typer.Context,
    kind: Annotated[Kind | None, typer.Argument(help="One kind; how many there are of each if left out.")] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """List what the installed plugins bring."""
    plugins = registry(context, plugin)
    if kind is None:
        counts = {k.value: len(_items(plugins, k)) for k in Kind}
        if as_json:
            print_json(counts)
            return
        for name, count in counts.items():
            people().print(f"{count:>5} {name}")
        people().print("\n'harness list methods' lists one kind, 'harness show NAME' shows one thing in full")
        return
    rows = [_plain(item, plugins) for item in _items(plugins, kind).values()]
    if as_json:
        print_json(rows)
        return
    columns = _COLUMNS[kind]
    listing = table(*columns, title=f"{kind.value} ({len(rows)})")
    for row in rows:
        listing.add_row(*(_text(row.get(column)) for column in columns))
    people().print(listing)


def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="A method, task, suite, claim, data set, plugin, ... or a record's id.", autocompletion=complete_all
        ),
    ],
    as_json: Json = False,
    plugin: Plugins = None,
    results: Results = None,
) -> None:
    """Show everything about one thing."""
    plugins = registry(context, plugin)
    every = {kind.value.removesuffix("s"): _items(plugins, kind) for kind in Kind}
    hits = {kind: _plain(items[name], plugins) for kind, items in every.items() if name in items}
    if not hits and (record := _record(name, results)):
        hits = {"record": record}
    if not hits:
        raise UnknownName("name", name, {n for items in every.values() for n in items})
    if as_json:
        print_json(hits)
        return
    for kind, content in hits.items():
        people().print(f"[bold]{kind} {name}[/]")
        _print_tree({k: v for k, v in content.items() if k != "name"}, depth=1)


_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.plugins: ("name", "version", "status", "brings", "origin"),
    Kind.roles: ("name", "signature", "help"),
    Kind.methods: ("name", "role", "help"),
    Kind.tasks: ("name", "role", "metrics", "datasets", "help"),
    Kind.workloads: ("name", "role", "sizes", "help"),
    Kind.suites: ("name", "title", "path"),
    Kind.claims: ("name", "origin", "primary", "fidelity", "says"),
    Kind.checks: ("name", "kind", "inherited", "says"),
    Kind.datasets: ("name", "licence", "here", "help"),
    Kind.engines: ("name", "help"),
}


def _items(plugins: Registry, kind: Kind) -> Mapping[str, Any]:
    if kind is Kind.suites:
        return {name: _SuiteFile(name, path) for name, path in plugins.suites.items()}
    if kind in (Kind.claims, Kind.checks):
        from harness.files.claims import claims_of

        return claims_of(plugins).by_id if kind is Kind.claims else claims_of(plugins).checks
    items: Mapping[str, Any] = getattr(plugins, kind.value)
    return items


class _SuiteFile:
    """A suite as its file says it, read without judging it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path

    def content(self) -> dict[str, Any]:
        from harness.files.reading import load_toml

        try:
            return {"name": self.name, "path": str(self.path), **load_toml(self.path)}
        except FileError as error:
            return {"name": self.name, "path": str(self.path), "title": f"(cannot be read: {error})"}


def _plain(item: Any, plugins: Registry) -> dict[str, Any]:
    """Any noun as plain JSON types, under the names its class gives them."""
    from harness.registry import Plugin
    from harness.spec import Dataset

    if isinstance(item, _SuiteFile):
        return item.content()
    if not is_dataclass(item):
        # A claim or a check. Importing pydantic to ask whether it is one takes longer than all the rest.
        return _statement(item, plugins)
    if isinstance(item, Plugin):
        return _plugin(item)
    assert not isinstance(item, type)
    content = asdict(item)
    if isinstance(item, Dataset):
        content["here"] = _place(item)
    return {k: _simple(v) for k, v in content.items()}


def _statement(item: Any, plugins: Registry) -> dict[str, Any]:
    """A claim with the checks that it rests on, inherited ones too; or a check."""
    from harness.files.claims import checks_of

    content: dict[str, Any] = item.model_dump(mode="json", exclude_defaults=True)
    name = content.pop("id")
    if not hasattr(item, "origin"):
        return {"name": name, "kind": item.kind, **content}
    own = {"origin": item.origin, "fidelity": item.fidelity}
    return {"name": name, **own, **content, "checks": list(checks_of(item, plugins))}


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "status": f"broken: {plugin.broken}"
        if plugin.broken
        else f"ok, warning: {plugin.note}"
        if plugin.note
        else "ok",
        "brings": {kind.replace("_", " "): len(names) for kind, names in plugin.brings.items()},
        "origin": plugin.origin,
        "code": plugin.code,
    }


def _place(dataset: Any) -> str:
    from harness.registry.datasets import locate

    try:
        return locate(dataset).place
    except DatasetMissing:
        return "no"
    except DatasetError as error:
        return f"damaged: {error}"


def _record(name: str, results: Path | None) -> dict[str, Any] | None:
    """The record whose id begins with ``name``, with its environment."""
    from harness.planning.request import results_folder
    from harness.records import RecordsFile

    file = RecordsFile(results_folder(results))
    matching = [r for i, r in file.load().by_id.items() if len(name) >= 6 and i.startswith(name)]
    if len(matching) != 1:
        return None
    content = matching[0].as_dict()
    if environment := file.environment(matching[0]):
        content["environment"] = {"digest": matching[0].environment, **environment}
    return content


def _simple(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _simple(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_simple(v) for v in value]
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return f"{value.__module__}:{value.__qualname__}"
    return value


def _text(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        return escape(", ".join(f"{k} {v}" if isinstance(v, int) else k for k, v in value.items()))
    if isinstance(value, list):
        return escape(", ".join(map(str, value)))
    return escape("" if value is None else "yes" if value is True else str(value))


def _print_tree(content: Any, depth: int) -> None:
    from rich.markup import escape

    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if value in (None, "", [], {}, ()):
            continue
        pad = "  " * depth
        if isinstance(value, (dict, list)) and value and not _short(value):
            people().print(f"{pad}[cyan]{escape(str(key))}[/]")
            _print_tree(value, depth + 1)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            people().print(f"{pad}[cyan]{escape(str(key))}[/] {escape(shown)}", soft_wrap=True)


def _short(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(v, (dict, list)) for v in value) and len(str(value)) < 100
