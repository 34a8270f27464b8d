"""A cell lost with its worker is tried again; a broken device is given up and the suite continues on the others."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cell import Cell
from harness.errors import HarnessError
from harness.registry import load_registry
from harness.running.engines import Settings, local
from harness.running.engines.servers import START_TRIES

PLANTED = str(Path(__file__).parent / "planted")


def test_cell_killed_from_outside_is_tried_again(planted):
    result = planted.run(planted.suite("killed-once", seeds=3), "--jobs", "2")
    assert result.code == 0, result.err
    assert [(r["status"], r["attempts"]) for r in planted.records()] == [("done", 2)] * 3
    assert result.err.count("is tried again: its process was killed by SIGKILL from outside") == 3


def test_cell_that_is_always_killed_fails_after_its_retries_and_is_tried_again_by_the_next_run(planted):
    suite = planted.suite("killed")
    assert planted.run(suite, "--retries", "1").code == 1
    (record,) = planted.records()
    assert (record["status"], record["lost"], record["attempts"]) == ("crashed", True, 2)
    assert planted.run(suite, "--retries", "0").code == 1
    assert [r["attempts"] for r in planted.records()] == [2, 1]


def kill_all(processes: list[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("which", ["the first server", "the second server", "the task's server", "all of them"])
def test_suite_survives_the_death_of_its_servers(planted, processes_of, which):
    process = planted.start(planted.suite("none", seeds=8, seconds=0.5), "--jobs", "2")
    path = planted.folder / "results" / "records.jsonl"
    planted.wait_until(lambda: path.exists() and path.stat().st_size)
    # From the top: the server with torch, the one with the plugins, the one with the task, and the cells.
    chain = [child for child in processes_of(process.pid) if "engines.server" in command_of(child)]
    names = ["the first server", "the second server", "the task's server"]
    kill_all(chain if which == "all of them" else [chain[names.index(which)]])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert sorted(r["seed"] for r in planted.records()) == list(range(8))
    assert {r["status"] for r in planted.records()} == {"done"}


def command_of(process: int) -> str:
    """The command line of a process; "" where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def first_server(processes: list[int]) -> int | None:
    """The server among these processes that is the parent of the others."""
    return next((process for process in processes if "engines.server" in command_of(process)), None)


def test_server_killed_once_as_it_starts_is_started_again(planted, processes_of):
    process = planted.start(planted.suite("none"), "--jobs", "1")
    planted.wait_until(lambda: first_server(processes_of(process.pid)))
    kill_all([first_server(processes_of(process.pid))])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert [r["status"] for r in planted.records()] == ["done"]


def test_server_killed_whenever_it_starts_ends_the_run_with_one_sentence(planted, processes_of):
    process = planted.start(planted.suite("none"), "--jobs", "1")
    while process.poll() is None:
        if server := first_server(processes_of(process.pid)):
            kill_all([server])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "no worker can start: cpu: it ended as it started, its process was " in err
    assert "Traceback" not in err
    assert "Aborted" not in err


def test_task_whose_import_kills_the_process_costs_its_own_cells_alone(planted):
    plugin = planted.folder / "deadly.py"
    plugin.write_text(DEADLY)
    suite = planted.folder / "deadly.toml"
    suite.write_text(
        'title = "deadly"\n[[cross]]\ntask = "deadly/import"\nmethods = ["one"]\nseeds = 2\n'
        '[[cross]]\ntask = "planted/fault"\nmethods = ["one"]\nseeds = 2\n'
    )
    result = planted.run(str(suite), "-p", str(plugin), "--jobs", "1")
    assert result.code == 1, result.err
    records = planted.records()
    assert {r["status"] for r in records if r["task"] == "planted/fault"} == {"done"}
    deadly = {(r["status"], r["cause"]) for r in records if r["task"] == "deadly/import"}
    assert deadly == {("crashed", "its process was killed by SIGSEGV while its code and data were loaded")}
    assert len(records) == 4


#: A plugin whose task is in a module that ends the process as it is imported.
DEADLY = """
import sys, types
import harness

class Deadly(types.ModuleType):
    def __getattr__(self, name):
        if name == "run":
            import ctypes
            ctypes.string_at(0)
        raise AttributeError(name)

sys.modules["deadly_task"] = Deadly("deadly_task")

@harness.hookimpl
def harness_tasks():
    metrics = {"total": harness.Metric()}
    return [harness.Task(name="deadly/import", role="planted", run="deadly_task:run", metrics=metrics)]
"""


def cells(device: str, *faults: str) -> list[Cell]:
    """One cell for each fault, on this device."""
    options = {"seconds": 0.2}
    return [
        Cell("s", "one", "planted/fault", {**options, "fault": fault}, device, "float32", seed, "code")
        for seed, fault in enumerate(faults)
    ]


@pytest.fixture
def settings():
    load_registry([PLANTED])
    yield Settings(plugins=(PLANTED,), slots=("mps:0", "mps:1"))


def test_each_slot_has_one_worker_and_other_cells_wait(settings):
    running: list[str] = []
    largest = 0

    def on_start(cell: Cell) -> None:
        nonlocal largest
        running.append(cell.id)
        largest = max(largest, len(running))

    statuses = []
    for cell, record in local.run(cells("mps", *["none"] * 7), replace(settings, on_start=on_start)):
        running.remove(cell.id)
        statuses.append(record.status)
    assert statuses == ["done"] * 7
    assert largest == 2


def test_unusable_device_is_given_up_and_the_others_continue(settings):
    # No worker can start on this slot, because there is no such CUDA device.
    planned = [*cells("cuda", "none", "none"), *cells("mps", *["none"] * 4)]
    ended = list(local.run(planned, replace(settings, slots=("cuda:7", "mps:0"))))
    by_device = {kind: [r for c, r in ended if c.device == kind] for kind in ("cuda", "mps")}
    assert [r.status for r in by_device["mps"]] == ["done"] * 4
    assert [(r.status, r.lost) for r in by_device["cuda"]] == [("crashed", True)] * 2
    assert "no cuda device is left: cuda:7: " in by_device["cuda"][0].cause


def test_run_ends_with_the_reason_if_no_worker_can_start(settings):
    with pytest.raises(HarnessError, match="no worker can start: cuda:7: "):
        list(local.run(cells("cuda", "none"), replace(settings, slots=("cuda:7",))))


def test_device_error_is_a_failure_of_the_method_if_the_device_still_works(settings):
    ended = list(local.run(cells("mps", "device", "none", "none"), replace(settings, slots=("mps:0",))))
    assert sorted((r.status, r.lost) for _, r in ended) == [("done", False), ("done", False), ("failed", False)]
    assert next(r for _, r in ended if r.status == "failed").attempts == 1


def test_cell_with_a_device_error_is_tried_on_another_device_if_its_own_is_lost(settings, monkeypatch):
    fork = local.Pool._fork
    slots: list[str] = []

    def fork_on_failing_machine(pool: local.Pool, slot: str):
        slots.append(slot)
        # After its first worker the slot mps:0 is a device that does not exist.
        return fork(pool, "cuda:7" if slot == "mps:0" and slots.count(slot) > 1 else slot)

    monkeypatch.setattr(local.Pool, "_fork", fork_on_failing_machine)
    ((_, record),) = local.run(cells("mps", "device"), replace(settings, slots=("mps:0", "mps:1")))
    # It fails again on the other device, which still works: the failure is its own.
    assert (record.status, record.lost, record.attempts) == ("failed", False, 2)
    assert slots.count("mps:0") == 1 + START_TRIES
