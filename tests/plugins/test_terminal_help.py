"""What helps at the command line: names that are completed, a forgotten plugin, what a stopped run waits for."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from report_results import TOY
from rich.console import Console

from harness.cell import Cell, SuiteRun
from harness.cli import output
from harness.cli.arguments import complete_only, complete_records
from harness.errors import UnknownName
from harness.spec import Finding
from harness_plugins.machine import doctor
from harness_plugins.terminal.progress import ProgressWatcher

SUITE = """
title = "A comparison of methods that nobody has loaded"
[[cross]]
task = "toy/total"
methods = ["plain"]
"""


def test_a_forgotten_plugin_is_thought_of(harness_cli):
    suite = harness_cli.write("mine.toml", SUITE)
    ended = harness_cli("suite", suite)
    assert ended.code == 2
    assert "a plugin that is not installed is named with -p" in ended.err
    assert "named with -p" not in harness_cli("suite", "contrastiv").err, "that is a typo"


def test_at_most_three_names_are_offered_for_a_typo():
    known = [f"flatnce/fn{i}-a-claim" for i in range(40)] + ["can/other", "cosent/else"]
    message = str(UnknownName("claim", "flatnce/fn1-a-clam", known))
    assert "did you mean 'flatnce/fn1-a-claim'? 42 are known, also " in message
    assert message.count("flatnce/") <= 2 + 3
    assert "zzz" in str(UnknownName("claim", "zzz", known))
    assert str(UnknownName("claim", "zzz", known)).endswith("42 are known")


def context(**params: object) -> SimpleNamespace:
    return SimpleNamespace(obj=(), params=params)


def test_the_shell_completes_axes_values_and_records(harness_cli, monkeypatch):
    axes = complete_only(context(name="contrastive"), "b")  # type: ignore[arg-type]
    assert axes == ["base_lr=", "batch_size="]
    values = complete_only(context(name="contrastive"), "batch_size=")  # type: ignore[arg-type]
    assert values == ["batch_size=256", "batch_size=32", "batch_size=8"]
    assert complete_only(context(name="no-such-suite"), "") == []  # type: ignore[arg-type]
    harness_cli.toy("toy", "--only", "seed=0")
    monkeypatch.chdir(harness_cli.folder)
    ids = [record["id"] for record in harness_cli.records]
    assert complete_records(context(), "") == sorted(ids)  # type: ignore[arg-type]
    assert complete_records(context(), ids[0][:8]) == [ids[0]]  # type: ignore[arg-type]


def test_rerun_names_the_options_that_tell_cells_apart(harness_cli):
    harness_cli.toy("toy", "--only", "seed=0")
    record = harness_cli.records[0]
    ended = harness_cli("-p", TOY, "rerun", record["id"][:8])
    setting = f"{record['method']} on toy/total slope={record['options']['slope']}"
    assert setting in ended.err
    assert setting in ended.out


def cell(method: str, seed: int) -> Cell:
    return Cell("s", method, "toy/total", {"slope": 1.0}, "cpu", "float32", seed, "code")


def test_the_first_ctrl_c_names_the_cells_that_it_waits_for(caplog):
    watcher = ProgressWatcher(Console(quiet=True))
    cells = (cell("plain", 0), cell("lifted", 0), cell("plain", 1))
    run = SuiteRun(
        suite="s", title="t", results=None, cells=cells, selected=cells, todo=cells, records={}, tasks={},
        datasets={}, claims=(),
    )  # type: ignore[arg-type]  # fmt: skip
    watcher.harness_suite_started(run=run)
    for started in cells[:2]:
        watcher.harness_cell_started(cell=started)
    log = logging.getLogger("harness.running.interrupt")
    with caplog.at_level("INFO"):
        log.info("stopping after the running cells")
        watcher.harness_suite_finished()
        log.info("stopping after the running cells")
    first, second = caplog.messages
    assert first.endswith("; waiting for plain on toy/total seed=0, lifted on toy/total seed=0")
    assert second == "stopping after the running cells"


def test_doctor_says_first_what_is_wrong_and_counts_missing_data_sets(capsys):
    findings = [
        Finding(name="denormals", ok=True, message="they are kept"),
        Finding(name="clock", ok=False, message="turbo is on", advice="fix it"),
        Finding(name="busy machine", ok=False, message="the load is 9", advice="wait"),
    ]
    output.people.cache_clear()
    missing = {"mnist: nowhere", "wn: nowhere"}
    doctor._print_findings(findings, ["plugin x is broken", *sorted(missing)], missing)
    output.people.cache_clear()
    lines = [line for line in capsys.readouterr().out.splitlines() if "to do" not in line]
    assert [line.split()[0] for line in lines] == ["warning", "warning", "ok", "warning", "warning"]
    assert "busy machine: the load is 9" in lines[0]
    assert "2 data sets not on this machine; 'harness data' lists them" in lines[-1]
    assert "mnist" not in "".join(lines)
