"""What the documentation tells people to type works."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import harness
from harness import hookspecs
from harness.files.claims import ClaimFile
from harness.files.toml import read_toml

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text("utf-8")
PLUGINS = (DOCS / "plugins.md").read_text("utf-8")
TOY = Path(__file__).parents[1] / "toy"
TOY_SUITE = (TOY / "toy.toml").read_text("utf-8")


@pytest.mark.slow
def test_the_tutorial_comes_to_the_verdicts_that_it_shows(harness_cli):
    """Every file and command of the tutorial in its order; the plugin is loaded by path instead of installed."""
    commands = re.findall(r"^```sh\n(.*?)```", TUTORIAL, flags=re.DOTALL | re.MULTILINE)
    typed = "".join(commands).splitlines()
    assert typed == [
        "harness new plugin label_smoothing",
        'pip install -e "label_smoothing[test]"',
        "harness suite label_smoothing",
        "harness suite label_smoothing",
        "harness check label_smoothing",
        "cd label_smoothing && pytest",
    ]
    assert harness_cli("new", "plugin", "label_smoothing").code == 0
    for path, text in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TUTORIAL, flags=re.DOTALL):
        assert (harness_cli.folder / path).is_file(), f"{path} is no file of the template"
        harness_cli.write(path, text)
    plugin = str(harness_cli.folder / "label_smoothing" / "label_smoothing")
    ended = harness_cli("-p", plugin, "suite", "label_smoothing", "--json")
    assert ended.code == 0, ended.err
    expected = re.findall(r"^  (\w+) +(label_smoothing/\S+)", TUTORIAL, flags=re.MULTILINE)
    assert [(v["verdict"], v["claim"]) for v in ended.document["verdicts"]] == expected
    checked = harness_cli("check", "label_smoothing")
    assert checked.code == 0, checked.out
    sys.path.insert(0, str(harness_cli.folder / "label_smoothing"))
    try:
        from harness.registry import load_registry

        registry = load_registry([plugin])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(harness, "methods", lambda: registry.methods)
            space: dict[str, object] = {}
            exec((harness_cli.folder / "label_smoothing/tests/test_loss.py").read_text(), space)
            space["test_the_loss_is_the_formula"]()  # type: ignore[operator]
    finally:
        sys.path.pop(0)


def test_the_watcher_of_the_page_on_plugins_notes_a_failed_cell(harness_cli):
    (text,) = re.findall(r"<!-- file: failures.py -->\n```\w+\n(.*?)```", PLUGINS, flags=re.DOTALL)
    only = ("--only", "method=plain", "--only", "slope=1.0", "--only", "seed=0")
    suite = harness_cli.write("fails.toml", TOY_SUITE.replace("slope = [1.0, 2.0]", 'mode = "flag"'))
    watcher = harness_cli.write("failures.py", text)
    ended = harness_cli("-p", watcher, "-p", str(TOY), "suite", suite, *only, TOY_FLAG="no")
    assert ended.code == 1
    line = (harness_cli.folder / "failures.txt").read_text()
    assert line.startswith("fails: plain on toy/total")
    assert "the flag is not there" in line


def test_the_workflow_runs_commands_that_work(harness_cli):
    workflow = yaml.safe_load((DOCS / "recipes" / "claims.yml").read_text("utf-8"))
    assert set(workflow) == {"name", True, "jobs"}  # YAML 1.1 reads "on" as true
    steps = workflow["jobs"]["claims"]["steps"]
    runs = [step["run"].split() for step in steps if step.get("run", "").startswith("harness")]
    assert [run[1] for run in runs] == ["suite", "claims", "report"]
    only = ("--only", "task=contrastive/identities", "--only", "method=infonce")
    for run, more, code in zip(runs, (only, (), ()), (0, 0, 0), strict=True):
        ended = harness_cli(*run[1:], *more)
        assert ended.code == code, (run, ended.err)
    broken = harness_cli("claims", "flatnce/fn4-infonce-below-xi", "--require", "contradicted")
    assert broken.code == 3, "this is what fails a build"


def first_paragraph(item: object) -> str:
    """The beginning of a docstring as Markdown."""
    text = (inspect.getdoc(item) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r"``([^`]*)``", r"`\1`", text).replace("|", "\\|")


def test_the_pages_on_hooks_and_python_can_be_read_without_the_site():
    """Each hook and each public name has a row with the first sentence of its docstring."""
    hooks, api = ((DOCS / name).read_text("utf-8") for name in ("hooks.md", "api.md"))
    for name in hookspecs.hook_names():
        hook = getattr(hookspecs, name)
        arguments = ", ".join(f"`{argument}`" for argument in inspect.signature(hook).parameters)
        assert f"| `{name}` | {arguments} | {first_paragraph(hook)} |" in hooks
    for name in set(harness.__all__) - {"hookimpl"}:
        assert f"| `harness.{name}` | {first_paragraph(getattr(harness, name))} |" in api


def test_every_command_that_the_documentation_names_exists(harness_cli):
    pages = "\n".join(p.read_text("utf-8") for p in DOCS.glob("*.md"))
    typed = "\n".join(re.findall(r"^```sh\n(.*?)```", pages, flags=re.DOTALL | re.MULTILINE))
    named = set(re.findall(r"^harness (?:-p \S+ )?([a-z]+)", typed, flags=re.MULTILINE))
    named |= set(re.findall(r"`harness (?:-p \S+ )?([a-z]+)", pages))
    assert {"suite", "claims", "new", "check", "schema", "rerun", "report"} <= named
    for command in named:
        assert harness_cli(command, "--help").code == 0, command


def test_the_example_of_a_claim_file_is_one(tmp_path):
    for number, text in enumerate(re.findall(r"```toml\n(\[\[claim\]\].*?)```", TUTORIAL, flags=re.DOTALL)):
        (tmp_path / f"{number}.toml").write_text(text)
        assert read_toml(tmp_path / f"{number}.toml", ClaimFile).claim
        assert tomllib.loads(text)


@pytest.mark.slow
def test_the_site_builds_without_a_broken_link(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", str(DOCS / "site" / "mkdocs.yml")]
    done = subprocess.run([*command, "-d", str(tmp_path / "site")], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    hooks = (tmp_path / "site" / "hooks.html").read_text("utf-8")
    assert "harness_methods" in hooks
    assert "Techniques and the baselines they are compared with" in hooks
    assert "sign of an improvement" in hooks or "run_suite" in (tmp_path / "site" / "api.html").read_text("utf-8")
