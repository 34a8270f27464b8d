"""A cell lost with its worker is tried again; a device that does not work takes itself out, not the suite down."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cell import Cell
from harness.errors import HarnessError
from harness.registry import load_registry
from harness.running.engines import Settings, local

PLANTED = str(Path(__file__).parent / "planted")


def test_a_cell_killed_from_outside_is_tried_again(planted):
    ended = planted.run(planted.suite("killed-once", seeds=3), "--jobs", "2")
    assert ended.returncode == 0, ended.stderr
    assert [(r["status"], r["attempts"]) for r in planted.records()] == [("done", 2)] * 3
    assert ended.stderr.count("is tried again: its worker process was killed by SIGKILL from outside") == 3


def test_a_cell_that_is_always_killed_is_given_up_after_its_retries_and_tried_again_next_time(planted):
    suite = planted.suite("killed")
    assert planted.run(suite, "--retries", "1").returncode == 1
    (record,) = planted.records()
    assert (record["status"], record["lost"], record["attempts"]) == ("crashed", True, 2)
    assert planted.run(suite, "--retries", "0").returncode == 1
    assert [r["attempts"] for r in planted.records()] == [2, 1]


def test_the_server_of_workers_may_be_killed_too(planted, processes_of):
    process = planted.start(planted.suite("none", seeds=8, seconds=0.5), "--jobs", "2")
    path = planted.folder / "results" / "records.jsonl"
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Everything below the command is the server, its workers, and the tracker of resources.
    for pid in processes_of(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert sorted(r["seed"] for r in planted.records()) == list(range(8))
    assert {r["status"] for r in planted.records()} == {"done"}


def cells(device: str, *faults: str) -> list[Cell]:
    options = {"seconds": 0.2}
    return [
        Cell("s", "one", "planted/fault", {**options, "fault": fault}, device, "float32", seed, "code")
        for seed, fault in enumerate(faults)
    ]


@pytest.fixture
def settings():
    load_registry([PLANTED])
    yield Settings(plugins=(PLANTED,), slots=("mps:0", "mps:1"))


def test_each_slot_has_one_worker_and_the_rest_of_the_cells_queue(settings):
    running: list[str] = []
    most = 0

    def on_start(cell: Cell) -> None:
        nonlocal most
        running.append(cell.id)
        most = max(most, len(running))

    ended = []
    for cell, record in local.run(cells("mps", *["none"] * 7), replace(settings, on_start=on_start)):
        running.remove(cell.id)
        ended.append(record.status)
    assert ended == ["done"] * 7
    assert most == 2


def test_a_device_that_cannot_be_used_is_given_up_and_the_others_go_on(settings):
    # There is no CUDA here, so that no worker for this slot can start.
    planned = [*cells("cuda", "none", "none"), *cells("mps", *["none"] * 4)]
    found = list(local.run(planned, replace(settings, slots=("cuda:7", "mps:0"))))
    by_device = {kind: [r for c, r in found if c.device == kind] for kind in ("cuda", "mps")}
    assert [r.status for r in by_device["mps"]] == ["done"] * 4
    assert [(r.status, r.lost) for r in by_device["cuda"]] == [("crashed", True)] * 2
    assert "no cuda device is left: cuda:7: " in by_device["cuda"][0].cause


def test_where_no_worker_can_start_at_all_the_run_ends_with_the_reason(settings):
    with pytest.raises(HarnessError, match="no worker can start: cuda:7: "):
        list(local.run(cells("cuda", "none"), replace(settings, slots=("cuda:7",))))


def test_a_failure_that_looks_like_the_devices_is_the_methods_own_where_the_device_still_works(settings):
    found = list(local.run(cells("mps", "device", "none", "none"), replace(settings, slots=("mps:0",))))
    assert sorted((r.status, r.lost) for _, r in found) == [("done", False), ("done", False), ("failed", False)]
    assert next(r for _, r in found if r.status == "failed").attempts == 1


def test_a_failure_that_looks_like_the_devices_is_tried_elsewhere_where_the_device_is_gone(settings, monkeypatch):
    hire = local.hire
    hired: list[str] = []

    def on_a_dying_machine(slot: str, found: Settings):
        hired.append(slot)
        # After its first worker the slot mps:0 stands for a device that is not there.
        worker = hire("cuda:7" if slot == "mps:0" and hired.count(slot) > 1 else slot, found)
        worker.slot = slot
        return worker

    monkeypatch.setattr(local, "hire", on_a_dying_machine)
    (pair,) = local.run(cells("mps", "device"), replace(settings, slots=("mps:0", "mps:1")))
    # On the other device it fails again, and that one still works: its own failure.
    assert (pair[1].status, pair[1].lost, pair[1].attempts) == ("failed", False, 2)
    assert hired.count("mps:0") == 3
