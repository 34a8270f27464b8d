"""What the documentation tells people to type works, and what it says of verdicts is what the judge does."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from harness.files.claims import ClaimFile
from harness.files.toml import read_toml
from harness.judge import LOOK_ALPHA, position, t_interval
from harness.planning.request import LOOKS

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text("utf-8")
PLUGINS = (DOCS / "plugins.md").read_text("utf-8")
TOY = Path(__file__).parents[1] / "toy"
TOY_SUITE = (TOY / "toy.toml").read_text("utf-8")
VERDICTS = (DOCS / "verdicts.md").read_text("utf-8")
#: Each hit rate is simulated so often here.
TRIALS = 20_000


def test_the_tutorial_comes_to_the_verdicts_that_it_shows(harness_cli):
    """Every file and command of the tutorial in its order; the plugin is loaded by path instead of installed."""
    commands = re.findall(r"^```sh\n(.*?)```", TUTORIAL, flags=re.DOTALL | re.MULTILINE)
    typed = "".join(commands).splitlines()
    assert typed == [
        "harness new plugin label_smoothing",
        "pip install -e label_smoothing",
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
        import harness
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


def hits(offset: float, sd: float, n: int, low: float, high: float, alpha: float = 0.05) -> float:
    draws = np.random.default_rng([n, 11]).normal(offset, sd, (TRIALS, n))
    half = stats.t.ppf(1 - alpha, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    return float(((draws.mean(axis=1) - half > low) & (draws.mean(axis=1) + half < high)).mean())


def table(marker: str) -> list[list[float]]:
    rows = re.search(rf"<!-- {marker} -->\n.*?\n.*?\n((?:\|.*\n)+)", VERDICTS)[1].splitlines()
    return [[float(x) for x in re.findall(r"[\d.]+", row)] for row in rows]


def credible(printed: float, simulated: float) -> bool:
    """Whether a printed percentage could be this rate, which was simulated: five standard errors and its rounding."""
    return (
        abs(printed / 100 - simulated)
        < 5 * math.sqrt(0.25 / TRIALS) * max(0.1, 2 * math.sqrt(simulated * (1 - simulated))) + 0.006
    )


def test_the_printed_error_rates_and_powers_are_those_of_the_rule():
    for n, better, equal in table("simulated"):
        assert credible(better, hits(0.3, 0.1, int(n), 0.3, math.inf))
        assert credible(equal, hits(0.3, 0.1, int(n), -0.3, 0.3))
    for inside, *powers in table("power"):
        for n, power in zip((3, 5, 10, 20), powers, strict=True):
            assert credible(power, hits(inside, 1.0, n, 0.0, math.inf)), (inside, n)
    shared, unshared = (
        float(x) for x in re.search(r"errs in ([\d.]+) %.*?would err in ([\d.]+) %", VERDICTS, re.S).groups()
    )
    draws = np.random.default_rng(3).normal(0.0, 1.0, (3000, LOOKS[-1])).tolist()
    for printed, alpha in ((shared, LOOK_ALPHA), (unshared, 0.05)):
        first = 0
        for row in draws:
            words = [position(t_interval(row[:n], alpha), (0.0, math.inf)) for n in LOOKS]
            first += next((w for w in words if w != "across"), "") == "inside"
        assert abs(printed / 100 - first / len(draws)) < 4 * math.sqrt(0.1 * 0.9 / len(draws))


@pytest.mark.slow
def test_the_site_builds_without_a_broken_link(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", str(DOCS / "site" / "mkdocs.yml")]
    done = subprocess.run([*command, "-d", str(tmp_path / "site")], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    hooks = (tmp_path / "site" / "hooks.html").read_text("utf-8")
    assert "harness_methods" in hooks
    assert "Techniques and the baselines they are compared with" in hooks
    assert "sign of an improvement" in hooks or "run_suite" in (tmp_path / "site" / "api.html").read_text("utf-8")
