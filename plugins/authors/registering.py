"""Checks of what happens when a plugin is imported, observed in a Python process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import nearest
from harness.hookspecs import HOOKS_VERSION, hook_names
from harness.registry.importing import IMPORT_SECONDS, import_origin
from harness_plugins.authors.findings import Check, Note, Problem, Subject

#: Processor seconds that importing and registering may take, without those of the harness itself.
SECONDS = 0.5


@cache
def _probe(origin: str) -> tuple[dict[str, Any], str]:
    """Import a plugin in a fresh Python; give the probe's report, empty if it failed, and what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # -P: nothing is imported from the current folder, which may hold a project's folder of the plugin's name.
        command = [sys.executable, "-P", "-m", "harness_plugins.authors.import_probe", origin, str(report)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=6 * IMPORT_SECONDS, errors="replace"
        )
        printed = " ".join((done.stdout + done.stderr).split())
        return (json.loads(report.read_text("utf-8")) if report.exists() else {}), printed


def light_import(subject: Subject) -> Iterator[Problem | Note]:
    """Import the plugin; it must import no heavy package and take little time."""
    report, printed = _probe(subject.plugin.origin)
    if not report:
        yield Problem(
            f"it cannot be imported on its own: {printed[-300:]}", "make it work as 'python -c \"import ...\"' too"
        )
    elif report["heavy"]:
        yield Problem(
            f"importing it imports {', '.join(report['heavy'])}",
            "every harness command imports it: move such imports into functions, or name code as 'package.module:name'",
        )
    elif report["seconds"] > SECONDS:
        yield Problem(
            f"importing it takes {report['seconds']:.1f} s of processor time; at most {SECONDS:g} s are allowed",
            "move work from the module's top level into the functions that need it",
        )


def quiet_import(subject: Subject) -> Iterator[Problem | Note]:
    """Import the plugin; it must print nothing."""
    report, printed = _probe(subject.plugin.origin)
    if report and printed:
        yield Problem(
            f"importing it prints {printed[:100]!r}",
            "remove the print: with --json, stdout holds one document and nothing else",
        )


def hooks(subject: Subject) -> Iterator[Problem | Note]:
    """Look for functions that are named like a hook and are none."""
    module = import_origin(subject.plugin.origin)
    known = hook_names()
    for name in dir(module):
        if name.startswith("harness_") and callable(getattr(module, name)) and name not in known:
            close = nearest(name, known)
            yield Problem(
                f"its function {name} is not a hook and is never called",
                f"did you mean {close}?" if close else "give it another name",
            )
    if not hasattr(module, "HARNESS_HOOKS") and not subject.plugin.origin.startswith("harness"):
        yield Note(f"it does not state its version of the hooks; the present one is HARNESS_HOOKS = {HOOKS_VERSION}")


CHECKS = (
    Check("hooks", "every function that is named like a hook is one", hooks),
    Check("light-import", f"importing it imports no heavy package and takes at most {SECONDS:g} s", light_import),
    Check("quiet-import", "importing it prints nothing", quiet_import),
)
