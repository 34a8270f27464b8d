"""A cell lost with its worker is tried again; a broken device is given up and the suite continues on the others."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cell import Cell
from harness.errors import HarnessError
from harness.registry import load_registry
from harness.running.engines import Settings, local

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


def test_suite_survives_the_death_of_the_fork_server(planted, processes_of):
    process = planted.start(planted.suite("none", seeds=8, seconds=0.5), "--jobs", "2")
    path = planted.folder / "results" / "records.jsonl"
    planted.wait_until(lambda: path.exists() and path.stat().st_size)
    # The descendants of the command are the fork server, its workers and the resource tracker.
    for pid in processes_of(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert sorted(r["seed"] for r in planted.records()) == list(range(8))
    assert {r["status"] for r in planted.records()} == {"done"}


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
    spawn_worker = local.spawn_worker
    slots: list[str] = []

    def spawn_on_failing_machine(slot: str, engine_settings: Settings):
        slots.append(slot)
        # After its first worker the slot mps:0 is a device that does not exist.
        worker = spawn_worker("cuda:7" if slot == "mps:0" and slots.count(slot) > 1 else slot, engine_settings)
        worker.slot = slot
        return worker

    monkeypatch.setattr(local, "spawn_worker", spawn_on_failing_machine)
    ((_, record),) = local.run(cells("mps", "device"), replace(settings, slots=("mps:0", "mps:1")))
    # It fails again on the other device, which still works: the failure is its own.
    assert (record.status, record.lost, record.attempts) == ("failed", False, 2)
    assert slots.count("mps:0") == 3
