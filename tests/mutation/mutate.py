"""Break the code in many small ways and count how many of them a test sees: mutation testing, with mutmut.

It is not part of the ordinary run. It needs an environment with the extra ``test`` and mutmut 3:

    pip install -e ".[test]" "mutmut>=3.8,<4"
    python tests/mutation/mutate.py judge files flatnce --limit 25

The tree is copied first; the checkout is never changed. For each group the functions of its modules are mutated, and
each mutant is judged by those tests of the group's test files that call the mutated function, in a process forked from
one that has everything imported. Of a module with more mutants than ``--limit`` so many are drawn, by a fixed seed.
Mutants that change nothing but the wording of a message are left out. What no test sees is printed as a diff at the
end and written to ``survivors.txt`` in the folder of the copy; ``survivors.md`` beside this file says what became of
each.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Folders as packages are imported: mutmut knows a module by its path.
FOLDERS = {"harness": "harness", "plugins": "harness_plugins", "suites": "harness_suites"}
SEED = 0

_STATISTICS = ("contrast", "decide", "family", "intervals", "looks", "outlier", "pairing")
_STATISTICS += ("scales", "summary", "verdicts")
#: Not the simulations: thousands of verdicts for one mutant.
_STATISTICS_TESTS = ("contrast", "families", "intervals", "looks", "sentences", "settings", "summary", "verdicts")
_STATISTICS_TESTS += ("without_chance",)
_EGP = "harness_plugins/efficient_global_pointer"
#: Modules to mutate (globs), and the test files that cover them.
GROUPS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "judge": (
        [f"harness/judge/{name}.py" for name in _STATISTICS],
        [f"tests/judge/test_judge_{name}.py" for name in _STATISTICS_TESTS],
    ),
    "judge-records": (["harness/judge/recorded.py", "harness/judge/result.py"], ["tests/judge/test_judge_recorded.py"]),
    "planning": (["harness/planning/*.py"], ["tests/planning"]),
    "files": (["harness/files/*.py"], ["tests/files"]),
    "records": (["harness/records/*.py"], ["tests/test_records.py", "tests/test_seals.py", "tests/test_provenance.py"]),
    "flatnce": (["harness_plugins/flatnce/losses.py", "harness_plugins/flatnce/tiled.py"], ["flatnce"]),
    "cosent": (
        ["harness_plugins/cosent/losses.py", "harness_plugins/cosent/ranking.py", "harness_plugins/running_sums.py"],
        ["cosent_losses", "cosent_ranking", "cosent_thresholds", "running_sums"],
    ),
    "thresholds": (["harness_plugins/cosent/thresholds.py"], ["cosent_thresholds"]),
    "squareplus": (
        ["harness_plugins/squareplus/functions.py", "harness_plugins/squareplus/passes.py"],
        ["squareplus_functions", "squareplus_passes"],
    ),
    "gradient-penalty": (
        ["harness_plugins/gradient_penalty/gradient_norms.py", "harness_plugins/gradient_penalty/bound.py"],
        ["gradient_penalty_norms", "gradient_penalty_bound"],
    ),
    "global-pointer": (
        [f"{_EGP}/score_parts.py", f"{_EGP}/partition.py", f"{_EGP}/multilabel.py"],
        [f"efficient_global_pointer_{name}" for name in ("score_parts", "partition", "multilabel")],
    ),
    "can": (["harness_plugins/can/refiners.py", "harness_plugins/can/alternating.py"], ["can_refiners", "can_altern"]),
    "vae": (
        ["harness_plugins/vae_density/importance.py", "harness_plugins/vae_density/exact.py"],
        ["vae_density_importance", "vae_density_exact"],
    ),
}
#: Tests that call mutated functions in other processes, where mutmut does not find its settings.
OTHERS = (
    "tests/test_records.py::test_writers_in_several_processes_do_not_mix_lines",
    "tests/test_seals.py::test_a_changed_margin_is_said_by_claims_and_suite_and_changed_wording_is_not",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"by default all: {', '.join(GROUPS)}")
    parser.add_argument("--limit", type=int, default=40, help="most mutants of one module (default: 40)")
    parser.add_argument("--processes", type=int, default=2, help="mutants tested at once (default: 2)")
    parser.add_argument("--folder", type=Path, help="where to copy the tree (default: a temporary folder)")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - GROUPS.keys():
        parser.error(f"unknown group {min(unknown)}; there are {', '.join(GROUPS)}")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="mutation-"))
    for group in arguments.groups or GROUPS:
        run_group(group, folder / group, arguments.limit, arguments.processes)


def run_group(group: str, copy: Path, limit: int, processes: int) -> None:
    """Mutate the modules of one group in a copy of the tree; print the count of each outcome and every survivor."""
    patterns, tests = GROUPS[group]
    copy_tree(copy)
    modules = sorted(path.relative_to(copy) for pattern in patterns for path in copy.glob(pattern))
    configure(copy, modules, [file for name in tests for file in test_files(copy, name)])
    make_mutants(copy, processes)
    names = [name for module in modules for name in drawn(module, copy, limit)]
    environment = os.environ | {"PYTHONPATH": str(copy / "mutants"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes), *names]
    if (code := subprocess.run(command, cwd=copy, env=environment, check=False).returncode) != 0:
        sys.exit(f"{group}: mutmut ended with {code}")
    report(group, copy, modules, set(names), environment)


def copy_tree(copy: Path) -> None:
    """The code, the tests and the pages that tests read."""
    shutil.rmtree(copy, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".git")
    for source, target in FOLDERS.items():
        shutil.copytree(ROOT / source, copy / target, ignore=ignored)
    for name in ("tests", "docs", "README.md", "CHANGELOG.md"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)


def test_files(copy: Path, name: str) -> Iterator[str]:
    """A path under the copy where it exists, or else the files of plugins' tests whose name contains it."""
    if name.startswith("tests/"):
        return iter([name] if (copy / name).exists() else [])
    return (str(path.relative_to(copy)) for path in sorted(copy.glob(f"tests/plugins/test_{name}*.py")))


def configure(copy: Path, modules: Sequence[Path], tests: Sequence[str]) -> None:
    """Write mutmut's settings beside the project's own for pytest."""
    settings = {
        "source_paths": list(FOLDERS.values()),
        "only_mutate": [str(module) for module in modules],
        "also_copy": ["docs", "README.md", "CHANGELOG.md"],
        "pytest_add_cli_args_test_selection": list(tests),
        "pytest_add_cli_args": ["-n0", "-p", "no:cacheprovider", "-W", "ignore", *(f"--deselect={t}" for t in OTHERS)],
        "process_isolation": "forkserver",
        "timeout_constant": 10.0,
        "timeout_multiplier": 6.0,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (copy / "pyproject.toml").write_text(project + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def make_mutants(copy: Path, processes: int) -> None:
    """Write every module with all its mutants, as ``mutmut run`` does first; it then finds them made."""
    # mutmut reads its settings from the current folder, once, and while it is imported.
    os.chdir(copy)
    from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
    from mutmut.configuration import reset_config

    reset_config()
    (copy / "mutants").mkdir()
    with contextlib.redirect_stdout(None):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(processes)


def drawn(module: Path, copy: Path, limit: int) -> list[str]:
    """Names of a module's mutants, at most ``limit`` of them."""
    bodies = _without_wording((copy / "mutants" / module).read_text(encoding="utf-8"))
    names = []
    for name in outcomes(module, copy):
        function = name.rpartition(".")[2]
        if bodies[function] != bodies[function.partition("__mutmut_")[0] + "__mutmut_orig"]:
            names.append(name)
    chosen = names if len(names) <= limit else sorted(random.Random(SEED).sample(names, limit), key=names.index)
    show(f"{module}: {len(chosen)} of {len(names)} mutants")
    return chosen


def _without_wording(code: str) -> dict[str, list[str]]:
    """The statements of each function by its name, where sentences and the texts between values are blank."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
        elif isinstance(node, ast.JoinedStr):
            node.values = [value for value in node.values if not isinstance(value, ast.Constant)]
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {function.name: [ast.dump(statement) for statement in function.body] for function in functions}


def outcomes(module: Path, copy: Path) -> dict[str, int | None]:
    """The exit code of the tests by the name of the mutant, None before they have run."""
    codes: dict[str, int | None] = json.loads((copy / "mutants" / f"{module}.meta").read_text("utf-8"))[
        "exit_code_by_key"
    ]
    return codes


def report(group: str, copy: Path, modules: Sequence[Path], names: set[str], environment: Mapping[str, str]) -> None:
    """Print a line for each module, and the diff of each mutant that no test saw."""
    from mutmut.stats import status_by_exit_code

    survivors = []
    for module in modules:
        codes = {name: code for name, code in outcomes(module, copy).items() if name in names}
        counts = Counter(status_by_exit_code[code] for code in codes.values())
        dead = counts["killed"] + counts["timeout"] + counts["segfault"]
        show(f"{module}: {dead} of {len(codes)} killed {dict(counts)}")
        survivors += [name for name, code in codes.items() if status_by_exit_code[code] in ("survived", "no tests")]
    with (copy / "survivors.txt").open("w", encoding="utf-8") as stream:
        for name in survivors:
            command = [sys.executable, "-m", "mutmut", "show", name]
            shown = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
            stream.write(shown.stdout + "\n")
    show(f"{group}: {len(survivors)} mutants that no test saw, in {copy / 'survivors.txt'}")


def show(line: str) -> None:
    """Print a line at once: a run takes long, and is mostly watched through a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
