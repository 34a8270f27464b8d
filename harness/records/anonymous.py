"""What a shared folder or page need not tell: the host, its users, where files lie, and packages that no cell uses."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.cell import Record
from harness.errors import HarnessError
from harness.registry import Registry

#: Entries of an environment that can change a result, or that say how to have the same code.
_ENTRIES = ("python", "platform", "cpu", "cpus", "device", "source", "threads", "blas", "torch", "switches", "gpu")
#: Names that tell nothing.
_COMMON = frozenset({"root", "localhost", "user", "host"})
#: An output of this length has lost its beginning, and may begin within a path. No text of ours is longer than twice.
_CUT = 3900

#: Extras of a distribution that no cell needs.
_NO_CELL = frozenset({"dev", "doc", "docs", "lint", "test", "tests"})

_PART = r"""[^\s/\\"'<>|:,;()\[\]{}=`]+"""
_HOME = rf"(?:(?:/home|/Users)/|\b[A-Za-z]:\\Users\\)({_PART})"
_USER = re.compile(_HOME)
_QUOTED = re.compile(r"""(["'`])((?:~|[A-Za-z]:)?[/\\][^"'`\n]*[/\\][^"'`\n]*)\1""")
_BARE = re.compile(rf"(?<![\w/.~\\-])(?:~|[A-Za-z]:)?(?:[/\\]{_PART})+[/\\]?")
#: The part of a path that is the same on every machine, and paths that are.
_LIBRARY = re.compile(r"(?:site-packages|dist-packages)/.*|lib/python3\.\d+/(?!.*-packages/).*")
_SYSTEM = ("/dev/", "/proc/", "/sys/")


class Anonymiser:
    """Replaces what tells whose machine it was.

    The names of hosts are those of ``environments``, those of users stand in ``texts``; ``plugins`` are those that
    cells ran. This machine's host and user are replaced too.
    """

    def __init__(
        self,
        environments: Iterable[Mapping[str, Any]] = (),
        texts: Iterable[str] = (),
        plugins: Collection[str] = (),
    ) -> None:
        hosts = {str(environment.get("machine") or "") for environment in environments} | {platform.node()}
        users = {name for text in texts for name in _USER.findall(text)} | {_user()}
        self._words = _words({**dict.fromkeys(users, "user"), **dict.fromkeys(hosts, "host")})
        self._plugins = frozenset(plugins) | {"harness"}

    @classmethod
    def of(cls, environments: Iterable[Mapping[str, Any]], records: Iterable[Record], registry: Registry) -> Anonymiser:
        """For these records and their environments."""
        texts: set[str] = set()
        cells: dict[tuple[str, str], Record] = {}
        for record in records:
            texts.update(filter(None, (record.cause, record.output)))
            if record.method in registry.methods and record.task in registry.tasks:
                cells[record.method, record.task] = record
        plugins: set[str] = set()
        for record in cells.values():
            # A plugin that has changed since may not know the options that its cells had.
            with suppress(HarnessError):
                plugins.update(registry.plugins_of(record.method, record.task, record.options))
        return cls(environments, texts, plugins)

    def record(self, record: Record) -> Record:
        """The record with its cause, its output and its options rewritten; itself where none of them tells anything."""
        output = record.output
        if len(output) >= _CUT:
            output = output.partition("\n")[2]
        changes: dict[str, Any] = {
            "cause": record.cause and self.text(record.cause),
            "output": self.text(output),
            "options": {k: self.text(v) if isinstance(v, str) else v for k, v in record.options.items()},
        }
        changes = {name: value for name, value in changes.items() if value != getattr(record, name)}
        return replace(record, **changes) if changes else record

    def text(self, text: str) -> str:
        """A text without home folders, absolute paths, and the names of hosts and users.

        >>> Anonymiser([{"machine": "gpu-7"}]).text("File '/home/ada/lab/loss.py': cannot reach gpu-7")
        "File '.../loss.py': cannot reach host"
        """
        return self._words(without_paths(text[-2 * _CUT :]))

    def environment(self, environment: Mapping[str, Any]) -> dict[str, Any]:
        """What matters for reproducing: no host, no packages but the harness's and its plugins' requirements.

        It has a digest of its own.
        """
        if not environment:
            return {}
        reduced = {name: environment[name] for name in _ENTRIES if name in environment}
        plugins = environment.get("plugins") or {}
        reduced["plugins"] = {name: entry for name, entry in plugins.items() if name in self._plugins}
        needed = required_packages(self._plugins)
        packages = environment.get("packages") or {}
        reduced["packages"] = {name: version for name, version in packages.items() if _canonical(name) in needed}
        return reduced


def without_paths(text: str) -> str:
    """A text without home folders and absolute paths.

    >>> without_paths("'/home/ada/lab/loss.py' of /home/ada, as https://a.org/b/c says")
    "'.../loss.py' of ~, as https://a.org/b/c says"
    """
    if "/" not in text and "\\" not in text:
        return text
    for home in _homes():
        text = re.sub(rf"(?<![\w/.]){re.escape(home)}(?![\w.-])", "~", text)
    text = _QUOTED.sub(lambda match: f"{match[1]}{_short(match[2])}{match[1]}", text)
    text = _BARE.sub(lambda match: _short(match[0]), text)
    return _USER.sub("~", text)


@cache
def _homes() -> tuple[str, ...]:
    """Home folders of this machine that its users' names do not stand in, the longest first."""
    return tuple(sorted({str(Path.home()), "/root"} - {"/"}, key=len, reverse=True))


def path_shown(path: Path) -> Path:
    """A path as others may see it: as it is where it is relative, else its last part."""
    return Path(path.name) if path.is_absolute() else path


@cache
def required_packages(plugins: frozenset[str]) -> frozenset[str]:
    """Names of the harness, of the distributions that bring these plugins, and of all that they require.

    As far as they are installed here, and with what they require for an extra that cells may need. What else is
    installed can be part of a cell only where a plugin imports what it does not require.
    """
    points = importlib.metadata.entry_points(group="harness.plugins")
    brings = {point.dist.name for point in points if point.dist and point.name in plugins}
    waiting = [(name, True) for name in {"harness", *brings}]
    seen: set[str] = set()
    while waiting:
        name, with_extras = waiting.pop()
        if (name := _canonical(name)) in seen:
            continue
        seen.add(name)
        for requirement in _requirements(name):
            extra = re.search(r"extra == .([\w-]+)", requirement)
            required = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
            if required and (extra is None or (with_extras and extra[1] not in _NO_CELL)):
                waiting.append((required[0], False))
    return frozenset(seen)


def _requirements(distribution: str) -> list[str]:
    try:
        return importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _short(path: str) -> str:
    """The end of a path that tells nothing of its machine.

    >>> _short("/opt/x/lib/python3.11/site-packages/torch/nn/functional.py"), _short("/srv/lab/loss.py"), _short("/tmp")
    ('.../site-packages/torch/nn/functional.py', '.../loss.py', '/tmp')
    """
    if re.fullmatch(r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\][^/\\]+", path):
        return "~"
    path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2 or path.startswith(_SYSTEM):
        return path
    library = _LIBRARY.search(path)
    return f".../{library[0] if library else parts[-1]}"


def _words(replacements: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces these words where they stand alone."""
    names = {name: word for name, word in replacements.items() if len(name) > 1 and name.lower() not in _COMMON}
    if not names:
        return lambda text: text
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])")
    return lambda text: pattern.sub(lambda match: names[match[0]], text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
