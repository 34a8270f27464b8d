"""A role that another plugin registers has everything that ours have: checks, bench, a race, a row in the lists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from harness_plugins.authors.checks import load_plugin, run_checks, subject_of

ROLES_PAGE = (Path(__file__).parents[2] / "docs" / "roles.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", ROLES_PAGE, flags=re.DOTALL))


@pytest.fixture
def kernel(harness_cli):
    """The command line in a folder with the files of docs/roles.md."""
    for name, text in FILES.items():
        harness_cli.write(name, text)
    return harness_cli


def test_the_commands_of_the_page_are_those_that_are_tested():
    (commands,) = re.findall(r"^```sh\n(.*?)```", ROLES_PAGE, flags=re.DOTALL | re.MULTILINE)
    assert commands.splitlines() == [
        "harness check kernel.py",
        "harness -p kernel.py bench kernel --size rows=64",
        "harness -p kernel.py suite kernel-race.toml",
        "harness -p kernel.py list roles",
    ]


def test_check_calls_the_methods_of_the_role(kernel):
    ended = kernel("-p", "kernel.py", "check", "kernel.py", "--json")
    assert ended.code == 0, ended.out
    checks = {check["check"]: check for check in ended.document["checks"]}
    for name in ("protocol", "reference", "gradient", "deterministic", "global-state", "inputs-kept", "edges"):
        assert (checks[name]["state"], checks[name]["notes"]) == ("holds", [])


@pytest.mark.slow
def test_bench_measures_the_methods_of_the_role(kernel):
    ended = kernel("-p", "kernel.py", "bench", "kernel", "--size", "rows=64", "--json")
    assert ended.code in (0, 1), ended.err
    (point,) = ended.document["points"]
    assert (point["role"], point["size"]["rows"], point["baseline"]) == ("kernel", 64, "gaussian-dense")
    rows = {row["method"]: row for row in point["rows"]}
    assert set(rows) == {"gaussian-dense", "gaussian-product"}
    # On a busy machine the clock may say that work is skipped; every other fault would be one of the values.
    assert {fault["check"] for row in rows.values() for fault in row["faults"]} <= {"repeated"}


def test_the_role_has_a_race_that_a_suite_runs(kernel):
    ended = kernel("-p", "kernel.py", "suite", "kernel-race.toml", "--json")
    assert ended.code == 0, ended.err
    (record,) = kernel.records
    assert (record["task"], record["method"]) == ("speed/kernel", "gaussian-product")
    assert record["status"] == "done" or "too noisy to judge" in record["cause"]


def test_the_role_is_listed(kernel):
    ended = kernel("-p", "kernel.py", "list", "roles", "--json")
    (role,) = (role for role in ended.document if role["name"] == "kernel")
    assert role["signature"] == "kernel(x [N, D], y [M, D]) -> scalar"


FAULTS = [
    ("names", 'name="kernel",', 'name="Kernel",', "role 'Kernel'"),
    ("metadata", "the mean of a kernel over all pairs of two sets of points", "", "role kernel has no help"),
    ("metadata", 'signature="kernel(x [N, D], y [M, D]) -> scalar"', 'signature=""', "role kernel has no signature"),
    ("addresses", 'returns="scalar"', 'returns="scaler"', "role kernel: 'scaler': UsageError: code address"),
    ("addresses", 'returns="scalar"', 'call="kernel:cal"', "role kernel: 'kernel:cal': AttributeError"),
    ("protocol", "rows, dimension, generator", "rows, width, generator", "role kernel: its inputs cannot be drawn"),
    ("protocol", 'returns="scalar"', 'returns="one-per-row"', "returns float32 [] for 6 rows; [6] is expected"),
    (
        "protocol",
        'returns="scalar"',
        'returns=lambda inputs, returned: "returns what I do not like"',
        "method gaussian-dense on cpu in float32 returns what I do not like",
    ),
    ("protocol", 'returns="scalar"', "call=lambda method, inputs: method(inputs)", "on cpu in float32 raises"),
    ("edges", "or 0 in (len(x), len(y))", "", "no row: returns nan"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "old", "new", "message"), FAULTS)
def test_a_planted_fault_in_a_role_is_reported(tmp_path, check, old, new, message):
    assert old in FILES["kernel.py"]
    (tmp_path / "kernel.py").write_text(FILES["kernel.py"].replace(old, new))
    try:
        (outcome,) = run_checks(subject_of(*load_plugin(str(tmp_path / "kernel.py"))), [check])
    finally:
        sys.modules.pop("kernel", None)
    assert any(message in problem.message for problem in outcome.problems), outcome
