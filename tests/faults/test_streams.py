"""Standard streams that are closed, broken, full or unable to print a character stop no command and cost no record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

ASCII = {"PYTHONIOENCODING": "ascii"}
#: No UTF-8 anywhere: neither in streams nor as the encoding of files that are opened without one.
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
#: What a shell adds to a command, and variables.
CONDITIONS = {
    "no stdin": ("<&-", {}),
    "no stdout": (">&-", {}),
    "no stderr": ("2>&-", {}),
    "no stream": ("<&- >&- 2>&-", {}),
    "full stdout": (">/dev/full", {}),
    "full stderr": ("2>/dev/full", {}),
    "full": (">/dev/full 2>&1", {}),
    "unwritable stdout": ("1</dev/null", {}),
    "no reader": ("| true", {}),
    "no reader at all": ("2>&1 | true", {}),
    "ascii": ("", ASCII),
    "C locale": ("", C_LOCALE),
}
NOT_PRINTED = {"full stdout": "No space left on device", "unwritable stdout": "Bad file descriptor"}
COMMANDS = [
    ["--help"],
    ["suite", "--help"],
    ["list"],
    ["list", "methods", "--json"],
    ["show", "flatnce"],
    ["suite", "SUITE", "--plan"],
    ["suite", "SUITE", "--plan", "--json"],
    ["suite", "SUITE"],
    ["suite", "SUITE", "--json"],
    ["claims"],
    ["claims", "--require", "reproduced"],
    ["report", "-o", "report.html"],
    ["data"],
    ["doctor"],
    ["doctor", "--json"],
    ["records", "check"],
    ["records", "repair"],
    ["records", "merge", "results", "--results", "others"],
    ["rerun", "--sample", "1", "--jobs", "1"],
    ["check", "squareplus", "--only", "names"],
    ["schema", "suite"],
    ["leaderboard", "scores.csv"],
    ["bench", "contrastive-loss", "--method", "infonce", "--size", "batch=4", "--forward"],
    ["suite", "no-such-suite"],
    ["suite", "--no-such-flag"],
]


@pytest.fixture
def shell(planted):
    """Run ``harness`` with the planted plugin from a shell, which redirects its streams."""
    # What a command behind which "| true" stands writes to, once nobody reads any more.
    reader, broken = os.pipe()
    os.close(reader)

    def run(arguments, redirection="", **variables):
        command = [sys.executable, "-m", "harness", "-p", planted.plugin, *arguments]
        environment = {**os.environ, "PLANTED": str(planted.folder), "TMPDIR": str(planted.command_line.temporary)}
        redirection, pipe, _ = redirection.partition("| true")
        return subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
            cwd=planted.folder,
            env=environment | variables,
            stdout=broken if pipe else subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            timeout=300,
        )

    yield run
    os.close(broken)


def assert_held(condition, undisturbed, ended):
    """Compare a command under a condition with the same command without one."""
    assert "Traceback" not in ended.stderr + (ended.stdout or "")
    assert "Exception ignored" not in ended.stderr
    if condition in NOT_PRINTED and undisturbed.stdout:
        assert f"error: stdout cannot be written: {NOT_PRINTED[condition]}" in ended.stderr
        assert ended.returncode == (undisturbed.returncode or 1)
    elif condition == "full" and undisturbed.stdout:
        assert ended.returncode == (undisturbed.returncode or 1)
    else:
        assert ended.returncode == undisturbed.returncode


def test_a_command_ends_with_its_exit_code_whatever_its_streams_are(shell):
    undisturbed = shell(["list", "methods"])
    assert undisturbed.returncode == 0
    for condition, (redirection, variables) in CONDITIONS.items():
        assert_held(condition, undisturbed, shell(["list", "methods"], redirection, **variables))


def commands_under(condition):
    """All commands where most can go wrong; under each other condition a third of them, so that all come up."""
    if condition in ("no stream", "full", "no reader at all"):
        return COMMANDS
    return COMMANDS[list(CONDITIONS).index(condition) % 3 :: 3]


#: How a command ends with its streams as they should be: the same for every condition.
UNDISTURBED = {}


@pytest.mark.slow
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_command_ends_with_its_exit_code_whatever_its_streams_are(planted, shell, condition):
    suite = planted.suite("none")
    (planted.folder / "scores.csv").write_text("system,A,B\nx,1,2\nµ ±,2,1\n", encoding="utf-8")
    assert shell(["suite", suite]).returncode == 0
    redirection, variables = CONDITIONS[condition]
    for command in commands_under(condition):
        arguments = [suite if part == "SUITE" else part for part in command]
        name = " ".join(command)
        undisturbed = UNDISTURBED[name] = UNDISTURBED.get(name) or shell(arguments)
        assert_held(condition, undisturbed, shell(arguments, redirection, **variables))


def test_a_suite_without_streams_records_its_cells_and_prints_into_no_file(planted, shell):
    plugin = planted.folder / "stray.py"
    plugin.write_text(
        "import os\nimport harness\n\n"
        "@harness.hookimpl\n"
        "def harness_cell_finished():\n"
        "    for descriptor in (1, 2):\n"
        "        os.write(descriptor, b'printed by a plugin')\n"
        "    links = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        "    open('links', 'w').write(' '.join(links))\n"
    )
    ended = shell(["suite", planted.suite("none", seeds=2), "-p", str(plugin)], "<&- >&- 2>&-")
    assert ended.returncode == 0
    assert [record["status"] for record in planted.records()] == ["done"] * 2
    assert (planted.folder / "links").read_text() == "/dev/null /dev/null /dev/null"
    files = [path for path in (planted.folder / "results").rglob("*") if path.is_file()]
    assert not [path for path in files if b"printed by a plugin" in path.read_bytes()]


def test_a_suite_goes_on_when_the_reader_of_its_output_has_gone(planted):
    suite = planted.suite("until-released", "none", seeds=3)
    command = [sys.executable, "-m", "harness", "-p", planted.plugin, "suite", suite, "--jobs", "1"]
    variables = {**os.environ, "PLANTED": str(planted.folder)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=planted.folder, env=variables, stdout=pipe, stderr=subprocess.STDOUT)
    planted.wait_until((planted.folder / "waiting-here").exists)
    assert b"6 cells to run" in process.stdout.readline()
    # As `| head -1` does.
    process.stdout.close()
    (planted.folder / "released-here").touch()
    assert process.wait(timeout=120) == 0
    assert [record["status"] for record in planted.records()] == ["done"] * 6


def test_a_required_verdict_decides_the_exit_code_when_nobody_reads(planted, shell):
    assert shell(["suite", planted.suite("none")], "2>&1 | true").returncode == 0
    assert len(planted.records()) == 1
    assert shell(["claims", "--require", "reproduced"], "2>&1 | true").returncode == 3


def test_output_in_ascii_is_readable_and_its_columns_are_straight(planted, shell):
    suite = planted.suite("none", methods=("one", "other"), seeds=3)
    in_unicode = shell(["suite", suite, "--jobs", "1", "--tables"])
    assert "±" in in_unicode.stdout
    in_ascii = shell(["suite", suite, "--jobs", "1", "--tables"], **ASCII)
    assert in_ascii.stdout.isascii()
    assert "+/-" in in_ascii.stdout
    assert "\\" not in in_ascii.stdout
    assert "?" not in in_ascii.stdout
    rows = [line for line in in_ascii.stdout.splitlines() if re.match(r"[|+]", line)]
    assert len(rows) > 3
    assert len(set(map(len, rows))) == 1
    documents = [json.loads(shell(["suite", suite, "--json"], **variables).stdout) for variables in ({}, ASCII)]
    for document in documents:
        del document["seconds"]
    assert documents[0] == documents[1]
