"""The engine ``ray``: the same records as the local one, on real nodes, one of which dies."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell
from harness.errors import UsageError
from harness.registry import load_registry
from harness.running.engines import Settings
from harness_plugins.cluster import driver, node

PLANTED = str(Path(__file__).parents[1] / "faults" / "planted")
SUITE = """
title = "Planted"
[[cross]]
task = "planted/fault"
methods = ["one", "other"]
seeds = {seeds}
options = {{ fault = {faults}, seconds = {seconds} }}
"""

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


def ray_environment(harness_cli: Any) -> dict[str, str]:
    """Keeps Ray inside the test's folders: its sockets need a short name, and a token would go into the home."""
    (harness_cli._short / "ray").mkdir(exist_ok=True)
    return {"RAY_TMPDIR": str(harness_cli._short), "RAY_AUTH_MODE": "disabled"}


@pytest.fixture
def suite(harness_cli):
    """Run a suite of planted faults, in a process of its own, and give how it ended."""

    def start(*arguments: str, seeds: int = 2, faults: tuple[str, ...] = ("none",), seconds: float = 0.0):
        path = harness_cli.folder / "s.toml"
        path.write_text(SUITE.format(seeds=seeds, faults=list(faults), seconds=seconds))
        environment = {"PLANTED": str(harness_cli.folder), **ray_environment(harness_cli)}
        return harness_cli.start("-p", PLANTED, "suite", str(path), *arguments, **environment)

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def records(folder: Path, results: str) -> dict[str, dict[str, Any]]:
    lines = (folder / results / "records.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


@pytest.mark.slow
def test_embedded_ray_gives_the_records_that_the_local_engine_gives(suite, harness_cli):
    faults = ("none", "raise", "segfault", "hang", "killed-once")
    code, err = ended(suite("--engine", "ray", "--jobs", "2", "--timeout", "5s", "--results", "ray", faults=faults))
    assert code == 1, err
    for flag in harness_cli.folder.glob("killed-*"):
        flag.unlink()
    ended(suite("--jobs", "2", "--timeout", "5s", "--results", "local", faults=faults))
    by_ray, by_local = records(harness_cli.folder, "ray"), records(harness_cli.folder, "local")
    told = ("status", "cause", "metrics", "attempts", "lost", "options", "seed", "environment")
    for cell, record in by_local.items():
        assert {k: by_ray[cell][k] for k in told} == {k: record[k] for k in told}
    assert by_ray.keys() == by_local.keys()


@contextlib.contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """A head without processors and so many nodes with one each: real processes on this machine."""
    # Ray puts packages of its own on the path, which other tests would take for installed ones.
    path = list(sys.path)
    from ray.cluster_utils import Cluster

    sys.path[:] = path
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": str(folder / "ray")})
    try:
        workers = [made.add_node(num_cpus=1) for _ in range(nodes)]
        made.wait_for_nodes()
        yield made, workers
    finally:
        made.shutdown()


@pytest.mark.slow
def test_a_node_that_dies_costs_another_try_and_no_cell(suite, harness_cli, monkeypatch):
    for name, value in ray_environment(harness_cli).items():
        monkeypatch.setenv(name, value)
    # On a busy machine a node may go before it has begun anything; then nothing is lost, and it is tried once more.
    for results in ("first", "second", "third"):
        with cluster(harness_cli._short, nodes=2) as (made, workers):
            process = suite("--engine", "ray", "--address", made.address, "--results", results, seeds=6, seconds=1.0)
            path = harness_cli.folder / results / "records.jsonl"
            deadline = time.monotonic() + 200
            while not (path.exists() and path.read_text().count("\n") >= 4) and time.monotonic() < deadline:
                time.sleep(0.1)
            made.remove_node(workers[0], allow_graceful=False)
            code, err = ended(process)
        assert code == 0, err
        found = records(harness_cli.folder, results).values()
        assert len(found) == 12
        assert {record["status"] for record in found} == {"done"}
        if (attempts := max(record["attempts"] for record in found)) > 1:
            break
    assert attempts == 2
    assert "is tried again: its node or the process on it was lost" in err


def test_an_address_where_no_cluster_is_gets_a_sentence(suite):
    code, err = ended(suite("--engine", "ray", "--address", "127.0.0.1:1"))
    assert code == 2
    assert "--address 127.0.0.1:1: no Ray cluster can be reached there" in err
    assert "Traceback" not in err


def test_a_node_with_other_code_or_data_refuses_the_cell():
    registry = load_registry()
    task = registry.tasks["contrastive/digits"]
    code = registry.code("infonce", task.name)

    def cell(code: str, data: str) -> Cell:
        return Cell("s", "infonce", task.name, {}, "cpu", "float32", 0, code, {"digits": data})

    with pytest.raises(UsageError, match="has other code of infonce on contrastive/digits"):
        node.check_cell(cell("0" * 16, ""), registry)
    with pytest.raises(UsageError, match="has other files of the data set digits"):
        node.check_cell(cell(code, "0" * 64), registry)


def test_a_node_that_differs_is_refused_before_anything_runs():
    class Answer:
        """Stands for Ray with one node that answers as told."""

        class exceptions:  # noqa: N801
            RayError = TimeoutError

        def __init__(self, changed: dict[str, str]) -> None:
            self.changed = changed

        def nodes(self):
            return [{"Alive": True, "NodeManagerAddress": "10.0.0.2", "NodeID": "a" * 56}]

        def remote(self, function):
            answer = self

            class Task:
                def options(self, **_):
                    return self

                def remote(self, *arguments):
                    return function(*arguments) | answer.changed

            return Task()

        def get(self, found, timeout):
            assert timeout > 0
            return found

    registry = load_registry()
    code = registry.code("infonce", "contrastive/digits")
    cell = Cell("s", "infonce", "contrastive/digits", {}, "cpu", "float32", 0, code)
    driver._check_nodes(Answer({}), [cell], Settings())
    with pytest.raises(UsageError, match=r"node 10.0.0.2 would compute something else: torch is 1.0 there and 2\."):
        driver._check_nodes(Answer({"torch": "1.0"}), [cell], Settings())
