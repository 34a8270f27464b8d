"""asv on a fresh clone: nothing is built or downloaded, a slow-down is reported, an unchanged commit is not."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    """A clone with two further commits: one that changes nothing measured, and one where an activation works twice."""
    if not (ROOT / ".git").exists():
        pytest.skip("asv compares commits, and this is no git repository")
    folder = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(ROOT), str(folder))
    _git(folder, "checkout", "--quiet", "-B", "main")
    (folder / "note.txt").write_text("nothing that is measured")
    _commit(folder, "unchanged")
    functions = folder / "plugins/squareplus/functions.py"
    text = functions.read_text()
    # Twice the work, forward and backward, and the same result.
    slow = "_own = SquarePlus.forward\nSquarePlus.forward = lambda self, x: (_own(self, x) + _own(self, x)) / 2\n"
    functions.write_text(text + slow)
    _commit(folder, "slow")
    return folder


def _git(folder: Path, *arguments: str) -> None:
    named = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=os.environ | named)


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "-A")
    _git(folder, "commit", "--quiet", "-m", message)


def _asv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asv", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_a_slow_down_is_reported_and_an_unchanged_commit_is_not(clone):
    # A method that fails in each commit costs nothing but its own row.
    both = r"activation_elements__(squareplus|softplus_naive)\."
    only = ("--bench", both + "time")
    assert _asv(clone, "machine", "--yes").returncode == 0
    unchanged = _asv(clone, "continuous", "main~2", "main~1", "--factor", "1.5", "--bench", both)
    assert "BENCHMARKS NOT SIGNIFICANTLY CHANGED" in unchanged.stdout, unchanged.stdout + unchanged.stderr
    slower = _asv(clone, "continuous", "main~1", "main", "--factor", "1.5", *only)
    assert "PERFORMANCE DECREASED" in slower.stdout, slower.stdout + slower.stderr
    ratios = re.findall(r"\| *([\d.]+) *\| *asv_benchmarks\.activation_elements__squareplus\.time", slower.stdout)
    assert ratios and all(float(ratio) > 1.5 for ratio in ratios), slower.stdout
    assert "softplus_naive" not in slower.stdout.partition("Change")[2]
    assert not list((clone / ".asv/env").glob("*/lib/*/site-packages/torch"))
    assert _asv(clone, "publish").returncode == 0
    assert (clone / ".asv/html/index.html").is_file()
    listed = json.loads((clone / ".asv/results/benchmarks.json").read_text())
    assert any("contrastive_two_view_batch__infonce" in name for name in listed)


def test_lent_packages_are_the_commits_own_with_its_entry_points(tmp_path):
    pytest.importorskip("asv")
    sys.path.insert(0, str(ROOT))
    try:
        from suites.asv_environment import lend_packages
    finally:
        sys.path.remove(str(ROOT))
    for name in ("before", "after"):
        source = tmp_path / name
        (source / "code").mkdir(parents=True)
        (source / "code/__init__.py").write_text(f"which = {name!r}")
        (source / "pyproject.toml").write_text(
            '[project]\nname = "thing"\nversion = "1"\n[project.entry-points.plugs]\n'
            f'{name} = "thing"\n[tool.setuptools]\npackage-dir = {{ thing = "code" }}\n'
        )
        lend_packages(source, tmp_path / "own")
        assert (tmp_path / "own/thing/__init__.py").read_text() == f"which = {name!r}"
        (distribution,) = importlib.metadata.distributions(path=[str(tmp_path / "own")])
        assert [entry.name for entry in distribution.entry_points] == [name]


def test_packages_that_are_installed_in_place_are_lent_but_the_projects_own_are_not(tmp_path):
    pytest.importorskip("asv")
    sys.path.insert(0, str(ROOT))
    try:
        from suites.asv_environment import lent_lines
    finally:
        sys.path.remove(str(ROOT))
    site, own = tmp_path / "site-packages", tmp_path / "own"
    for folder, module in ((site / "inside", "by_relative"), (tmp_path / "work", "by_path"), (own, "thing")):
        folder.mkdir(parents=True)
        (folder / f"{module}.py").write_text("which = 'lent'")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/thing.py").write_text("which = 'the working tree'")
    (tmp_path / "tree/only_in_the_tree.py").write_text("")
    finder = "import sys, types\n\ndef install():\n    sys.modules['by_finder'] = types.ModuleType('by_finder')\n"
    (site / "finder_of_another.py").write_text(finder)
    (site / "another.pth").write_text(
        f"# a remark\n\ninside\n{tmp_path / 'work'}\nimport finder_of_another; finder_of_another.install()\n"
    )
    (site / "__editable__.thing-1.pth").write_text(f"{tmp_path / 'tree'}\n")
    info = site / "thing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (info / "RECORD").write_text("__editable__.thing-1.pth,,\nthing-1.dist-info/METADATA,,\n")
    environment = tmp_path / "environment"
    environment.mkdir()
    (environment / "borrowed.pth").write_text("\n".join([str(own), *lent_lines([site], without="thing")]))
    code = (
        f"import site; site.addsitedir({str(environment)!r})\n"
        "import importlib.util, by_finder, by_path, by_relative, thing\n"
        "assert thing.which == 'lent'\n"
        "assert importlib.util.find_spec('only_in_the_tree') is None\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
