"""Whatever a cell does, it costs that cell alone and leaves a record with its cause."""

from __future__ import annotations

import time

import pytest

#: What the record of each fault says: status, and a part of its cause.
EXPECTED = {
    "none": ("done", None),
    "clock": ("done", None),
    "raise": ("failed", "ValueError: planted (__init__.py:"),
    "raise-surrogate": ("failed", "half a pair: ?"),
    "raise-speechless": ("failed", "Speechless: its message cannot be printed"),
    "raise-base-exception": ("failed", "BaseException: planted"),
    "sys.exit": ("failed", "it called sys.exit(3)"),
    "os._exit": ("crashed", "ended with exit status 3"),
    "segfault": ("crashed", "killed by SIGSEGV"),
    "abort": ("crashed", "killed by SIGABRT"),
    "hang": ("timeout", "past its limit of 3 s"),
    "hang-deaf": ("timeout", "past its limit of 3 s"),
    "nan": ("failed", "total = nan is not finite"),
    "infinite": ("failed", "total = inf is not finite"),
    "forget": ("failed", "did not return the metric it promises: noise"),
    "invent": ("failed", "unknown metric returned by planted/fault: 'totl'; did you mean 'total'?"),
    "no-number": ("failed", "is not a number"),
    "no-mapping": ("failed", "returned int, not a mapping"),
}


def test_every_fault_costs_its_own_cell_and_names_its_cause(planted):
    suite = planted.suite(*EXPECTED)
    ended = planted.run(suite, "--jobs", "2", "--timeout", "3s", "--json")
    assert ended.returncode == 1, ended.stderr
    found = planted.by_fault()
    assert {fault: record["status"] for fault, record in found.items()} == {f: s for f, (s, _) in EXPECTED.items()}
    for fault, (_, cause) in EXPECTED.items():
        assert (cause or "") in (found[fault]["cause"] or ""), fault
    assert not any(record["lost"] for record in found.values()), "all of these are the method's own doing"
    assert {record["attempts"] for record in found.values()} == {1}
    assert found["os._exit"]["output"] == "last words"
    assert "Traceback" in found["raise"]["output"]
    assert found["hang-deaf"]["seconds"] < 20
    assert planted.run(suite, "--timeout", "3s").returncode == 1
    assert len(planted.records()) == len(EXPECTED), "a method's own failure stays until --retry-failed"


def test_a_hang_is_ended_with_everything_it_started(planted, running):
    ended = planted.run(planted.suite("hang-with-children", "none"), "--jobs", "1", "--timeout", "3s")
    assert ended.returncode == 1
    assert {f: r["status"] for f, r in planted.by_fault().items()} == {"hang-with-children": "timeout", "none": "done"}
    pids = list(map(int, (planted.folder / "pids").read_text().split()))
    assert len(pids) == 3
    assert not any(running(pid) for pid in pids)


def test_a_process_left_behind_ends_with_its_cell(planted, running):
    with planted.start(planted.suite("leave-children", "hang"), "--jobs", "1", "--timeout", "60s") as process:
        deadline = time.monotonic() + 60
        while not planted.folder.joinpath("results", "records.jsonl").exists() or not planted.records():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = int((planted.folder / "pids").read_text())
        while running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not running(pid), "the next cell runs on a machine that is its own"
        process.kill()


def test_a_worker_whose_child_holds_its_pipe_is_missed_all_the_same(planted):
    planted.run(planted.suite("die-with-children", "none"), "--jobs", "1", "--timeout", "60s", timeout=40)
    found = planted.by_fault()
    assert found["die-with-children"]["status"] == "crashed"
    assert "exit status 3" in found["die-with-children"]["cause"]
    assert found["none"]["status"] == "done"


@pytest.mark.parametrize("fault", ["memory-numpy", "memory-torch"])
def test_a_cell_past_its_memory_limit_fails_where_it_asked_for_more(planted, fault):
    ended = planted.run(planted.suite(fault, "none"), "--memory", "1G", "--timeout", "50s")
    assert ended.returncode == 1
    found = planted.by_fault()
    assert found[fault]["status"] == "failed"
    assert found[fault]["cause"].startswith("out of memory (its limit is 1 GB)")
    assert "Traceback" in found[fault]["output"]
    assert found["none"]["status"] == "done"


def test_processes_of_a_cell_count_together_against_its_memory_limit(planted):
    planted.run(planted.suite("memory-children"), "--memory", "0.5G", "--timeout", "50s")
    (record,) = planted.records()
    assert record["status"] == "crashed"
    assert record["cause"].startswith("out of memory: its processes held 0.")
    assert "its limit is 0.5 GB" in record["cause"]


def test_without_a_limit_the_same_cell_gets_its_memory(planted):
    planted.run(planted.suite("memory-torch"), "--timeout", "3s")
    assert planted.records()[0]["status"] == "timeout", "it got what it asked for and slept on it"


def test_a_flood_of_output_is_kept_off_the_disk_and_its_end_kept(planted):
    process = planted.start(planted.suite("flood"))
    folder = planted.command_line._short
    most = 0
    while process.poll() is None:
        sizes = []
        for path in folder.glob("**/*.out"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        most = max([most, *sizes])
        time.sleep(0.02)
    process.communicate()
    (record,) = planted.records()
    assert record["status"] == "done"
    assert record["output"].endswith("the end of the flood")
    assert "MB left out" in record["output"]
    assert len(record["output"]) < 5000
    assert most < 40e6
    assert list(folder.glob("**/*.out")) == []
