"""Whatever a watcher does, the run goes on; it is told of once."""

from __future__ import annotations

from harness import hookimpl, load_registry
from harness.running.watchers import Watchers

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


ORDER = """
import harness

said = []

class First:
    @harness.hookimpl(trylast=True)
    def harness_cell_finished(self, record):
        said.append("last")

    @harness.hookimpl(wrapper=True)
    def harness_suite_finished(self):
        said.append("before")
        yield
        print("order:", *said, "after")

class Second:
    @harness.hookimpl(tryfirst=True)
    def harness_cell_finished(self, record):
        said.append("first")

    @harness.hookimpl
    def harness_suite_finished(self):
        said.append("inside")

@harness.hookimpl
def harness_watchers():
    return [First(), Second()]
"""


def test_watchers_keep_pluggys_order_and_wrappers(harness_cli):
    ended = harness_cli.toy("toy", "--only", "seed=0", "--only", "method=plain", "-p", harness_cli.write("o.py", ORDER))
    assert ended.code == 0
    (line,) = (line for line in ended.out.splitlines() if line.startswith("order:"))
    words = line.split()[1:]
    assert words[-3:] == ["before", "inside", "after"]
    assert words[:-3] == ["first", "last"] * (len(words[:-3]) // 2)
    assert len(words) > 3


def test_a_wrapper_that_raises_costs_a_warning_and_no_result(harness_cli):
    text = ORDER.replace('said.append("before")', "raise RuntimeError('no')")
    ended = harness_cli.toy("toy", "--only", "seed=0", "-p", harness_cli.write("w.py", text))
    assert ended.code == 0
    assert "failed in harness_suite_finished: RuntimeError: no" in ended.err


def test_watchers_of_one_run_hear_nothing_of_another():
    class Watcher:
        def __init__(self):
            self.runs = []

        @hookimpl
        def harness_suite_started(self, run):
            self.runs.append(run)

    registry = load_registry()
    one, other = Watcher(), Watcher()
    first, second = Watchers(registry, [one]), Watchers(registry, [other])
    first.call("harness_suite_started", run=1)
    second.call("harness_suite_started", run=2)
    assert (one.runs, other.runs) == ([1], [2])
