"""Whatever happens around the cells, what was recorded stays, and resuming gives what an undisturbed run gives."""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


def table(records):
    """What a table is made of: each cell's metrics, by its key."""
    return {record["id"]: record["metrics"] for record in records}


def begun(planted, process, count=1, results="results"):
    """Wait until so many records are written."""
    path = planted.folder / results / "records.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)


def kill_at_random_moments(planted, suite, results, kills):
    """Start the suite and kill it, again and again; then let it end."""
    moments = random.Random(results)
    for number in range(kills):
        process = planted.start(suite, "--jobs", "1", "--results", results)
        # Every fifth kill comes surely while cells run and records are written, the others anywhere from the first
        # import on.
        surely = number % 5 == 4
        if surely:
            begun(planted, process, 1 + written(planted, results), results)
        try:
            process.communicate(timeout=moments.uniform(0.0, 0.3 if surely else 2.2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    return planted.run(suite, "--jobs", "1", "--results", results, timeout=300)


def written(planted, results):
    path = planted.folder / results / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("kills", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_comes_to_the_same_table(planted, kills):
    # Each kill costs what runs, and few cells end between two kills: there is work left for all of them.
    suite = planted.suite("none", methods=("one", "other"), seeds=kills, seconds=0.02)
    undisturbed = planted.run(suite, "--jobs", "2", "--results", "undisturbed", timeout=300)
    assert undisturbed.returncode == 0
    folders = ["one", "two"]
    with ThreadPoolExecutor(len(folders)) as threads:
        final = list(threads.map(lambda f: kill_at_random_moments(planted, suite, f, kills // len(folders)), folders))
    for ended, folder in zip(final, folders, strict=True):
        assert ended.returncode == 0, ended.stderr
        found = planted.records(folder)
        assert table(found) == table(planted.records("undisturbed"))
        assert len(found) == 2 * kills, "no cell is recorded twice"
        assert list(planted.folder.glob(f"{folder}/running/*")) == []


def test_ctrl_c_twice_stops_at_once_and_what_finished_is_kept(planted):
    suite = planted.suite("none", seeds=4, seconds=0.2)
    slow = planted.suite("none", seeds=4, seconds=30.0)
    Path(slow).write_text(Path(suite).read_text().replace("seconds = 30.0", "seconds = [0.0, 30.0]"))
    process = planted.start(slow, "--jobs", "2", "--only", "seed=0")
    begun(planted, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "it waits for the cell that runs"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopped at once" in err
    assert [r["status"] for r in planted.records()] == ["done"]


def test_two_suites_at_once_on_one_folder_share_the_cells(planted):
    suite = planted.suite("none", seeds=12, seconds=0.3)
    both = [planted.start(suite, "--jobs", "1", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], [err for _, err in ended]
    records = planted.records()
    assert len(records) == len({r["id"] for r in records}) == 12, "no cell is recorded twice"
    counts = [json.loads(out)["cells"] for out, _ in ended]
    assert [count["done"] for count in counts] == [12, 12], "both see all of them"
    assert sum(count["run"] for count in counts) == 12
    assert min(count["run"] for count in counts) > 2, "and each did its part"


@pytest.fixture
def tiny_disk(tmp_path_factory):
    """A file system of 200 kB."""
    folder = tmp_path_factory.mktemp("tiny")
    options = ["-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted without root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_run_with_a_sentence_and_loses_nothing(planted, tiny_disk):
    suite = planted.suite("none", seeds=30)
    results = tiny_disk / "results"
    whole = planted.run(suite, "--results", str(results), "--only", "seed=0,1", "--jobs", "1")
    assert whole.returncode == 0, whole.stderr
    before = (results / "records.jsonl").read_bytes()
    filler = tiny_disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        while True:
            try:
                stream.write(b"x" * 512)
            except OSError:
                break
    ended = planted.run(suite, "--results", str(results), "--jobs", "1")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "cannot be written: No space left on device" in ended.stderr
    content = (results / "records.jsonl").read_bytes()
    assert content.startswith(before)
    rescued = list(planted.command_line._short.glob("harness-rescued-*.jsonl"))
    assert len(rescued) == 1
    assert str(rescued[0]) in ended.stderr
    filler.unlink()
    again = planted.run(suite, "--results", str(results), "--jobs", "1")
    assert again.returncode == 0, again.stderr
    found = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    assert sorted(r["seed"] for r in found) == list(range(30))
    assert json.loads(rescued[0].read_text())["seed"] in range(30)


def age(path):
    """Seconds since a file was written; endless for one that is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def test_a_results_folder_that_vanishes_stops_the_run_and_the_last_record_is_rescued(planted):
    process = planted.start(planted.suite("none", seeds=20, seconds=1.0), "--jobs", "1")
    begun(planted, process)
    # One that began a moment ago: where none runs, there is no record that could be lost.
    while not any(age(path) < 0.5 for path in planted.folder.glob("results/running/*")):
        assert process.poll() is None
        time.sleep(0.01)
    shutil.rmtree(planted.folder / "results")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "results cannot be written: No such file or directory" in err
    (rescued,) = planted.command_line._short.glob("harness-rescued-*.jsonl")
    assert json.loads(rescued.read_text())["status"] == "done"


def test_a_plugin_that_workers_cannot_load_ends_the_run_with_its_reason(planted):
    plugin = planted.folder / "shy.py"
    plugin.write_text("import multiprocessing\nassert multiprocessing.parent_process() is None, 'not in a worker'\n")
    ended = planted.run(planted.suite("none"), "-p", str(plugin))
    assert ended.returncode == 2
    assert "no worker can start: cpu: " in ended.stderr
    assert "not in a worker" in ended.stderr
    assert "Traceback" not in ended.stderr
