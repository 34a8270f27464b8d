"""``harness suite`` through the real command line: runs, resumed runs, failures, interruptions."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.cell import Cell

TOY = str(Path(__file__).parent / "toy")
FAULTS = """
title = "Faults"
[[cross]]
task = "toy/total"
methods = ["plain"]
options = {{ mode = {modes} }}
"""


def test_suite_runs_judges_and_records(harness_cli):
    result = harness_cli.toy("toy", "--jobs", "2", "--json")
    assert result.code == 0, result.err
    document = result.document
    assert document["cells"] == {
        "planned": 20, "run": 20, "done": 20, "failed": 0, "timeout": 0, "crashed": 0, "skipped": 0,
    }  # fmt: skip
    verdicts = {v["claim"]: v["verdict"] for v in document["verdicts"]}
    assert verdicts == {
        "toy/lifted-is-higher": "reproduced",
        "toy/plain-is-higher": "contradicted",
        "toy/no-violations": "reproduced",
    }
    assert len(harness_cli.records) == 20
    record = harness_cli.records[0]
    assert record["status"] == "done"
    assert record["cause"] is None
    assert (harness_cli.folder / "results" / "environments" / f"{record['environment']}.json").exists()
    assert len(record["curves"]["norm"]) == 20
    assert record["peak_bytes"] >= 0
    assert record["started"] < record["finished"]


def test_second_run_runs_nothing_and_fresh_runs_everything(harness_cli):
    harness_cli.toy("toy", "--only", "seed=0")
    assert harness_cli.toy("toy", "--only", "seed=0", "--json").document["cells"]["run"] == 0
    assert harness_cli.toy("toy", "--json").document["cells"]["run"] == 16
    assert harness_cli.toy("toy", "--only", "seed=0", "--fresh", "--json").document["cells"]["run"] == 4
    first, again = harness_cli.records[:4], harness_cli.records[-4:]
    assert {r["id"]: r["metrics"] for r in first} == {r["id"]: r["metrics"] for r in again}


def test_failure_remains_until_it_is_retried(harness_cli):
    suite = harness_cli.write("flag.toml", FAULTS.format(modes=["flag"]))
    flag = harness_cli.folder / "flag"
    assert harness_cli.toy(suite, TOY_FLAG=str(flag)).code == 1
    flag.touch()
    second = harness_cli.toy(suite, TOY_FLAG=str(flag))
    assert second.code == 1
    assert "--retry-failed" in second.err
    assert harness_cli.toy(suite, "--retry-failed", TOY_FLAG=str(flag)).code == 0
    assert [r["status"] for r in harness_cli.records] == ["failed", "done"]


def test_cell_with_missing_data_is_skipped_with_advice_to_get_them(harness_cli):
    suite = harness_cli.write("s.toml", FAULTS.format(modes=["ok"]).replace("toy/total", "toy/absent"))
    result = harness_cli.toy(suite)
    assert result.code == 0
    assert "pip install no-such-package" in result.err
    assert harness_cli.records[0]["status"] == "skipped"
    assert "nothing to run, 1 skipped; records in" in " ".join(result.out.split())
    again = harness_cli.toy(suite)
    assert "nothing to run, 1 skipped; records in" in " ".join(again.out.split())
    assert len(harness_cli.records) == 1, "an unchanged reason is recorded once"


def test_cell_that_lacks_something_when_it_runs_is_skipped_and_tried_again(harness_cli):
    suite = harness_cli.write("s.toml", MISSING)
    plugin = harness_cli.write("needs_more.py", NEEDS_MORE)
    result = harness_cli.toy(suite, "-p", plugin)
    assert result.code == 0, result.err
    assert "skipped 1 cell: a package is needed" in result.err
    assert [r["status"] for r in harness_cli.records] == ["skipped"]
    assert harness_cli.toy(suite, "-p", plugin, "--json", PACKAGE="here").document["cells"]["done"] == 1


MISSING = """
title = "T"
[[cross]]
task = "toy/total"
methods = ["needy"]
"""
NEEDS_MORE = """
import os
import harness
from harness.errors import CannotRunHere
def build():
    if "PACKAGE" not in os.environ:
        raise CannotRunHere("a package is needed")
    return abs
@harness.hookimpl
def harness_methods():
    return [harness.Method(name="needy", role="toy", build=build)]
"""


def test_closed_output_pipe_is_no_failure(harness_cli):
    with harness_cli.start("list", "methods") as started:
        assert started.stdout is not None
        started.stdout.close()
        assert started.wait(300) == 0


def test_only_selects_cells_and_the_whole_suite_is_judged(harness_cli):
    harness_cli.toy("toy")
    result = harness_cli.toy("toy", "--only", "method=pl*", "--only", "slope=1", "--only", "seed=0,1", "--json")
    assert result.document["cells"]["planned"] == 2
    assert result.document["verdicts"][0]["verdict"] == "reproduced"


def test_until_decided_adds_seeds_only_for_undecided_claims(harness_cli):
    result = harness_cli.toy("toy", "--until-decided", "--json")
    assert {r["seed"] for r in harness_cli.records} == set(range(5)), "both claims are decided at the first look"
    assert result.document["verdicts"][0]["alpha"] == pytest.approx(0.035)
    open_claim = """
[[claim]]
id = "more/undecided"
says = "the mean of the noise is zero"
source = { article = "tests" }
test = { kind = "reaches", metric = "noise", task = "toy/total", method = "plain", value = 0.0, tol = 1e-9 }
"""
    plugin = harness_cli.write(
        "more.py",
        "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
        "    return [pathlib.Path(__file__).parent / 'more.toml']\n",
    )
    harness_cli.write("more.toml", open_claim)
    suite = harness_cli.write(
        "open.toml",
        'title = "Open"\nclaims = ["more/*"]\n'
        '[[cross]]\ntask = "toy/total"\nmethods = ["plain", "lifted"]\nseeds = 5\n',
    )
    result = harness_cli.toy(suite, "-p", plugin, "--until-decided", "--results", "open", "--json")
    assert result.code == 0, result.err
    seeds: dict[str, set[int]] = {}
    for record in result.document["records"]:
        seeds.setdefault(record["method"], set()).add(record["seed"])
    assert seeds["plain"] > seeds["lifted"] == set(range(5))


def test_looks_use_seeds_in_their_order_and_every_command_shows_the_first_that_decides(harness_cli):
    harness_cli.write(
        "mean.toml",
        """
[[claim]]
id = "mean/noise"
says = "the mean is less than a thousand"
source = { article = "tests" }
test = { kind = "reaches", metric = "noise", task = "toy/total", method = "plain", value = 0.0, tol = 1000.0 }
""",
    )
    plugin = harness_cli.write(
        "mean.py",
        "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
        "    return [pathlib.Path(__file__).parent / 'mean.toml']\n",
    )
    suite = harness_cli.write(
        "noise.toml",
        'title = "N"\nclaims = ["mean/*"]\n[[cross]]\ntask = "toy/total"\nmethods = ["plain"]\nseeds = 5\n',
    )
    harness_cli.toy(suite, "-p", plugin, "--seeds", "10", "--only", "seed=9")
    harness_cli.toy(suite, "-p", plugin, "--seeds", "10", "--jobs", "1")
    noise = {r["seed"]: r["metrics"]["noise"] for r in harness_cli.records}
    toy = str(Path(__file__).parent / "toy")
    assert set(noise) == set(range(10))
    judged = harness_cli("-p", toy, "-p", plugin, "claims", suite, "--json").document
    assert judged[0]["n"] == 5
    assert judged[0]["estimate"] == pytest.approx(sum(noise[seed] for seed in range(5)) / 5)
    assert harness_cli.toy(suite, "-p", plugin, "--json").document["verdicts"][0]["sentence"] == judged[0]["sentence"]


def test_plan_prints_the_cells_and_runs_none(harness_cli):
    before = harness_cli.toy("toy", "--plan", "--json").document
    assert before["to_run"] == len(before["cells"]) == 20
    assert before["estimated_seconds"] is None
    assert not (harness_cli.folder / "results").exists()
    harness_cli.toy("toy", "--only", "seed=0")
    after = harness_cli.toy("toy", "--plan", "--json").document
    assert after["to_run"] == 16
    assert after["estimated_seconds"] > 0
    assert {c["state"] for c in after["cells"]} == {"done", "run"}


def start_suite_with_a_gate(harness_cli) -> tuple[subprocess.Popen[str], Path]:
    """Start 12 cells, of which all but the first wait for a file; return, with its path, when a record is written."""
    suite = harness_cli.write(
        "gate.toml",
        'title = "Gate"\n[[cross]]\ntask = "toy/total"\nmethods = ["plain"]\nseeds = 12\noptions = { mode = "gate" }\n',
    )
    gate = harness_cli.folder / "gate"
    process = harness_cli.start("-p", TOY, "suite", suite, "--jobs", "2", TOY_FLAG=str(gate))
    records = harness_cli.folder / "results" / "records.jsonl"
    deadline = time.monotonic() + 300
    while not (records.exists() and records.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, gate


def test_ctrl_c_lets_running_cells_finish_and_a_second_run_completes_the_suite(harness_cli):
    process, gate = start_suite_with_a_gate(harness_cli)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Ctrl-C again" not in process.stderr.readline():
        pass
    gate.touch()
    process.communicate(timeout=300)
    assert process.returncode == 130
    finished = harness_cli.records
    assert 0 < len(finished) <= 3, "one had finished, and two were running"
    assert all(r["status"] == "done" for r in finished)
    document = harness_cli.toy("gate.toml", "--json", TOY_FLAG=str(gate)).document
    assert document["cells"]["run"] == 12 - len(finished)
    assert document["cells"]["done"] == 12


def test_killed_parent_loses_only_running_cells_and_leaves_no_worker(harness_cli):
    process, gate = start_suite_with_a_gate(harness_cli)
    process.kill()
    process.communicate(timeout=300)
    finished = len(harness_cli.records)
    gate.touch()
    time.sleep(1.0)
    assert len(harness_cli.records) == finished, "no worker continues without its parent"
    with (harness_cli.folder / "results" / "records.jsonl").open("a") as stream:
        stream.write('{"schema": 1, "id": "torn')
    document = harness_cli.toy("gate.toml", "--json", TOY_FLAG=str(gate)).document
    assert document["cells"]["run"] == 12 - finished
    assert document["cells"]["done"] == 12
    assert len(harness_cli.records) == 12, "the torn line was removed"


def claims(harness_cli, *arguments: str):
    return harness_cli("-p", TOY, "claims", "toy", *arguments, "--json")


def test_claims_gives_the_verdicts_of_the_suite_from_the_records(harness_cli):
    of_suite = harness_cli.toy("toy", "--json").document["verdicts"]
    of_claims = [{k: v for k, v in verdict.items() if k != "suite"} for verdict in claims(harness_cli).document]
    assert of_claims == of_suite
    assert harness_cli("-p", TOY, "claims", "toy/no-*", "--require", "reproduced").code == 0
    assert harness_cli("-p", TOY, "claims", "toy", "--require", "reproduced").code == 3
    assert harness_cli("-p", TOY, "claims", "toy", "--require", "reproduced", "--results", "empty").code == 3


def test_claims_uses_the_seeds_that_have_records(harness_cli):
    harness_cli.toy("toy", "--seeds", "3")
    by_claim = {v["claim"]: v for v in claims(harness_cli).document}
    assert {v["n"] for v in by_claim.values()} == {3}
    assert by_claim["toy/lifted-is-higher"]["verdict"] == "inconclusive"
    assert by_claim["toy/lifted-is-higher"]["cause"] == "3 seeds, and the first look is at 5"
    harness_cli.toy("toy", "--seeds", "6")
    by_claim = {v["claim"]: v for v in claims(harness_cli).document}
    assert (by_claim["toy/lifted-is-higher"]["n"], by_claim["toy/lifted-is-higher"]["verdict"]) == (5, "reproduced")
    assert by_claim["toy/no-violations"]["n"] == 6


def test_records_of_other_code_are_judged_with_a_note_but_not_resumed(harness_cli):
    harness_cli.toy("toy")
    path = harness_cli.folder / "results" / "records.jsonl"
    of_other_code = []
    for record in harness_cli.records:
        record["code"] = "0" * 16
        key = [
            record[name] for name in ("suite", "method", "task", "options", "device", "dtype", "seed", "code", "data")
        ]
        of_other_code.append(record | {"id": Cell(*key).id})
    path.write_text("".join(json.dumps(record) + "\n" for record in of_other_code))
    judged = claims(harness_cli)
    assert {v["verdict"] for v in judged.document} == {"reproduced", "contradicted"}
    assert "20 records of toy come from other code" in judged.err
    assert harness_cli.toy("toy", "--plan", "--json").document["to_run"] == 20


def test_running_cell_ends_with_its_killed_parent(harness_cli):
    flag = harness_cli.folder / "pid"
    suite = harness_cli.write("pid.toml", FAULTS.format(modes=["pid"]))
    with harness_cli.start("-p", TOY, "suite", suite, TOY_FLAG=str(flag)) as process:
        deadline = time.monotonic() + 300
        while not (flag.exists() and flag.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    while running(flag.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(flag.read_text())


def running(process: str) -> bool:
    """Whether a process exists and is no zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", process], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_claims_warn_of_a_torn_last_record(harness_cli):
    assert harness_cli.toy("toy", "--only", "seed=0").code == 0
    path = harness_cli.folder / "results" / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    ended = harness_cli("-p", TOY, "claims", "toy")
    assert ended.code == 0
    assert ended.err.count("the last line is torn") == 1
