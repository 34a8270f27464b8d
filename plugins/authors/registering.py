"""Checks of what happens when a plugin is imported, looked at in a Python of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.errors import nearest
from harness.hookspecs import HOOKS_VERSION, hook_names
from harness.registry.importing import IMPORT_SECONDS, import_origin
from harness_plugins.authors.findings import Check, Note, Problem, Subject

#: Processor seconds that importing and registering may take, beside what the harness itself takes.
SECONDS = 0.5


@cache
def _watched(origin: str) -> tuple[dict[str, object], str]:
    """What a fresh Python says of importing a plugin, and what the plugin printed there."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        # -P: the current folder is no place to import from; it may hold a project's folder of the plugin's name.
        command = [sys.executable, "-P", "-m", "harness_plugins.authors.watched", origin, str(told)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=6 * IMPORT_SECONDS, errors="replace"
        )
        printed = " ".join((done.stdout + done.stderr).split())
        return (json.loads(told.read_text("utf-8")) if told.exists() else {}), printed


def light(subject: Subject) -> Iterator[Problem | Note]:
    """Nothing heavy is imported, and it takes no time."""
    told, printed = _watched(subject.plugin.origin)
    if not told:
        yield Problem(f"cannot be imported alone: {printed[-300:]}", "make it work as 'python -c \"import ...\"' too")
        return
    if heavy := told["heavy"]:
        yield Problem(
            f"importing it imports {', '.join(heavy)}",  # type: ignore[arg-type]
            "every harness command imports it: move such imports into functions, or name code as 'package.module:name'",
        )
    elif (seconds := float(told["seconds"])) > SECONDS:  # type: ignore[arg-type]
        yield Problem(
            f"importing it takes {seconds:.1f} s of the processor; {SECONDS:g} s is the most",
            "move work from the module's top level into the functions that need it",
        )


def quiet(subject: Subject) -> Iterator[Problem | Note]:
    """Nothing is written to stdout or stderr."""
    told, printed = _watched(subject.plugin.origin)
    if told and printed:
        yield Problem(
            f"importing it prints {printed[:100]!r}", "remove the print; with --json stdout must hold one document only"
        )


def hooks(subject: Subject) -> Iterator[Problem | Note]:
    """No function looks like a hook and is none."""
    module = import_origin(subject.plugin.origin)
    known = hook_names()
    for name in dir(module):
        if name.startswith("harness_") and callable(getattr(module, name)) and name not in known:
            near = nearest(name, known)
            meant = f"did you mean {near}?" if near else "give it another name"
            yield Problem(f"its function {name} is no hook and is never called", meant)
    if not hasattr(module, "HARNESS_HOOKS") and not subject.plugin.origin.startswith("harness"):
        yield Note(f"it does not say which hooks it was written for; HARNESS_HOOKS = {HOOKS_VERSION} is what is here")


CHECKS = (
    Check("hooks", "every function that is named like a hook is one", hooks),
    Check("light-import", f"importing it takes no heavy package and at most {SECONDS:g} s", light),
    Check("quiet-import", "importing it prints nothing", quiet),
)
