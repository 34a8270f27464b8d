"""The environments that records come from: machine, versions, commit; and what differs between two folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cell import Record
from harness.numbers import memory, plural
from harness.records import RecordsFile
from harness.records.anonymous import Anonymiser
from harness.records.provenance import environment_digest

#: Entries that the section of an environment shows in a form of their own.
_SHOWN_APART = {"packages", "source", "torch", "switches", "gpu", "plugins", "blas"}


@dataclass(frozen=True)
class Environment:
    """An environment, and how many of the records come from it."""

    digest: str
    records: int
    #: The entries that were recorded; empty where the file is missing or damaged.
    entries: Mapping[str, Any]

    @property
    def source(self) -> Mapping[str, Any]:
        """The commit, and whether there were uncommitted changes."""
        return self.entries.get("source") or {}

    @property
    def machine(self) -> str:
        """Its processors in a few words."""
        gpu, cores = self.entries.get("gpu") or {}, self.entries.get("cpus")
        parts = [f"{gpu['name']}, {memory(gpu.get('memory_bytes'))}"] if gpu.get("name") else []
        processor = self.entries.get("cpu", "unknown processor")
        parts.append(f"{processor}, {plural(cores, 'core')}" if cores else f"{processor}")
        return " with ".join(parts)

    @property
    def versions(self) -> str:
        """Python, torch and the commit in a few words."""
        commit = f"commit {str(self.source['commit'])[:10]}" if self.source.get("commit") else ""
        commit += " with uncommitted changes" if self.source.get("dirty") else ""
        version = (self.entries.get("torch") or {}).get("version")
        torch = f"torch {version}" if version else ""
        python = f"Python {self.entries['python']}" if self.entries.get("python") else ""
        return ", ".join(filter(None, (python, torch, commit)))


@dataclass(frozen=True)
class EnvironmentSection:
    """What the report shows of one environment."""

    heading: str
    facts: Sequence[tuple[str, str]]
    packages: Mapping[str, str]


def reduced(sources: Iterable[Environment], anonymiser: Anonymiser) -> list[Environment]:
    """The environments without what does not matter for reproducing; those that are then the same are one."""
    by_digest: dict[str, Environment] = {}
    for source in sources:
        entries = anonymiser.environment(source.entries)
        digest = environment_digest(entries) if entries else source.digest
        same = by_digest.get(digest)
        by_digest[digest] = Environment(digest, source.records + (same.records if same else 0), entries)
    return list(by_digest.values())


def environments(folder: Path, records: Iterable[Record]) -> list[Environment]:
    """The environments of these records of a results folder, the most frequent first."""
    by_digest: dict[str, list[Record]] = {}
    for record in records:
        if record.environment:
            by_digest.setdefault(record.environment, []).append(record)
    file = RecordsFile(folder)
    return [
        Environment(digest, len(own), file.environment(own[0]))
        for digest, own in sorted(by_digest.items(), key=lambda item: -len(item[1]))
    ]


def summary(sources: Sequence[Environment], records: Iterable[Record]) -> list[tuple[str, str]]:
    """Machines, versions and dates, in a line each."""
    machines = dict.fromkeys(environment.machine for environment in sources)
    facts = [("machine", "; ".join(machines) or "not recorded")]
    versions = dict.fromkeys(environment.versions for environment in sources)
    if versions:
        facts.append(("versions", "; ".join(versions)))
    if dates := sorted(r.finished for r in records if r.finished):
        first, last = dates[0][:10], dates[-1][:16].replace("T", " ")
        facts.append(("measured", f"{last} UTC" if first == last[:10] else f"{first} to {last} UTC"))
    return facts


def section(environment: Environment) -> EnvironmentSection:
    """All entries of an environment as text."""
    entries, source = environment.entries, environment.source
    facts: list[tuple[str, str]] = [("records", str(environment.records))]
    facts += [(name, str(value)) for name, value in entries.items() if name not in _SHOWN_APART and value is not None]
    if source.get("commit"):
        state = f", with uncommitted changes (digest {source.get('diff')})" if source.get("dirty") else ", clean"
        facts.append(("commit", f"{source['commit']}{state}"))
    for name in ("gpu", "torch", "switches"):
        if entries.get(name):
            facts.append((name, ", ".join(f"{key} {value}" for key, value in entries[name].items())))
    for library in entries.get("blas") or ():
        facts.append(("blas", ", ".join(f"{key} {value}" for key, value in library.items())))
    if entries.get("plugins"):
        plugins = (f"{name} {p.get('version', '')} ({p.get('code', '')})" for name, p in entries["plugins"].items())
        facts.append(("plugins", ", ".join(plugins)))
    return EnvironmentSection(f"{environment.machine} ({environment.digest})", facts, entries.get("packages") or {})


def checkout_commands(sources: Sequence[Environment]) -> list[str]:
    """The commands that bring the code that the records come from; none where no commit is known."""
    commits = dict.fromkeys(str(e.source["commit"]) for e in sources if e.source.get("commit"))
    # A record may hold any text; only what can be a commit becomes part of a command that somebody pastes.
    lines = [f"git checkout {commit}" for commit in commits if re.fullmatch("[0-9a-f]{7,64}", commit)]
    if lines and any(e.source.get("dirty") for e in sources):
        lines[-1] += "   # and the uncommitted changes it was run with"
    return [*lines, "pip install -c constraints.txt -e ."] if lines else []


def differing_entries(first: Sequence[Environment], second: Sequence[Environment]) -> list[tuple[str, str, str]]:
    """Name and both values of each entry that is not the same in two folders."""
    one, other = _values_by_entry(first), _values_by_entry(second)
    return [(n, one.get(n, "–"), other.get(n, "–")) for n in {**one, **other} if one.get(n) != other.get(n)]


def _values_by_entry(sources: Sequence[Environment]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for environment in sources:
        for name, value in _flat(environment.entries):
            values.setdefault(name, []).append(value)
    return {name: ", ".join(dict.fromkeys(own)) for name, own in values.items()}


def _flat(entries: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested entries under names with dots, as text.

    >>> _flat({"torch": {"version": "2.6"}, "blas": [{"name": "mkl"}]})
    [('torch.version', '2.6'), ('blas.0.name', 'mkl')]
    """
    flat: list[tuple[str, str]] = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat += _flat({str(i): item for i, item in enumerate(value)}, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", str(value)))
    return flat
