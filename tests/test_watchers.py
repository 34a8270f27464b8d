"""Watchers run in pluggy's order and for one run only; a watcher that fails costs one warning and no result."""

from __future__ import annotations

from harness import hookimpl, load_registry
from harness.running.watchers import Watchers

WATCHER = """
import harness

class Failing:
    @harness.hookimpl
    def harness_cell_finished(self, record):
        raise RuntimeError("cannot watch")

@harness.hookimpl
def harness_watchers():
    return [Failing()]

@harness.hookimpl
def harness_suite_started(run):
    print(len(run.todo), "cells will run")
"""


def test_watcher_that_raises_costs_one_warning_and_no_result(harness_cli):
    plugin = harness_cli.write("failing.py", WATCHER)
    result = harness_cli.toy("toy", "-p", plugin)
    assert result.code == 0
    assert result.err.count("failed in harness_cell_finished: RuntimeError: cannot watch") == 1
    assert "20 cells will run" in result.out
    assert len(harness_cli.records) == 20


def test_plugin_whose_watchers_cannot_be_made_costs_a_warning(harness_cli):
    text = "import harness\n@harness.hookimpl\ndef harness_watchers():\n    raise ValueError('no watcher')\n"
    result = harness_cli.toy("toy", "--only", "seed=0", "-p", harness_cli.write("without_watchers.py", text))
    assert result.code == 0
    assert "without_watchers failed in harness_watchers: ValueError: no watcher" in result.err


ORDER = """
import harness

calls = []

class First:
    @harness.hookimpl(trylast=True)
    def harness_cell_finished(self, record):
        calls.append("last")

    @harness.hookimpl(wrapper=True)
    def harness_suite_finished(self):
        calls.append("before")
        yield
        print("order:", *calls, "after")

class Second:
    @harness.hookimpl(tryfirst=True)
    def harness_cell_finished(self, record):
        calls.append("first")

    @harness.hookimpl
    def harness_suite_finished(self):
        calls.append("inside")

@harness.hookimpl
def harness_watchers():
    return [First(), Second()]
"""


def test_watchers_keep_pluggys_order_and_wrappers(harness_cli):
    result = harness_cli.toy(
        "toy", "--only", "seed=0", "--only", "method=plain", "-p", harness_cli.write("o.py", ORDER)
    )
    assert result.code == 0
    (line,) = (line for line in result.out.splitlines() if line.startswith("order:"))
    words = line.split()[1:]
    assert words[-3:] == ["before", "inside", "after"]
    assert words[:-3] == ["first", "last"] * (len(words[:-3]) // 2)
    assert len(words) > 3


def test_wrapper_that_raises_costs_a_warning_and_no_result(harness_cli):
    text = ORDER.replace('calls.append("before")', "raise RuntimeError('no')")
    result = harness_cli.toy("toy", "--only", "seed=0", "-p", harness_cli.write("w.py", text))
    assert result.code == 0
    assert "failed in harness_suite_finished: RuntimeError: no" in result.err


def test_watchers_of_one_run_are_not_called_for_another():
    class Watcher:
        def __init__(self):
            self.runs = []

        @hookimpl
        def harness_suite_started(self, run):
            self.runs.append(run)

    registry = load_registry()
    first, second = Watcher(), Watcher()
    of_first_run, of_second_run = Watchers(registry, [first]), Watchers(registry, [second])
    of_first_run.call("harness_suite_started", run=1)
    of_second_run.call("harness_suite_started", run=2)
    assert (first.runs, second.runs) == ([1], [2])
