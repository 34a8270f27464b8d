"""Run as a program: import one plugin, call the hooks that say what it brings, and report what that took.

``python -m harness_plugins.authors.import_probe ORIGIN REPORT`` writes JSON to the file REPORT, so that nothing the
plugin prints is mistaken for it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from harness.hookspecs import hook_names
from harness.registry.importing import import_origin
from harness.registry.isolation import ISOLATED

#: Packages that take long to import and are not needed to say what a plugin brings.
HEAVY = {"jax", "matplotlib", "mlflow", "numpy", "pandas", "scipy", "sklearn", "tensorflow", "torch", "transformers"}


def probe(origin: str) -> dict[str, object]:
    """Import the plugin and call its hooks; give the processor seconds taken and the heavy packages imported."""
    begin = time.process_time()
    module = import_origin(origin)
    for name in sorted(hook_names() - set(ISOLATED)):
        hook = getattr(module, name, None)
        if hook is not None and not hook.__code__.co_argcount:
            list(hook())
    seconds = time.process_time() - begin
    return {"seconds": seconds, "heavy": sorted(HEAVY & sys.modules.keys())}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(probe(sys.argv[1])), encoding="utf-8")
