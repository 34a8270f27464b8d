"""The JSON Schemas accept what the models accept; three shells complete names without heavy imports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import jsonschema
import pytest

from harness.registry import load_registry
from harness_plugins.authors.schema import generated, shipped

REGISTRY = load_registry()
SCHEMAS = {kind: json.loads(shipped(kind)) for kind in ("suite", "claim")}
CLAIM = {"id": "p/one", "says": "It is better", "source": {"article": "arxiv.org/abs/1"}}
TEST = {"kind": "greater", "metric": "m", "task": "t", "method": "a", "than": "b"}
SUITE = {"title": "What?", "cross": [{"task": "t", "methods": ["a"]}]}


def errors(kind: str, content: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMAS[kind])
    return [error.message for error in validator.iter_errors(content)]


def without_repeats(schema: object) -> object:
    """The schema without ``enum`` beside ``const``: pydantic before 2.10 writes the one value of a Literal twice."""
    if isinstance(schema, list):
        return [without_repeats(part) for part in schema]
    if isinstance(schema, dict):
        return {k: without_repeats(part) for k, part in schema.items() if k != "enum" or "const" not in schema}
    return schema


@pytest.mark.parametrize("kind", ["suite", "claim"])
def test_the_shipped_schema_is_current_and_is_printed(harness_cli, kind):
    current = without_repeats(json.loads(generated(kind)))
    assert without_repeats(SCHEMAS[kind]) == current, "run python -m harness_plugins.authors.schema"
    ended = harness_cli("schema", kind)
    assert ended.out == shipped(kind)
    assert f"#:schema ./{kind}.schema.json" in ended.err
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[kind])


def test_every_suite_and_claim_file_of_ours_follows_its_schema():
    assert {name: errors("suite", tomllib.loads(p.read_text("utf-8"))) for name, p in REGISTRY.suites.items()} == {
        name: [] for name in REGISTRY.suites
    }
    files = REGISTRY.claim_files
    assert {str(p): errors("claim", tomllib.loads(p.read_text("utf-8"))) for p in files} == {str(p): [] for p in files}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("suite", {**SUITE, "titel": "x"}),
        ("suite", {"title": "What?"}),
        ("suite", {**SUITE, "cross": []}),
        ("suite", {**SUITE, "cross": [{"task": "t", "methods": ["a"], "seeds": 0}]}),
        ("suite", {**SUITE, "cross": [{"task": "t", "methods": ["a"], "dtype": "double"}]}),
        ("suite", {**SUITE, "cross": [{"task": "t", "methods": "a"}]}),
        ("claim", {"claim": [CLAIM]}),
        ("claim", {"claim": [{**CLAIM, "test": TEST, "untestable": "why"}]}),
        ("claim", {"claim": [{**CLAIM, "test": {**TEST, "kind": "grater"}}]}),
        ("claim", {"claim": [{**CLAIM, "test": {k: v for k, v in TEST.items() if k != "than"}}]}),
        ("claim", {"claim": [{**CLAIM, "test": {**TEST, "kind": "equal"}}]}),
        ("claim", {"claim": [{**CLAIM, "test": {**TEST, "kind": "equal", "tol": 0}}]}),
        ("claim", {"claim": [{**CLAIM, "id": "no-slash", "test": TEST}]}),
        ("claim", {"claim": [{**CLAIM, "says": "short", "test": TEST}]}),
    ],
)
def test_the_schema_refuses_a_mistake(kind, content):
    assert errors("suite", SUITE) == []
    assert errors("claim", {"claim": [{**CLAIM, "test": TEST}]}) == []
    assert errors("claim", {"claim": [{**CLAIM, "untestable": "no data"}]}) == []
    assert errors(kind, content)


COMPLETED = [
    ("suite contr", {"contrastive", "contrastive-full"}),
    ("claims flatnce/fn4-", {"flatnce/fn4-infonce-below-xi", "flatnce/fn4-xi-becomes-small"}),
    ("claims leaderboard-f", {"leaderboard-full"}),
    ("show infonce-f", {"infonce-float64"}),
    ("show digi", {"digits"}),
    ("check flat", {"flatnce"}),
    ("sche", {"schema"}),
    ("suite zzz", set()),
]


@pytest.mark.parametrize(
    ("shell", "line", "names"),
    [("bash", *case) for case in COMPLETED] + [(shell, *case) for shell in ("zsh", "fish") for case in COMPLETED[:3]],
)
def test_the_shell_completes_names(harness_cli, shell, line, names):
    words = f"harness {line}"
    environment = {"_HARNESS_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words, "COMP_WORDS": words}
    environment |= {"COMP_CWORD": str(len(words.split()) - 1), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    ended = harness_cli(**environment)
    completions = set(re.findall(r"[A-Za-z0-9_./-]+", ended.out))
    if names:
        assert names <= completions, ended.out
        assert not {"activation", "methods"} & completions
    else:
        assert not {"contrastive", "activation"} & completions


@pytest.mark.parametrize("line", ["suite contr", "claims flatnce/", "show infonce"])
def test_completing_imports_nothing_heavy(line):
    script = (
        "import sys\nfrom harness.cli import main\nsys.argv = ['harness']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'mlflow', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    environment = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": f"harness {line}", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | environment, check=False, capture_output=True, text=True
    )
    assert done.stderr.strip() == ""
    assert done.stdout.strip()
