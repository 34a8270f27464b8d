"""JSON Schemas of suite and claim files, generated from the models that check these files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

#: The folder of the shipped schemas, suite.schema.json and claim.schema.json.
FOLDER = Path(__file__).parent / "schemas"


def shipped(kind: str) -> str:
    """The text of the shipped schema of "suite" or "claim" files."""
    return (FOLDER / f"{kind}.schema.json").read_text("utf-8")


def generated(kind: str) -> str:
    """The same text, generated from the models; ``python -m harness_plugins.authors.schema`` writes both files.

    >>> json.loads(generated("suite"))["properties"]["title"]["minLength"]
    1
    """
    from harness.files.claims import ClaimFile
    from harness.files.suite import SuiteFile

    schema = (SuiteFile if kind == "suite" else ClaimFile).model_json_schema()
    if kind == "claim":
        # Rules that the models check in code: a test or a reason why there is none, and something to compare with.
        definitions = schema["$defs"]
        definitions["Claim"]["oneOf"] = _required("test", "untestable")
        definitions["Greater"]["anyOf"] = _required("value", "than", "than_where")
        for name in ("Equal", "Ratio"):
            definitions[name]["anyOf"] = _required("than", "than_where")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"harness {kind} file"}
    return json.dumps({**document, **{k: v for k, v in schema.items() if k != "title"}}, indent=2) + "\n"


def _required(*names: str) -> list[dict[str, Any]]:
    return [{"required": [name]} for name in names]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for kind in ("suite", "claim"):
        (FOLDER / f"{kind}.schema.json").write_text(generated(kind), encoding="utf-8")
        sys.stdout.write(f"{FOLDER / kind}.schema.json\n")
