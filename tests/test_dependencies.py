"""What pyproject.toml requires is what the code imports, and the base installation alone does the main job."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import venv
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harness
import harness_plugins
import harness_suites
from harness.registry import load_registry

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BASE = {canonicalize_name(Requirement(line).name): line for line in PROJECT["dependencies"]}
packages_distributions = cache(importlib.metadata.packages_distributions)
#: Packages that another one brings and documents as a part of itself.
PART_OF = {"markupsafe": "jinja2", "pydantic-core": "pydantic"}
#: Files whose imports an extra brings.
EXTRA = {"plugins/cluster/driver.py": "ray", "plugins/authors/pytest_plugin.py": "test"}


def imported() -> dict[str, set[str]]:
    """The top-level modules that the code imports, at the top of a file or in a function, to the files that do."""
    files = defaultdict(set)
    for path in (p for top in ("harness", "plugins") for p in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules.append(node.module)
            for module in modules:
                files[module.partition(".")[0]].add(str(path.relative_to(ROOT)))
    own = {"harness", "harness_plugins", "harness_suites"}
    return {module: names for module, names in files.items() if module not in sys.stdlib_module_names | own}


def distributions_of(module: str) -> set[str]:
    """The distributions that bring a module, under the names that a requirement has."""
    names = {canonicalize_name(name) for name in packages_distributions().get(module, [module])}
    return {PART_OF.get(name, name) for name in names}


def test_every_package_that_the_code_imports_is_required():
    missing = {}
    for module, files in imported().items():
        brought = distributions_of(module)
        for file in files:
            extra = [Requirement(line).name for line in PROJECT["optional-dependencies"].get(EXTRA.get(file, ""), [])]
            if not brought & {*BASE, *map(canonicalize_name, extra)}:
                missing[module] = file
    assert missing == {}


def test_every_required_package_is_imported_or_brings_a_data_set():
    used = {name for module in imported() for name in distributions_of(module)}
    places = [place.package for dataset in load_registry().datasets.values() for place in dataset.places]
    used |= {name for package in places if package for name in distributions_of(package)}
    assert set(BASE) - used == set()


def closure(requirements: list[str]) -> set[str]:
    """The installed distributions that these requirements need, each with what it needs in turn."""
    names: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        extras = {"", *requirement.extras}
        name = canonicalize_name(requirement.name)
        if (marker := requirement.marker) and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # pip would install it; what misses it fails
        if name not in names:
            names.add(name)
            marked = [Requirement(line) for line in needed]
            waiting += [r for r in marked if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]
    return names


def link(names: set[str], site: Path) -> None:
    """Link into ``site`` the files that belong to these distributions, and no others."""
    owners: dict[Path, set[str]] = defaultdict(set)
    sources: dict[Path, Path] = {}
    for distribution in importlib.metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or ():
            if ".." in file.parts or name == "harness":
                continue
            for path in (Path(*file.parts[: depth + 1]) for depth in range(len(file.parts))):
                owners[path].add(name)
                sources[path] = Path(str(distribution.locate_file(str(path))))
    # Parents come before what is in them: a folder that no other distribution writes into is one link.
    done: set[Path] = set()
    for path in sorted(owners, key=lambda path: len(path.parts)):
        if not owners[path] & names or done & set(path.parents):
            continue
        if owners[path] <= names:
            site.joinpath(path).symlink_to(sources[path])
            done.add(path)
        else:
            site.joinpath(path).mkdir()


def base_installation(folder: Path) -> Path:
    """A virtual environment with the harness and what it requires without extras; return its Python.

    It is what ``pip install .`` makes, but of links to the packages of the running environment, so without network.
    """
    venv.create(folder, with_pip=False)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    link(closure(PROJECT["dependencies"]), site)
    for package in (harness, harness_plugins, harness_suites):
        (site / package.__name__).symlink_to(Path(package.__file__).parent)
    info = site / f"harness-{PROJECT['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: harness\nVersion: {PROJECT['version']}\n")
    groups = PROJECT["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_base_installation_alone_runs_judges_and_reports(tmp_path):
    """No extra is installed. The data set comes from a required package, and MLflow is filled."""
    python = base_installation(tmp_path / "environment")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS", "PYTHON", "COV"))}

    def run(*arguments: str) -> str:
        command = [str(python), "-m", *arguments]
        process = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert process.returncode == 0, process.stdout + process.stderr
        assert "cannot be imported" not in process.stderr, process.stderr
        return process.stdout

    for module in ("pytest", "ray", "transformers", "hypothesis", "ruff"):
        missing = subprocess.run([python, "-c", f"import {module}"], check=False, capture_output=True, text=True)
        assert "ModuleNotFoundError" in missing.stderr, module
    listed, registry = json.loads(run("harness", "list", "--json")), load_registry()
    assert listed["methods"] == len(registry.methods)
    assert listed["tasks"] == len(registry.tasks)
    only = [f"--only={part}" for part in ("task=contrastive/mnist-5k", "method=flatnce", "batch_size=256", "seed=0")]
    result = json.loads(run("harness", "suite", "contrastive", "--json", *only))
    assert result["cells"]["done"] == result["cells"]["run"] == 1
    assert (tmp_path / "results" / "mlflow.db").exists()
    judged = json.loads(run("harness", "claims", "contrastive", "--json"))
    assert "1 of its 2 cells have not run" in {verdict["cause"] for verdict in judged}
    run("harness", "report", "-o", "report.html")
    assert "flatnce" in (tmp_path / "report.html").read_text("utf-8")
    run("harness", "new", "plugin", "first_one")
    frame = "import harness; print(harness.load_results('results')['metrics.probe_accuracy'].item())"
    done = subprocess.run([python, "-c", frame], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert float(done.stdout) > 0.8
