"""Whatever a watcher does, the run goes on; it is told of once."""

from __future__ import annotations

WATCHER = """
import harness

class Clumsy:
    @harness.hookimpl
    def harness_cell_finished(self, record):
        raise RuntimeError("two left hands")

@harness.hookimpl
def harness_watchers():
    return [Clumsy()]

@harness.hookimpl
def harness_suite_started(run):
    print(len(run.todo), "cells are coming")
"""


def test_a_watcher_that_raises_costs_one_warning_and_no_result(harness_cli):
    plugin = harness_cli.write("clumsy.py", WATCHER)
    ended = harness_cli.toy("toy", "-p", plugin)
    assert ended.code == 0
    assert ended.err.count("failed in harness_cell_finished: RuntimeError: two left hands") == 1
    assert "16 cells are coming" in ended.out
    assert len(harness_cli.records) == 16


def test_a_plugin_whose_watchers_cannot_be_made_is_left_out(harness_cli):
    text = "import harness\n@harness.hookimpl\ndef harness_watchers():\n    raise ValueError('not today')\n"
    ended = harness_cli.toy("toy", "--only", "seed=0", "-p", harness_cli.write("absentee.py", text))
    assert ended.code == 0
    assert "absentee failed in harness_watchers: ValueError: not today" in ended.err
