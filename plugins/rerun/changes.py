"""What differs between the place a record comes from and this one: environment, packages, code, data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cell import Cell, Record
from harness.registry import Registry

#: Packages told one by one.
MOST_PACKAGES = 8
_COMPUTING = ("torch", "numpy", "scipy", "scikit-learn")
#: Entries that differ without a result's doing so: the name of the host, the state of sources that cells do not run.
_NO_CAUSE = ("machine", "source.dirty", "source.diff", "source.commit", "cpus")


def environment_of(record: Record, folder: Path) -> Mapping[str, Any]:
    """The environment a record names; empty where it is not in the folder."""
    if not record.environment:
        return {}
    path = folder / "environments" / f"{record.environment}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What two environments do not have in common, causes first; an entry that one of them lacks tells nothing.

    >>> differences({"threads": 4, "packages": {"torch": "2.6.0"}}, {"threads": 1, "packages": {"torch": "2.7.0"}})
    ['threads: was 4, is 1', 'packages: torch was 2.6.0, is 2.7.0']
    """
    one, other = dict(_flat(before)), dict(_flat(after))
    changed = [name for name in one if name in other and one[name] != other[name]]
    changed.sort(key=lambda name: name in _NO_CAUSE)
    found = [f"{name}: was {one[name]}, is {other[name]}" for name in changed if name not in _NO_CAUSE]
    found += package_changes(before.get("packages") or {}, after.get("packages") or {})
    return found + [f"{name}: was {one[name]}, is {other[name]}" for name in changed if name in _NO_CAUSE]


def may_explain(difference: str) -> bool:
    """Whether a difference of environments can be the cause of other results."""
    return not difference.startswith(tuple(f"{name}:" for name in _NO_CAUSE))


def package_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """One sentence on the packages whose versions differ, those that compute first; others are counted.

    >>> package_changes({"rich": "1", "numpy": "2.0", "six": "1"}, {"rich": "2", "numpy": "2.1"})
    ['packages: numpy was 2.0, is 2.1, rich was 1, is 2; 1 gone']
    """
    if not before or not after:
        return []
    changed = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    changed.sort(key=lambda name: name not in _COMPUTING)
    told = [f"{name} was {before[name]}, is {after[name]}" for name in changed]
    more = [f"and {len(told) - MOST_PACKAGES} more"] if len(told) > MOST_PACKAGES else []
    gone, new = len(before.keys() - after.keys()), len(after.keys() - before.keys())
    parts = [", ".join([*told[:MOST_PACKAGES], *more]), f"{gone} gone" * bool(gone), f"{new} new" * bool(new)]
    shown = "; ".join(filter(None, parts))
    return [f"packages: {shown}"] if shown else []


def code_and_data(record: Record, cell: Cell, environment: Mapping[str, Any], registry: Registry) -> list[str]:
    """What today's cell does not share with the one that left a record, but for the environment."""
    found = []
    if cell.code != record.code:
        then = environment.get("plugins") or {}
        names = sorted(registry.plugins_of(record.method, record.task, cell.options))
        changed = [n for n in names if n in then and then[n].get("code") != registry.plugins[n].code]
        whose = f"of the plugin{'s' * (len(changed) > 1)} {', '.join(changed)}" if changed else "of its plugins"
        found.append(f"code {whose} has changed since (digest was {record.code or 'not recorded'}, is {cell.code})")
    for name, digest in cell.data.items():
        if record.data.get(name) != digest:
            found.append(f"data set {name} has changed since (digest was {record.data.get(name)}, is {digest})")
    if added := [name for name in cell.options if name not in record.options]:
        found.append(f"options that are new since stand at their defaults: {', '.join(added)}")
    return found


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Entries of nested mappings under dotted names, lists of mappings by the name each has; packages aside."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if name in ("packages", "plugins"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for i, one in enumerate(value):
                entry = dict(one) if isinstance(one, Mapping) else {str(i): one}
                yield from _flat(entry, f"{name}.{entry.pop('name', i)}.")
        else:
            yield name, value
