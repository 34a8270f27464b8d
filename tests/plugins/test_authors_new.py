"""``harness new plugin`` creates a package that works, which ``harness check`` and ``pytest --harness-check`` check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import sklearn

from harness.errors import UsageError
from harness.registry import load_registry
from harness_plugins.authors.new import TEMPLATE, check_name, make_plugin, rendered

REGISTRY = load_registry()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Label-Smoothing", "lower-case letters, digits and _ are allowed"),
        ("2fast", "lower-case letters"),
        ("class", "lower-case letters"),
        ("../up", "lower-case letters"),
        ("flatnce", "an installed plugin has this name"),
        ("cross_entropy", "the plugin classification already has its method 'cross-entropy'"),
        ("activation", "a suite has this name already"),
        ("json", "an installed Python module has this name"),
        ("torch", "an installed Python module has this name"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_in_one_sentence(harness_cli, name, message):
    ended = harness_cli("new", "plugin", name)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert list(harness_cli.folder.iterdir()) == []


def test_a_good_name_can_be_used_once(harness_cli):
    check_name("label_smoothing", REGISTRY)
    first = harness_cli("new", "plugin", "label_smoothing", "--json")
    assert len(first.document["files"]) == len(list(TEMPLATE.rglob("*.j2")))
    again = harness_cli("new", "plugin", "label_smoothing")
    assert again.code == 2
    assert "exists already" in again.err


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/label_smoothing cannot be written: Not a directory"):
        make_plugin("label_smoothing", tmp_path / "file", REGISTRY)


def test_the_files_of_a_new_plugin_are_formatted_and_lint_clean(tmp_path):
    for path, text in rendered("label_smoothing").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        assert "{{" not in text
    ruff = [sys.executable, "-m", "ruff"] if shutil.which("ruff") is None else ["ruff"]
    for command in (["check", "--isolated"], ["format", "--check", "--isolated", "--line-length", "120"]):
        # In the package's folder, so that its own modules are sorted as first-party ones.
        done = subprocess.run([*ruff, *command], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_new_plugin_runs_its_suite_and_passes_every_check(harness_cli):
    created = harness_cli("new", "plugin", "first_try")
    assert "pip install -e 'first_try[test]'" in created.out
    path = str(harness_cli.folder / "first_try" / "first_try")
    ended = harness_cli("-p", path, "suite", "first_try", "--json")
    assert ended.code == 0, ended.err
    verdicts = {v["claim"]: v["verdict"] for v in ended.document["verdicts"]}
    assert set(verdicts) == {"first_try/better-calibrated", "first_try/no-less-accurate"}
    assert set(verdicts.values()) <= {"reproduced", "contradicted", "inconclusive"}
    (check,) = ended.document["checks"]
    assert (check["claim"], check["verdict"]) == ("first_try/baseline-learns", "reproduced")
    # The project's folder is a name for the package in it.
    checked = harness_cli("check", "first_try", "--json")
    assert checked.code == 0, checked.out
    states = {c["check"]: c["state"] for c in checked.document["checks"]}
    assert states.pop("no-chance") == "nothing to check", "it declares no metric deterministic"
    assert set(states.values()) == {"holds"}


def test_a_failed_check_ends_with_3_and_says_what_to_do(harness_cli):
    harness_cli("new", "plugin", "faulty_one")
    file = harness_cli.folder / "faulty_one" / "faulty_one" / "claims.toml"
    file.write_text(file.read_text().replace('metric = "accuracy"', 'metric = "acuracy"'))
    ended = harness_cli("check", "faulty_one", "--only", "claims", "--only", "files")
    assert ended.code == 3
    assert "did you mean 'accuracy'" in ended.out
    assert "-> correct its test" in ended.out
    assert "1 check passed, 1 failed" in ended.out


@pytest.mark.slow
def test_a_new_plugin_is_installed_in_an_environment_and_passes_its_own_tests(tmp_path):
    """The commands of the README, each in a process of its own: new, pip install -e, suite, check, pytest."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    shared = {str(Path(sklearn.__file__).parent.parent), str(Path(__file__).parents[2])}
    # Python 3.11's own setuptools is too old to build with, and would come before this environment's.
    for bundled in (*site.glob("setuptools*"), *site.glob("pkg_resources")):
        shutil.rmtree(bundled)
    # The packages of this environment; pip sees them as installed. The harness may be an editable install.
    site.joinpath("shared.pth").write_text("\n".join([*sorted(shared), *(p for p in sys.path if "site-packages" in p)]))
    for finder in (p for folder in sys.path for p in Path(folder or ".").glob("__editable__*harness*")):
        shutil.copy(finder, site)
    own = {k: v for k, v in os.environ.items() if k not in ("HARNESS_DATA", "HARNESS_RESULTS", "PYTHONPATH")}

    def run(*command: str, folder: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(python), "-P", "-m", *command],
            cwd=folder,
            env=own | {"HARNESS_TRACKING": "off"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("harness", "new", "plugin", "own_loss")
    run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", "own_loss")
    assert "Placeholder: a network trained with the focal loss" in run("harness", "suite", "own_loss")
    assert "checks passed" in run("harness", "check", "own_loss")
    assert "passed" in run("pytest", "-q", folder=tmp_path / "own_loss")


@pytest.mark.slow
def test_pytest_runs_the_checks_and_reports_the_one_that_fails(harness_cli):
    harness_cli("new", "plugin", "checked_one")
    home = harness_cli.folder / "checked_one"
    file = home / "checked_one" / "checked_one.toml"
    file.write_text(file.read_text().replace("seeds = 5", "seeds = 2"))
    shutil.rmtree(home / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    done = subprocess.run(
        [*command, "--harness-check", str(home / "checked_one"), "--deselect", "tasks"],
        cwd=home,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "every claim is decided by a suite: does not hold" in done.stdout, done.stdout + done.stderr
    assert "-> write seeds = 5 in the suite" in done.stdout
    assert "1 failed, 20 passed" in done.stdout
