"""A fault in a cell affects only that cell, whose record has the cause."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

#: Status and a part of the cause in the record of each fault.
EXPECTED = {
    "none": ("done", None),
    "clock": ("done", None),
    "raise": ("failed", "ValueError: planted (__init__.py:"),
    "raise-surrogate": ("failed", "half a pair: ?"),
    "raise-speechless": ("failed", "Speechless: its message cannot be printed"),
    "raise-base-exception": ("failed", "BaseException: planted"),
    "sys.exit": ("failed", "called sys.exit(3)"),
    "os._exit": ("crashed", "ended with exit status 3"),
    "segfault": ("crashed", "killed by SIGSEGV"),
    "abort": ("crashed", "killed by SIGABRT"),
    "hang": ("timeout", "timed out after 3 s"),
    "hang-deaf": ("timeout", "timed out after 3 s"),
    "nan": ("failed", "total = nan is not finite"),
    "infinite": ("failed", "total = inf is not finite"),
    "forget": ("failed", "did not return the metric it promises: noise"),
    "invent": ("failed", "unknown metric returned by planted/fault: 'totl'; did you mean 'total'?"),
    "no-number": ("failed", "is not a number"),
    "no-mapping": ("failed", "returned int, not a mapping"),
}


def test_every_fault_affects_its_own_cell_and_its_cause_is_recorded(planted):
    suite = planted.suite(*EXPECTED)
    result = planted.run(suite, "--jobs", "2", "--timeout", "3s", "--json")
    assert result.code == 1, result.err
    records = planted.by_fault()
    assert {fault: record["status"] for fault, record in records.items()} == {f: s for f, (s, _) in EXPECTED.items()}
    for fault, (_, cause) in EXPECTED.items():
        assert (cause or "") in (records[fault]["cause"] or ""), fault
    assert not any(record["lost"] for record in records.values()), "the method itself caused all of these"
    assert {record["attempts"] for record in records.values()} == {1}
    assert records["os._exit"]["output"] == "last words"
    assert "Traceback" in records["raise"]["output"]
    assert records["hang-deaf"]["seconds"] < 20
    assert planted.run(suite, "--timeout", "3s").code == 1
    assert len(planted.records()) == len(EXPECTED), "a method's own failure stays until --retry-failed"


def test_hanging_cell_is_killed_with_all_processes_it_started(planted, running):
    result = planted.run(planted.suite("hang-with-children", "none"), "--jobs", "1", "--timeout", "3s")
    assert result.code == 1
    assert {f: r["status"] for f, r in planted.by_fault().items()} == {"hang-with-children": "timeout", "none": "done"}
    pids = list(map(int, (planted.folder / "pids").read_text().split()))
    assert len(pids) == 3
    assert not any(running(pid) for pid in pids)


def test_process_that_a_cell_leaves_behind_is_killed_with_the_cell(planted, running):
    with planted.start(planted.suite("leave-children", "hang"), "--jobs", "1", "--timeout", "10m") as process:
        path = planted.folder / "results" / "records.jsonl"
        planted.wait_until(lambda: path.exists() and planted.records())
        pid = int((planted.folder / "pids").read_text())
        # No process of an earlier cell runs beside the next one.
        planted.wait_until(lambda: not running(pid))
        process.kill()


def test_death_of_a_worker_is_detected_although_a_child_holds_its_pipe(planted):
    planted.run(planted.suite("die-with-children", "none"), "--jobs", "1", "--timeout", "60s")
    records = planted.by_fault()
    assert records["die-with-children"]["status"] == "crashed"
    assert "exit status 3" in records["die-with-children"]["cause"]
    assert records["none"]["status"] == "done"


@pytest.mark.parametrize("fault", ["memory-numpy", "memory-torch"])
def test_cell_fails_at_the_allocation_that_exceeds_its_memory_limit(planted, fault):
    result = planted.run(planted.suite(fault, "none"), "--memory", "1G", "--timeout", "50s")
    assert result.code == 1
    records = planted.by_fault()
    assert records[fault]["status"] == "failed"
    assert records[fault]["cause"].startswith("out of memory (limit 1 GB)")
    assert "Traceback" in records[fault]["output"]
    assert records["none"]["status"] == "done"


def test_memory_limit_applies_to_all_processes_of_a_cell_together(planted):
    planted.run(planted.suite("memory-children"), "--memory", "0.5G", "--timeout", "50s")
    (record,) = planted.records()
    assert record["status"] == "crashed"
    assert record["cause"].startswith("out of memory: its processes held 0.")
    assert "(limit 0.5 GB)" in record["cause"]


def test_cell_gets_its_memory_without_a_limit(planted):
    planted.run(planted.suite("memory-torch"), "--timeout", "3s")
    assert planted.records()[0]["status"] == "timeout", "it got its memory and slept until the time limit"


def test_idle_forks_of_a_cell_hold_no_memory(planted):
    result = planted.run(planted.suite("idle-forks"), "--memory", "0.3G", "--timeout", "50s")
    assert result.code == 0, planted.records()[0]["cause"]


def test_flood_of_output_is_truncated_on_disk_and_its_end_recorded(planted, processes_of):
    process = planted.start(planted.suite("flood"))
    largest = 0
    while process.poll() is None:
        for pid in processes_of(process.pid):
            # The file of a process's output has no name.
            with contextlib.suppress(OSError):
                largest = max(largest, Path(f"/proc/{pid}/fd/1").stat().st_size)
        time.sleep(0.02)
    process.communicate()
    (record,) = planted.records()
    assert record["status"] == "done"
    assert record["output"].endswith("the end of the flood")
    assert "MB left out" in record["output"]
    assert len(record["output"]) < 5000
    assert 0 < largest < 40e6
    assert list(planted.command_line.temporary.glob("harness*")) == []
