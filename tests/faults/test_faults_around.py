"""Faults around the cells: records remain, and a resumed run gives the results of an undisturbed one."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def metrics_by_id(records):
    """The metrics of each cell by its key."""
    return {record["id"]: record["metrics"] for record in records}


def wait_for_records(planted, process, count=1, results="results"):
    """Wait until this many records are written."""
    path = planted.folder / results / "records.jsonl"
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)


def kill_at_random_moments(planted, suite, results, kills):
    """Start the suite and kill it this many times; then run it to its end."""
    moments = random.Random(results)
    for number in range(kills):
        process = planted.start(suite, "--jobs", "1", "--results", results)
        # Every fifth kill comes while cells run and records are written, the others at any time from the first import
        # on.
        after_a_record = number % 5 == 4
        if after_a_record:
            wait_for_records(planted, process, 1 + count_records(planted, results), results)
        try:
            process.communicate(timeout=moments.uniform(0.0, 0.3 if after_a_record else 2.2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    process = planted.start(suite, "--jobs", "1", "--results", results)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def count_records(planted, results):
    path = planted.folder / results / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("kills", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_suite_killed_many_times_gives_the_same_records(planted, kills):
    # Few cells end between two kills, so there are enough cells for all kills.
    suite = planted.suite("none", methods=("one", "other"), seeds=kills, seconds=0.02)
    assert planted.run(suite, "--jobs", "2", "--results", "undisturbed").code == 0
    folders = ["one", "two"]
    with ThreadPoolExecutor(len(folders)) as threads:
        list(threads.map(lambda f: kill_at_random_moments(planted, suite, f, kills // len(folders)), folders))
    for folder in folders:
        records = planted.records(folder)
        assert metrics_by_id(records) == metrics_by_id(planted.records("undisturbed"))
        assert len(records) == 2 * kills, "no cell is recorded twice"
        assert list(planted.folder.glob(f"{folder}/running/*")) == []


def test_second_ctrl_c_stops_at_once_and_finished_cells_are_recorded(planted):
    suite = planted.suite("none", "hang")
    process = planted.start(suite, "--jobs", "2")
    wait_for_records(planted, process)
    process.send_signal(signal.SIGINT)
    while "Ctrl-C again" not in process.stderr.readline():
        assert process.poll() is None, "it waits for the running cell"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "stopped at once" in err
    assert [r["status"] for r in planted.records()] == ["done"]


def test_two_runs_on_one_folder_share_the_cells(planted):
    suite = planted.suite("until-released", seeds=12, seconds=0.3)

    def release_when_both_run_a_cell() -> None:
        try:
            planted.wait_until(lambda: len(list(planted.folder.glob("results/running/*.lock"))) == 2)
        finally:
            (planted.folder / "released-here").touch()

    process = planted.start(suite, "--jobs", "1", "--json")
    with ThreadPoolExecutor(1) as threads:
        releasing = threads.submit(release_when_both_run_a_cell)
        result = planted.run(suite, "--jobs", "1", "--json")
    releasing.result()
    out, err = process.communicate(timeout=300)
    assert (process.returncode, result.code) == (0, 0), (err, result.err)
    records = planted.records()
    assert len(records) == len({r["id"] for r in records}) == 12, "no cell is recorded twice"
    counts = [json.loads(out)["cells"], result.document["cells"]]
    assert [count["done"] for count in counts] == [12, 12], "both runs have all records"
    assert sum(count["run"] for count in counts) == 12
    assert min(count["run"] for count in counts) > 2, "each run ran some cells"


@pytest.fixture
def tiny_disk(tmp_path_factory):
    """A file system of 200 kB."""
    folder = tmp_path_factory.mktemp("tiny")
    options = ["-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted without root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_stops_the_run_with_one_sentence_and_loses_no_record(planted, tiny_disk):
    suite = planted.suite("none", seeds=30)
    results = tiny_disk / "results"
    first = planted.run(suite, "--results", str(results), "--only", "seed=0,1", "--jobs", "1")
    assert first.code == 0, first.err
    before = (results / "records.jsonl").read_bytes()
    filler = tiny_disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        while True:
            try:
                stream.write(b"x" * 512)
            except OSError:
                break
    # In a process of its own, whose folder of temporary files is the test's.
    process = planted.start(suite, "--results", str(results), "--jobs", "1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "cannot be written: No space left on device" in err
    content = (results / "records.jsonl").read_bytes()
    assert content.startswith(before)
    rescued = list(planted.command_line.temporary.glob("harness-rescued-*.jsonl"))
    assert len(rescued) == 1
    assert str(rescued[0]) in err
    filler.unlink()
    last = planted.run(suite, "--results", str(results), "--jobs", "1")
    assert last.code == 0, last.err
    records = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    assert sorted(r["seed"] for r in records) == list(range(30))
    assert json.loads(rescued[0].read_text())["seed"] in range(30)


def test_deleted_results_folder_stops_the_run_and_the_last_record_is_rescued(planted):
    process = planted.start(planted.suite("none", "until-released"), "--jobs", "1")
    wait_for_records(planted, process)
    # Between two cells there would be no record to rescue.
    planted.wait_until((planted.folder / "waiting-here").exists)
    shutil.rmtree(planted.folder / "results")
    (planted.folder / "released-here").touch()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "results cannot be written: No such file or directory" in err
    (rescued,) = planted.command_line.temporary.glob("harness-rescued-*.jsonl")
    assert json.loads(rescued.read_text())["status"] == "done"


def test_plugin_that_workers_cannot_load_ends_the_run_with_its_reason(planted):
    plugin = planted.folder / "main_process_only.py"
    # The temporary files of workers lie in a folder of their own.
    plugin.write_text("import tempfile\nassert 'harness-cells-' not in tempfile.gettempdir(), 'not in a worker'\n")
    result = planted.run(planted.suite("none"), "-p", str(plugin))
    assert result.code == 2
    assert "no worker can start: cpu: " in result.err
    assert "not in a worker" in result.err
    assert "Traceback" not in result.err
