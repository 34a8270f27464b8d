"""A cell's key holds the code that the cell can run, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness_plugins
from harness import load_registry
from harness.errors import UsageError
from harness.files.suite import read_suite
from harness.planning.cross import cells_of
from harness.registry.digests import Sources, code_digest

REGISTRY = load_registry()
#: The suites that run with what packages ship.
DEFAULT = sorted(name for name in REGISTRY.suites if not name.endswith("-full"))
PLUGINS = Path(harness_plugins.__path__[0])


def pairs() -> dict[tuple[str, str], list[object]]:
    """The code behind each pair of method and task of the default suites."""
    found = {}
    for name in DEFAULT:
        for cell in cells_of(read_suite(name, REGISTRY), REGISTRY, digest_of=lambda _: "digest"):
            if (cell.method, cell.task) not in found:
                found[cell.method, cell.task] = REGISTRY.codes(cell.method, cell.task, cell.options)
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of all plugins' sources, and the digests of every pair's code in it."""
    folder = tmp_path_factory.mktemp("sources") / "plugins"
    shutil.copytree(PLUGINS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    codes = pairs()

    def digests() -> dict[tuple[str, str], str]:
        sources = Sources({"harness_plugins": folder}, REGISTRY.sources.hooks)
        return {pair: code_digest(code, sources) for pair, code in codes.items()}

    return folder, digests


def changed_by(copy, file: str, text: str) -> set[str]:
    """The plugins of the methods and tasks whose keys change when a text is added to a file."""
    folder, digests = copy
    path = folder / file
    before, content = digests(), path.read_text(encoding="utf-8")
    path.write_text(content + text, encoding="utf-8")
    after = digests()
    path.write_text(content, encoding="utf-8")
    changed = [pair for pair in before if before[pair] != after[pair]]
    return {REGISTRY.owners["method", method] for method, _ in changed} | {
        REGISTRY.owners["task", task] for _, task in changed
    }


def test_code_that_two_plugins_share_is_in_the_keys_of_both(copy):
    assert {"can", "cosent"} <= changed_by(copy, "running_sums.py", "\n# changed\n")


@pytest.mark.parametrize(
    "file", ["report/commands.py", "report/report.css", "report/svg.py", "flatnce/claims.toml", "flatnce/__init__.py"]
)
def test_reports_claims_and_hooks_are_in_no_key(copy, file):
    text = "\n" if file.endswith(".toml") else "\n/* changed */\n" if file.endswith(".css") else "\n# changed\n"
    assert changed_by(copy, file, text) == set()


def test_a_loss_is_in_the_keys_of_its_own_plugin_and_of_races_with_it(copy):
    changed = changed_by(copy, "flatnce/losses.py", "\n# changed\n")
    assert "flatnce" in changed
    assert not changed & {"can", "cosent", "squareplus", "vae_density", "gradient_penalty", "leaderboard"}


def test_the_key_of_a_race_holds_its_rival_and_its_workload():
    race = "speed/contrastive-loss"
    plain, peer = (
        set(REGISTRY.modules("flatnce", race, {"against": rival})) for rival in ("infonce", "lightly-nt-xent")
    )
    assert peer - plain == {"harness_plugins.peers.contrastive", "harness_plugins.peers.packages"}
    assert {"harness_plugins.flatnce.losses", "harness_plugins.flatnce.workload_inputs"} <= plain
    assert "library torch" in REGISTRY.modules("squareplus", "speed/activation", {"against": "softplus"})
    assert not any("report" in module for module in plain | peer)
    with pytest.raises(UsageError, match="did you mean 'infonce'"):
        REGISTRY.modules("flatnce", race, {"against": "infonse"})


@pytest.mark.slow
@pytest.mark.parametrize("suite", DEFAULT)
def test_what_a_cell_loads_is_in_its_key(suite):
    script = Path(__file__).with_name("loaded_modules.py")
    done = subprocess.run([sys.executable, script, suite], capture_output=True, text=True, timeout=900, check=True)
    cells = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert cells
    missing = {c["cell"]: sorted(set(c["loaded"]) - set(c["keyed"])) for c in cells}
    assert not {cell: modules for cell, modules in missing.items() if modules}
    assert sum(c["status"] == "done" for c in cells) > len(cells) / 2
