"""What differs between the place where a record was made and this one: environment, packages, code, data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.cell import Cell, Record
from harness.numbers import plural
from harness.registry import Registry

#: Packages that are named; the others are counted.
MAX_PACKAGES = 8
#: Packages that compute results are named first.
_COMPUTING = ("torch", "numpy", "scipy", "scikit-learn")
#: Entries that can differ without an effect on results: the host's name, its number of cores, and the checkout, whose
#: changes need not be in code that cells run.
_HARMLESS = ("machine", "source.dirty", "source.diff", "source.commit", "cpus")


def environment_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Entries that differ between two environments, possible causes of other results first.

    An entry that only one of them has does not count: an older harness may not have recorded it.

    >>> environment_changes({"threads": 4, "packages": {"torch": "2.6"}}, {"threads": 1, "packages": {"torch": "2.7"}})
    ['threads: was 4, is 1', 'packages: torch was 2.6, is 2.7']
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    changed = {name: f"{name}: was {old[name]}, is {new[name]}" for name in old if name in new}
    changed = {name: text for name, text in changed.items() if old[name] != new[name]}
    causes = [text for name, text in changed.items() if name not in _HARMLESS]
    causes += package_changes(before.get("packages") or {}, after.get("packages") or {})
    return causes + [text for name, text in changed.items() if name in _HARMLESS]


def is_possible_cause(change: str) -> bool:
    """Whether a change of the environment can be the cause of other results."""
    return not change.startswith(tuple(f"{name}:" for name in _HARMLESS))


def package_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """One sentence that names packages with another version and counts those that are gone or new; none without any.

    >>> package_changes({"rich": "1", "numpy": "2.0", "six": "1"}, {"rich": "2", "numpy": "2.1"})
    ['packages: numpy was 2.0, is 2.1, rich was 1, is 2; 1 gone']
    """
    if not before or not after:
        return []
    changed = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    changed.sort(key=lambda name: name not in _COMPUTING)
    versions = [f"{name} was {before[name]}, is {after[name]}" for name in changed]
    more = [f"and {len(versions) - MAX_PACKAGES} more"] if len(versions) > MAX_PACKAGES else []
    gone, new = len(before.keys() - after.keys()), len(after.keys() - before.keys())
    parts = [", ".join([*versions[:MAX_PACKAGES], *more]), f"{gone} gone" * bool(gone), f"{new} new" * bool(new)]
    text = "; ".join(filter(None, parts))
    return [f"packages: {text}"] if text else []


def code_and_data_changes(record: Record, cell: Cell, environment: Mapping[str, Any], registry: Registry) -> list[str]:
    """What differs between a record's cell and the same cell today, one sentence each; the environment aside.

    ``environment`` is the record's: it holds a digest of each plugin's code, by which the changed plugins are named.
    """
    changes = []
    if cell.code != record.code:
        plugins = environment.get("plugins") or {}
        names = [
            name
            for name in sorted(registry.plugins_of(record.method, record.task, cell.options))
            if name in plugins and plugins[name].get("code") != registry.plugins[name].code
        ]
        of_plugins = f" of the plugin{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
        digests = f"digest was {record.code or 'not recorded'}, is {cell.code}"
        changes.append(f"code{of_plugins} has changed since ({digests})")
    for name, digest in cell.data.items():
        if record.data.get(name) != digest:
            data = f"file of the {name}" if name.startswith("option ") else f"data set {name}"
            changes.append(f"{data} has changed since (digest was {record.data.get(name)}, is {digest})")
    if added := [name for name in cell.options if name not in record.options]:
        changes.append(f"{plural(len(added), 'new option')} at the default: {', '.join(added)}")
    return changes


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Entries of nested mappings under dotted names; an element of a list goes by its own ``name`` or its number.

    Packages and plugins are left out: they have sentences of their own.
    """
    for key, value in content.items():
        name = f"{prefix}{key}"
        if name in ("packages", "plugins"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for i, element in enumerate(value):
                if isinstance(element, Mapping):
                    entry = dict(element)
                    yield from _flat(entry, f"{name}.{entry.pop('name', i)}.")
                else:
                    yield f"{name}.{i}", element
        else:
            yield name, value
