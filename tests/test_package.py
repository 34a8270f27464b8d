"""The distribution: its public names are the listed ones, and its wheel runs a suite outside the checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import harness
from harness.spec import resolve

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_public_names_are_exactly_the_listed_ones():
    assert harness.__all__ == sorted(harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))
    for name in harness.__all__:
        assert getattr(harness, name).__doc__, name
    tree = ast.parse((ROOT / "harness" / "__init__.py").read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in typed.body if isinstance(node, ast.ImportFrom) and node.module]
    lazy = {alias.name for node in imports if node.module.startswith("harness") for alias in node.names}
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    assert set(harness.__all__) == lazy | own, "type checkers and users see the same names"
    assert (ROOT / "harness" / "py.typed").exists()


def test_the_page_on_python_describes_every_public_name_where_it_is_defined():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    described = {"hookimpl": harness.hookimpl}
    for address, members in re.findall(r"^::: (\S+)\n(?: +options:\n +members: \[(.*)\])?", page, flags=re.MULTILINE):
        module, _, name = address.rpartition(".")
        if address == "harness" or members:
            described |= {member: resolve(f"{address}:{member}") for member in members.split(", ")}
        elif address == "harness.errors":
            described |= vars(harness.errors)
        else:
            described[name] = resolve(f"{module}:{name}")
    assert set(harness.__all__) <= set(described)
    for name in harness.__all__:
        assert described[name] is getattr(harness, name), name


def test_version_licence_and_citation_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert "Unreleased" not in headings[1:]
    changes = [heading for heading in headings if heading != "Unreleased"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert PROJECT["version"] == citation["version"] == changes[0] == importlib.metadata.version("harness")
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text("utf-8")


def test_every_package_and_entry_point_is_in_the_distribution():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in ROOT.glob("harness/**/__init__.py")}
    folders |= {
        "harness_" + ".".join(p.parent.relative_to(ROOT).parts)
        for top in ("plugins", "suites")
        for p in (ROOT / top).glob("**/__init__.py")
    }
    assert folders - {"harness_suites.kernels"} == set(tool["packages"]) - {"harness_suites.kernels"}
    named = set(PROJECT["entry-points"]["harness.plugins"].values())
    assert named == {p for p in tool["packages"] if p.startswith("harness_plugins.")}


@pytest.mark.slow
def test_wheel_built_from_the_source_archive_runs_a_suite_outside_the_checkout(tmp_path):
    """Build without network and checkout, then install into an empty environment beside the dependencies."""
    built = tmp_path / "built"
    run([sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", built, ROOT], tmp_path)
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as stream:
        stream.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    run([sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", built, source], tmp_path)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as stream:
        names = set(stream.namelist())
    required = ["harness/py.typed", "harness_suites/leaderboard.toml", "harness_plugins/leaderboard/glue.csv"]
    required += [
        "harness_plugins/authors/template/package/loss.py.j2",
        "harness_plugins/authors/schemas/suite.schema.json",
    ]
    assert set(required) <= names
    for kind in ("toml", "csv", "j2", "css", "json"):
        for file in (ROOT / "plugins").rglob(f"*.{kind}"):
            assert f"harness_plugins/{file.relative_to(ROOT / 'plugins')}" in names, file
    assert any(name.endswith("licenses/LICENSE") for name in names)

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], tmp_path)
    # The dependencies only: .pth files in the added folders are not read, such as that of an editable install.
    site.joinpath("dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    work = tmp_path / "elsewhere"
    work.mkdir()
    script = "import harness, harness_suites; print(harness.__file__, harness_suites.__file__)"
    assert run([python, "-c", script], work).count(str(tmp_path)) == 2
    result = json.loads(run([tmp_path / "venv" / "bin" / "harness", "suite", "leaderboard", "--json"], work))
    assert {v["verdict"] for v in result["verdicts"]} >= {"reproduced"}
    assert (work / "results" / "records.jsonl").exists()
    assert "first_one/pyproject.toml" in run(
        [tmp_path / "venv" / "bin" / "harness", "new", "plugin", "first_one"], work
    )


def run(command: list[object], folder: Path) -> str:
    """The output of a command that must succeed, without settings from this process's environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS", "PYTHON", "COV"))}
    process = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | {"HARNESS_TRACKING": "off"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
