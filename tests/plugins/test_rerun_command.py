"""``harness rerun`` through the real command line: the same bits, every planted change named, limits, sharing."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.cli.arguments import load
from harness.records.provenance import environment_digest

TOY = str(Path(__file__).parent.parent / "toy")

#: A task that does what its options and the files beside the plugin say; no file is in the key of its cells.
PLUGIN = '''
import os
import time
from pathlib import Path
import harness

HERE = Path(__file__).parent


def train(build, run):
    import torch

    values = torch.randn(400_000, generator=run.generator)
    if run.options["data"]:
        values = values + float((run.data("numbers"))["mean"])
    run.log(0, first=values[0])
    if (HERE / "hang").exists():
        time.sleep(600)
    if (HERE / "hoard").exists():
        hoard = torch.ones(250_000_000)
        time.sleep(60)
        del hoard
    while (HERE / "closed").exists():
        time.sleep(0.05)
    kind = run.options["kind"]
    if kind == "raises":
        raise ValueError("planted")
    noise = {"lucky": float(int.from_bytes(os.urandom(6), "big"))}
    return {"total": float(values.sum()) + noise.get(kind, 0.0)}


def read(files):
    return {"mean": float(files["numbers.txt"].read_text())}


@harness.hookimpl
def harness_methods():
    return [harness.Method(name="plain", role="again", build=lambda: None)]


@harness.hookimpl
def harness_tasks():
    options = {"kind": "steady", "data": False}
    metrics = {"total": harness.Metric("higher")}
    tasks = [harness.Task(name="again/sum", role="again", run=train, metrics=metrics, options=options)]
    return [*tasks, harness.Task(name="again/data", role="again", run=train, metrics=metrics,
            options=options, datasets=("numbers",))]


@harness.hookimpl
def harness_datasets():
    return [harness.Dataset(name="numbers", licence="CC0-1.0", load=read, files={"numbers.txt": tuple(DIGESTS)},
                            places=(harness.Place(folder=str(HERE)),))]


@harness.hookimpl
def harness_engines():
    return [harness.Engine(name="two-threads", run=two_threads)]


def two_threads(cells, settings):
    """Cells in this process on two threads, as a careless engine would run them."""
    import torch
    from harness.running.execute import execute
    from harness.records.provenance import environment, environment_digest, make_deterministic
    from harness.registry import load_registry

    registry = load_registry(settings.plugins)
    make_deterministic()
    torch.set_num_threads(2)
    try:
        content = environment()
        digest = environment_digest(content)
        settings.on_environment(digest, content)
        for cell in cells:
            yield cell, execute(cell, registry, environment=digest)
    finally:
        torch.set_num_threads(1)
'''
SUITE = 'title = "Again"\n[[cross]]\ntask = "{task}"\nmethods = ["plain"]\nseeds = {seeds}\noptions = {{ {options} }}\n'


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def recorded(harness_cli, monkeypatch):
    """Runs a suite of the plugin, and gives the ids of its records."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # The registry is kept by the plugin's path as it was given, which is the same in every test.
    load.cache_clear()
    allowed = [digest("1.0"), digest("2.0")]
    harness_cli.write("again.py", PLUGIN.replace("DIGESTS", repr(allowed)))

    def run(task="again/sum", seeds=3, options='kind = "steady"', *more):
        suite = harness_cli.write("s.toml", SUITE.format(task=task, seeds=seeds, options=options))
        harness_cli("-p", "again.py", "suite", suite, "--jobs", "1", *more)
        return [record["id"] for record in harness_cli.records]

    return run


def rerun(harness_cli, *arguments, **environment):
    ended = harness_cli("-p", "again.py", "rerun", *arguments, "--jobs", "1", "--json", **environment)
    return ended, (ended.document if ended.out else None)


def test_the_same_cell_gives_the_same_bits_and_the_record_stays_as_it_was(harness_cli, recorded):
    ids = recorded()
    path = harness_cli.folder / "results" / "records.jsonl"
    before = path.read_bytes()
    ended, document = rerun(harness_cli, *[i[:8] for i in ids])
    assert ended.code == 0, ended.err
    assert document["counts"] == {"bit-equal": 3}
    assert [outcome["record"] for outcome in document["outcomes"]] == ids
    assert path.read_bytes() == before
    again = (harness_cli.folder / "results" / "reruns" / "records.jsonl").read_text().splitlines()
    assert len(again) == 3
    assert rerun(harness_cli, "--sample", "2")[1]["counts"] == {"bit-equal": 2}
    again = (harness_cli.folder / "results" / "reruns" / "records.jsonl").read_text().splitlines()
    assert len(again) == 5, "second runs are kept too"


def test_a_task_that_is_not_deterministic_is_called_so(harness_cli, recorded):
    ids = recorded(options='kind = "lucky"', seeds=1)
    ended, document = rerun(harness_cli, *ids)
    assert ended.code == 3
    (outcome,) = document["outcomes"]
    assert outcome["outcome"] == "different"
    assert outcome["repeatable_here"] is False
    assert outcome["changed_before"] == []
    assert outcome["curves_that_differ"] == [], "only what the task returned is by chance"
    ended = harness_cli("-p", "again.py", "rerun", *ids)
    assert ended.code == 3
    assert "not deterministic" in ended.out
    assert re.search(r"total was .* is .*: off by .*, beyond the tolerance of", ended.out)


def test_a_changed_data_file_is_named_before_anything_runs(harness_cli, recorded):
    file = harness_cli.folder / "numbers.txt"
    file.write_text("1.0")
    ids = recorded("again/data", 1, "data = true")
    file.write_text("2.0")
    ended, document = rerun(harness_cli, *ids)
    assert ended.code == 3
    (outcome,) = document["outcomes"]
    assert outcome["outcome"] == "different"
    assert any("data set numbers has changed since" in change for change in outcome["changed_before"])
    assert ended.err.index("data set numbers has changed") < ended.err.index("running 1 cell again")
    assert outcome["metrics"]["total"]["after"] - outcome["metrics"]["total"]["before"] == pytest.approx(
        400_000, rel=1e-3
    )
    file.write_text("3.0")
    ended, document = rerun(harness_cli, *ids)
    assert ended.code == 1
    assert document["counts"] == {"not-run": 1}
    assert "numbers.txt has sha256" in document["outcomes"][0]["cause"]


def test_another_thread_count_is_named(harness_cli, recorded):
    ids = recorded("again/sum", 3, 'kind = "steady"', "--engine", "two-threads")
    ended, document = rerun(harness_cli, *ids)
    assert all("threads: was 2, is 1" in outcome["environment_differs"] for outcome in document["outcomes"])
    words = {outcome["outcome"] for outcome in document["outcomes"]}
    assert words <= {"bit-equal", "within tolerance"}
    assert "within tolerance" in words, "sums over two threads differ in their last digits"
    assert ended.code == 0
    out = harness_cli("-p", "again.py", "rerun", *ids).out
    assert re.search(r"why: .*threads: was 2, is 1", out)


def test_changed_code_is_named_with_its_plugin(harness_cli, recorded):
    ids = recorded(seeds=1)
    source = harness_cli.folder / "again.py"
    source.write_text(source.read_text().replace("values.sum()", "2 * values.sum()"))
    sys.modules.pop("again")
    load.cache_clear()
    ended, document = rerun(harness_cli, *ids)
    (outcome,) = document["outcomes"]
    assert ended.code == 3
    assert outcome["outcome"] == "different"
    assert "code of the plugin again has changed since" in outcome["changed_before"][0]
    assert outcome["rerun_id"] != outcome["record"]
    assert ended.err.index("code of the plugin again") < ended.err.index("running 1 cell again")


def test_a_recorded_failure_that_fails_alike_is_the_same_result(harness_cli, recorded):
    ids = recorded(options='kind = "raises"', seeds=1)
    assert harness_cli.records[0]["status"] == "failed"
    ended, document = rerun(harness_cli, *ids)
    assert ended.code == 0
    assert document["outcomes"][0]["outcome"] == "bit-equal"


def test_a_cell_that_hangs_is_stopped_by_the_time_limit(harness_cli, recorded):
    ids = recorded(seeds=1)
    (harness_cli.folder / "hang").touch()
    ended, document = rerun(harness_cli, *ids, "--timeout", "2s")
    assert ended.code == 3, ended.err
    (outcome,) = document["outcomes"]
    assert outcome["outcome"] == "different"
    assert outcome["cause"] == "status was done, is timeout: timed out after 2 s"


def test_a_cell_that_takes_too_much_memory_is_stopped_by_the_memory_limit(harness_cli, recorded):
    ids = recorded(seeds=1)
    (harness_cli.folder / "hoard").touch()
    ended, document = rerun(harness_cli, *ids, "--memory", "400M")
    assert ended.code == 3, ended.err
    (outcome,) = document["outcomes"]
    assert outcome["cause"].startswith("status was done, is failed: out of memory (limit 0.4 GB)")


def wait_for(condition, process):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_reruns_at_once_on_one_folder_share_the_cells(harness_cli, recorded):
    recorded(seeds=6)
    gate = harness_cli.folder / "closed"
    gate.touch()
    running = harness_cli.folder / "results" / "reruns" / "running"
    process = harness_cli.start("-p", "again.py", "rerun", "--sample", "6", "--jobs", "1", "--json")

    def open_gate_when_both_run_a_cell() -> None:
        try:
            wait_for(lambda: len(list(running.glob("*.lock"))) == 2, process)
        finally:
            gate.unlink()

    wait_for(lambda: list(running.glob("*.lock")), process)
    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(open_gate_when_both_run_a_cell)
        here, document = rerun(harness_cli, "--sample", "6")
    opening.result()
    out, err = process.communicate(timeout=300)
    assert (process.returncode, here.code) == (0, 0), (err, here.err)
    for counts, notes in ((json.loads(out)["counts"], err), (document["counts"], here.err)):
        assert counts == {"bit-equal": 6}
        assert "by another process" in notes
    lines = (harness_cli.folder / "results" / "reruns" / "records.jsonl").read_text().splitlines()
    assert len(lines) == 6, "each cell ran once"


def test_ctrl_c_ends_after_the_running_cells_and_says_which_did_not_run(harness_cli, recorded):
    recorded(seeds=4)
    gate = harness_cli.folder / "closed"
    gate.touch()
    running = harness_cli.folder / "results" / "reruns" / "running"
    process = harness_cli.start("-p", "again.py", "rerun", "--sample", "4", "--jobs", "1", "--json")
    wait_for(lambda: list(running.glob("*.lock")), process)
    process.send_signal(signal.SIGINT)
    while "stopping after the running cells" not in process.stderr.readline():
        pass
    gate.unlink()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    document = json.loads(out)
    assert document["counts"] == {"bit-equal": 1, "not-run": 3}
    causes = {outcome["cause"] for outcome in document["outcomes"] if outcome["outcome"] == "not-run"}
    assert causes == {"interrupted before it ran"}
    assert "Traceback" not in err
    assert len((harness_cli.folder / "results" / "reruns" / "records.jsonl").read_text().splitlines()) == 1


def test_records_of_another_machine_are_run_in_their_own_folder(harness_cli, recorded):
    recorded(seeds=1)
    results = harness_cli.folder / "results"
    elsewhere = results.rename(harness_cli.folder / "theirs")
    (environment,) = (elsewhere / "environments").glob("*.json")
    content = json.loads(environment.read_text())
    content["cpu"] = "Another Processor"
    content["packages"]["torch"] = "2.0.0"
    digest = environment_digest(content)
    records = elsewhere / "records.jsonl"
    records.write_text(records.read_text().replace(environment.stem, digest))
    environment.with_name(f"{digest}.json").write_text(json.dumps(content))
    ended, document = rerun(harness_cli, "--sample", "1", "--results", "theirs")
    assert ended.code == 0, ended.err
    (outcome,) = document["outcomes"]
    assert outcome["outcome"] == "bit-equal"
    assert any(d.startswith("cpu: was Another Processor") for d in outcome["environment_differs"])
    assert "torch was 2.0.0" in outcome["changed_before"][0]
    assert not results.exists()


def test_a_claim_is_judged_again_on_the_second_runs(harness_cli):
    harness_cli.toy("toy", "--jobs", "1")
    ended = harness_cli("-p", TOY, "rerun", "--claim", "toy/lifted-is-higher", "--jobs", "1", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["counts"] == {"bit-equal": 20}
    (verdict,) = ended.document["verdicts"]
    assert (verdict["claim"], verdict["before"], verdict["after"]) == (
        "toy/lifted-is-higher",
        "reproduced",
        "reproduced",
    )
    judged = harness_cli("-p", TOY, "claims", "toy/lifted-is-higher", "--json").document
    assert verdict["sentence_before"] == verdict["sentence_after"] == judged[0]["sentence"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to run again"),
        (["--sample", "1", "abcdef1"], "one of the three"),
        (["--sample", "1"], "there are no records"),
        (["--sample", "1", "--timeout", "soon"], "--timeout soon: a length of time is needed"),
        (["--sample", "1", "--memory", "much"], "--memory much: an amount of memory is needed"),
        (["--sample", "1", "--retries", "-1"], "--retries -1: 0 or more is needed"),
        (["--sample", "1", "--jobs", "0"], "--jobs 0: at least 1 is needed"),
        (["--claim", "no/such"], "unknown suite or claim"),
    ],
)
def test_bad_input_is_one_sentence(harness_cli, arguments, message):
    ended = harness_cli("rerun", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_an_unknown_id_comes_with_the_nearest(harness_cli, recorded):
    (first,) = recorded(seeds=1)
    ended = harness_cli("-p", "again.py", "rerun", "x" + first[1:])
    assert ended.code == 2
    assert first in ended.err
