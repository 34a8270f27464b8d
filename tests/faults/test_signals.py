"""Ctrl-C, SIGTERM and SIGHUP end a command at any moment: its exit code says so, no traceback, every record stays.

The command sends the signal to itself when it reaches an event (``signalling/sitecustomize.py``).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

SIGNALLING = str(Path(__file__).parent / "signalling")
#: The first line of a module, or a function, in the order in which a command reaches them.
IMPORTS = ["lazy_loader:<module>", "harness.cli.streams:<module>", "typer:<module>", "pluggy:<module>"]
LOADING = ["harness.registry.loading:load_registry", "harness_plugins.can:<module>", "harness_plugins.upkeep:<module>"]
PLANNING = ["harness.planning.plan:make_plan", "harness_plugins.terminal.plan:print_plan"]
ENDING = ["threading:_shutdown"]
RUNNING = [
    "harness.running.runner:prepare_engine",
    "harness.running.runner:run_suite",
    "harness_plugins.terminal.progress:harness_suite_started",
    "harness.records.records:prepare",
]
JUDGING = ["harness.judge.result:judge_plan", "harness_plugins.terminal.result:print_result"]


@pytest.fixture
def signalled(planted):
    """Run ``harness`` with the planted plugin; it sends itself the signals at an event."""

    def run(event, numbers, *arguments, ignored=(), **variables):
        variables |= {"PYTHONPATH": SIGNALLING, "PLANTED": str(planted.folder)}
        variables |= {"SIGNAL_AT": str(event), "SIGNAL_NUMBERS": " ".join(str(int(number)) for number in numbers)}

        def set_signals():
            # In the background of a shell the tests themselves may ignore some.
            for number in (SIGINT, SIGTERM, SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        return subprocess.run(
            [sys.executable, "-m", "harness", "-p", planted.plugin, *arguments],
            cwd=planted.folder,
            env={**os.environ, "TMPDIR": str(planted.command_line.temporary), **variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=600,
            preexec_fn=set_signals,
        )

    return run


def assert_ended(ended, number):
    """Check that the signal ended the command, and nothing else was printed about it."""
    assert ended.returncode == 128 + number, ended.stderr
    assert any(line in ("interrupted", STOPPED) for line in ended.stderr.splitlines()), ended.stderr
    for trace in ("Traceback", "Exception ignored", "KeyboardInterrupt", "Aborted"):
        assert trace not in ended.stderr


STOPPED = "stopped at once; what had finished is recorded, and the same command goes on from there"


@pytest.mark.parametrize("event", [*IMPORTS, *LOADING, *PLANNING, *ENDING])
def test_ctrl_c_ends_a_command_at_any_moment(planted, signalled, event):
    assert_ended(signalled(event, [SIGINT], "suite", planted.suite("none"), "--plan"), SIGINT)


@pytest.mark.parametrize("number", [SIGTERM, SIGHUP])
@pytest.mark.parametrize("event", [IMPORTS[0], LOADING[1], PLANNING[0]])
def test_other_signals_end_a_command_as_a_shell_expects(planted, signalled, event, number):
    assert_ended(signalled(event, [number], "suite", planted.suite("none"), "--plan"), number)


@pytest.mark.parametrize("event", [LOADING[1], PLANNING[0]])
def test_two_signals_in_a_row_end_a_command(planted, signalled, event):
    assert_ended(signalled(event, [SIGINT, SIGINT], "suite", planted.suite("none"), "--plan"), SIGINT)


@pytest.mark.parametrize("event", RUNNING)
def test_ctrl_c_before_the_first_cell_ends_a_suite(planted, signalled, event):
    ended = signalled(event, [SIGINT], "suite", planted.suite("none"))
    if "stopping after the running cells" in ended.stderr:
        assert ended.returncode == 130
        assert "Traceback" not in ended.stderr
    else:
        assert_ended(ended, SIGINT)
    assert planted.run(planted.suite("none")).code == 0
    assert len(planted.records()) == 1


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
@pytest.mark.parametrize("event", JUDGING)
def test_a_signal_after_the_last_cell_costs_no_record(planted, signalled, event, number):
    ended = signalled(event, [number], "suite", planted.suite("none", seeds=2))
    assert ended.returncode == 128 + number, ended.stderr
    assert "Traceback" not in ended.stderr
    assert [record["status"] for record in planted.records()] == ["done"] * 2


def test_a_record_that_is_being_written_when_sigterm_comes_is_written_whole(planted, signalled):
    assert_ended(signalled("harness.records.records:_write_whole", [SIGTERM], "suite", planted.suite("none")), SIGTERM)
    assert [record["status"] for record in planted.records()] == ["done"]


def test_sigterm_does_not_wait_for_a_running_cell(planted, processes_of, running):
    process = planted.start(planted.suite("none", "hang"), "--jobs", "1")
    records = planted.folder / "results" / "records.jsonl"
    planted.wait_until(lambda: records.exists() and planted.records())
    workers = processes_of(process.pid)
    process.send_signal(SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert STOPPED in err
    assert "Traceback" not in err
    planted.wait_until(lambda: not any(running(pid) for pid in workers))
    assert [record["status"] for record in planted.records()] == ["done"]


@pytest.mark.parametrize("number", [SIGINT, SIGHUP])
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(planted, signalled, number):
    # As after nohup, or in the background of a shell script.
    ended = signalled(RUNNING[0], [number], "suite", planted.suite("none"), ignored=[number])
    assert ended.returncode == 0, ended.stderr
    assert len(planted.records()) == 1


def test_ctrl_c_during_the_report_leaves_no_part_of_it(planted, signalled):
    assert planted.run(planted.suite("none")).code == 0
    ended = signalled("harness_plugins.report.templates:write", [SIGINT], "report", "-o", "report.html")
    assert_ended(ended, SIGINT)
    assert not (planted.folder / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], ["suite", "SUITE", "--plan"], ["suite", "SUITE", "--jobs", "1"]])
def test_a_signal_at_any_call_of_a_function_ends_a_command(planted, signalled, arguments):
    suite = planted.suite("none", seeds=2)
    arguments = [suite if part == "SUITE" else part for part in arguments]
    counted = planted.folder / "calls"
    # The first run has cells to run, and so more calls than all others.
    for _ in range(2):
        assert signalled("", [], *arguments, SIGNAL_CALLS=str(counted)).returncode == 0
    calls = int(counted.read_text())
    moments = random.Random(calls)
    for _ in range(15):
        # Before about the thousandth call Python itself starts.
        # The number of calls differs a little from run to run, and at the end Python itself shuts down.
        event, number = moments.randrange(2000, calls * 9 // 10), moments.choice([SIGINT, SIGTERM, SIGHUP])
        ended = signalled(event, [number], *arguments)
        assert ended.returncode == 128 + number, (event, ended.stderr)
        assert "Traceback" not in ended.stderr, event
        assert "Exception ignored" not in ended.stderr, event
    assert signalled("", [], *arguments).returncode == 0
