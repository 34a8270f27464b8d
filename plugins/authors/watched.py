"""Run as a program: imports one plugin, lets it say what it brings, and tells what that took.

``python -m harness_plugins.authors.watched ORIGIN REPORT`` writes JSON to the file REPORT, so that what the plugin
prints cannot be mistaken for it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from harness.hookspecs import hook_names
from harness.registry.importing import import_origin

#: What takes long to import and is not needed to say what a plugin brings.
HEAVY = {"jax", "matplotlib", "mlflow", "numpy", "pandas", "scipy", "sklearn", "tensorflow", "torch", "transformers"}
#: Hooks that do something else than say what the plugin brings. Those of a run are called with what runs.
_ACTING = {"harness_commands", "harness_doctor", "harness_watchers"}


def watch(origin: str) -> dict[str, object]:
    """Import and register; give the processor seconds that took and the heavy modules that are there now."""
    begin = time.process_time()
    module = import_origin(origin)
    for name in sorted(hook_names() - _ACTING):
        hook = getattr(module, name, None)
        if hook is not None and not hook.__code__.co_argcount:
            list(hook())
    seconds = time.process_time() - begin
    return {"seconds": seconds, "heavy": sorted(HEAVY & sys.modules.keys())}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(watch(sys.argv[1])), encoding="utf-8")
