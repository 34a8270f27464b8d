"""The distribution: what is public is exactly that, and a wheel made of it does the main job anywhere."""

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

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_what_is_public_is_exactly_what_is_listed():
    assert harness.__all__ == sorted(harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))
    for name in harness.__all__:
        assert getattr(harness, name).__doc__, name
    tree = ast.parse((ROOT / "harness" / "__init__.py").read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    lazy = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    assert set(harness.__all__) == lazy | own, "type checkers and users see the same names"
    assert (ROOT / "harness" / "py.typed").exists()


def test_version_licence_and_citation_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
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
def test_a_wheel_made_of_the_source_archive_runs_a_suite_outside_of_the_checkout(tmp_path):
    """Built without a network or a checkout, installed into an empty environment beside its dependencies."""
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
    wanted = ["harness/py.typed", "harness_suites/leaderboard.toml", "harness_plugins/leaderboard/glue.csv"]
    wanted += [
        "harness_plugins/authors/template/package/loss.py.j2",
        "harness_plugins/authors/schemas/suite.schema.json",
    ]
    assert set(wanted) <= names
    for kind in ("toml", "csv", "j2", "css", "json"):
        for file in (ROOT / "plugins").rglob(f"*.{kind}"):
            assert f"harness_plugins/{file.relative_to(ROOT / 'plugins')}" in names, file
    assert any(name.endswith("licenses/LICENSE") for name in names)

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], tmp_path)
    # The dependencies, without this checkout's editable install, which a folder on the path brings only by name.
    site.joinpath("dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    work = tmp_path / "elsewhere"
    work.mkdir()
    told = run([python, "-c", "import harness, harness_suites; print(harness.__file__, harness_suites.__file__)"], work)
    assert told.count(str(tmp_path)) == 2
    result = json.loads(run([tmp_path / "venv" / "bin" / "harness", "suite", "leaderboard", "--json"], work))
    assert {v["verdict"] for v in result["verdicts"]} >= {"reproduced"}
    assert (work / "results" / "records.jsonl").exists()
    assert "first_one/pyproject.toml" in run(
        [tmp_path / "venv" / "bin" / "harness", "new", "plugin", "first_one"], work
    )


def run(command: list[object], folder: Path) -> str:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS", "PYTHON", "COV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=own | {"HARNESS_TRACKING": "off"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
