"""The engine ``ray``: the same records as the local one, on real nodes, one of which dies."""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell
from harness.errors import UsageError
from harness.registry import load_registry
from harness.running.engines import Settings
from harness.spec import file_digest
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
    (harness_cli.temporary / "ray").mkdir(exist_ok=True)
    return {"RAY_TMPDIR": str(harness_cli.temporary), "RAY_AUTH_MODE": "disabled"}


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


def environments(folder: Path, results: str) -> list[dict[str, Any]]:
    """What the cells ran in, but for the state of the checkout, which somebody may edit meanwhile."""
    contents = [json.loads(path.read_text()) for path in (folder / results / "environments").glob("*.json")]
    return [{name: value for name, value in content.items() if name != "source"} for content in contents]


@pytest.mark.slow
def test_embedded_ray_gives_the_records_that_the_local_engine_gives(suite, harness_cli):
    faults = ("none", "raise", "segfault", "hang", "killed-once", "items_good")
    code, err = ended(suite("--engine", "ray", "--jobs", "2", "--timeout", "5s", "--results", "ray", faults=faults))
    assert code == 1, err
    for flag in harness_cli.folder.glob("killed-*"):
        flag.unlink()
    ended(suite("--jobs", "2", "--timeout", "5s", "--results", "local", faults=faults))
    by_ray, by_local = records(harness_cli.folder, "ray"), records(harness_cli.folder, "local")
    fields = ("status", "cause", "metrics", "items", "attempts", "lost", "options", "seed")
    for cell, record in by_local.items():
        assert {k: by_ray[cell][k] for k in fields} == {k: record[k] for k in fields}
    assert by_ray.keys() == by_local.keys()
    by_name = [{p.name: p.read_bytes() for p in (harness_cli.folder / n / "items").iterdir()} for n in ("ray", "local")]
    assert by_name[0] == by_name[1]
    assert list(by_name[0].values()) == [b"\x01\x01"]
    (by_ray_alone,), (by_local_alone,) = (environments(harness_cli.folder, name) for name in ("ray", "local"))
    assert by_ray_alone == by_local_alone


@pytest.mark.slow
def test_ray_on_this_machine_listens_to_this_machine_alone(suite, harness_cli):
    psutil = pytest.importorskip("psutil")
    process = suite("--engine", "ray", "--jobs", "2", faults=("until-released",))
    while not (nodes := list(harness_cli.folder.glob("waiting-*"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    command = psutil.Process(process.pid)
    started = [command, *command.children(recursive=True)]
    names = " ".join(" ".join(one.cmdline()) for one in started)
    sockets = [connection for one in started for connection in one.net_connections("inet")]
    # Connections have a peer.
    addresses = {socket.laddr.ip for socket in sockets if not socket.raddr}
    (harness_cli.folder / nodes[0].name.replace("waiting", "released")).touch()
    code, err = ended(process)
    assert code == 0, err
    assert all(part in names for part in ("gcs_server", "raylet", "ray::"))
    assert addresses
    assert all(ipaddress.ip_address(a.removeprefix("::ffff:")).is_loopback for a in addresses), addresses


def test_ray_on_this_machine_is_refused_where_others_could_reach_it():
    driver._check_loopback([{"NodeManagerAddress": "127.0.0.1"}])
    with pytest.raises(UsageError, match=r"--engine ray: Ray would listen on 192\.0\.2\.2, which other machines may"):
        driver._check_loopback([{"NodeManagerAddress": "192.0.2.2"}])


@contextlib.contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """A head without processors and ``nodes`` nodes with one each: real processes on this machine."""
    # Ray puts packages of its own on the path, which other tests would take for installed ones.
    path = list(sys.path)
    from ray.cluster_utils import Cluster

    sys.path[:] = path
    ray_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": str(folder / "ray")})
    try:
        workers = [ray_cluster.add_node(num_cpus=1) for _ in range(nodes)]
        ray_cluster.wait_for_nodes()
        yield ray_cluster, workers
    finally:
        ray_cluster.shutdown()


@pytest.mark.slow
def test_a_node_that_dies_costs_another_try_and_no_cell(suite, harness_cli, monkeypatch):
    folder = harness_cli.folder
    for name, value in (ray_environment(harness_cli) | {"PLANTED": str(folder)}).items():
        monkeypatch.setenv(name, value)
    with cluster(harness_cli.temporary, nodes=2) as (ray_cluster, nodes):
        of_process = {str(node.all_processes["raylet"][0].process.pid): node for node in nodes}
        process = suite("--engine", "ray", "--address", ray_cluster.address, faults=("until-released",))
        while not (of_running_cells := [path.name.removeprefix("waiting-") for path in folder.glob("waiting-*")]):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        ray_cluster.remove_node(of_process.pop(of_running_cells[0]), allow_graceful=False)
        # A worker outlives its node for a moment. A cell of the node that died waits until it is killed.
        for survivor in of_process:
            (folder / f"released-{survivor}").touch()
        code, err = ended(process)
    assert code == 0, err
    ran = records(folder, "results").values()
    assert len(ran) == 4
    assert {record["status"] for record in ran} == {"done"}
    assert max(record["attempts"] for record in ran) == 2
    assert "is tried again: its node or the process on it was lost" in err


def test_an_address_without_a_cluster_is_refused_in_one_sentence(suite):
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


def test_a_node_with_another_file_of_an_option_refuses_the_cell(tmp_path, monkeypatch):
    registry = load_registry()
    monkeypatch.chdir(tmp_path)
    code = registry.code("arithmetic", "leaderboard/table")
    options = {"table": "scores.csv"}
    data = {"option table": "0" * 32}
    cell = Cell("s", "arithmetic", "leaderboard/table", options, "cpu", "float32", 0, code, data)
    with pytest.raises(UsageError, match=r"option table of leaderboard/table = 'scores\.csv': there is no such"):
        node.check_cell(cell, registry)
    (tmp_path / "scores.csv").write_text("system,A\nx,1\ny,2\n")
    with pytest.raises(UsageError, match="has another file of the option table than the machine that plans"):
        node.check_cell(cell, registry)
    node.check_cell(replace(cell, data={"option table": file_digest(tmp_path / "scores.csv")[:32]}), registry)


RACES = """
import harness

@harness.hookimpl
def harness_methods():
    names = ("runner", "first", "second")
    return [harness.Method(name=name, role="race", build=f"races.{name}:build") for name in names]

@harness.hookimpl
def harness_tasks():
    options = {"rival": harness.Option("", names="method"), "length": 1}
    metrics = {"m": harness.Metric()}
    return [harness.Task(name="race/run", role="race", run="races.runner:build", metrics=metrics, options=options)]
"""


def test_the_code_of_each_rival_is_described_once(tmp_path, monkeypatch):
    package = tmp_path / "races"
    package.mkdir()
    (package / "__init__.py").write_text(RACES)
    for name in ("runner", "first", "second"):
        (package / f"{name}.py").write_text("def build(): ...\n")
    plugins = (str(package),)
    registry = load_registry(plugins)

    def cell(rival: str, length: int) -> Cell:
        options = {"rival": rival, "length": length}
        code = registry.code("runner", "race/run", options)
        return Cell("s", "runner", "race/run", options, "cpu", "float32", 0, code)

    described = []

    def describe(cells, plugins):
        described.append(cells)
        return node.describe(cells, plugins)

    monkeypatch.setattr(driver, "describe", describe)
    cells = [cell(rival, length) for rival in ("first", "second") for length in (1, 2)]
    driver._check_nodes(OneNode({}), cells, Settings(plugins=plugins))
    assert [[c.options["rival"] for c in cells] for cells in described] == [["first", "second"]] * 2
    before = node.describe(described[0], plugins)
    names = [f"code of runner on race/run rival={rival}" for rival in ("first", "second")]
    assert [before[name] for name in names] == [cells[0].code, cells[2].code]
    assert cells[0].code != cells[2].code
    (package / "second.py").write_text("def build(): changed = True\n")
    after = node.describe(described[0], plugins)
    assert after[names[0]] == before[names[0]]
    assert after[names[1]] != before[names[1]]


class OneNode:
    """Stands for Ray with one node, whose description has ``changes``."""

    class exceptions:  # noqa: N801
        RayError = TimeoutError

    def __init__(self, changes: dict[str, str]) -> None:
        self.changes = changes

    def nodes(self):
        return [{"Alive": True, "NodeManagerAddress": "10.0.0.2", "NodeID": "a" * 56}]

    def remote(self, function):
        changes = self.changes

        class Task:
            def options(self, **_):
                return self

            def remote(self, *arguments):
                return function(*arguments) | changes

        return Task()

    def get(self, description, timeout):
        assert timeout > 0
        return description


def test_a_node_that_differs_is_refused_before_anything_runs():
    registry = load_registry()
    code = registry.code("infonce", "contrastive/digits")
    cell = Cell("s", "infonce", "contrastive/digits", {}, "cpu", "float32", 0, code)
    driver._check_nodes(OneNode({}), [cell], Settings())
    with pytest.raises(UsageError, match=r"node 10.0.0.2 would compute something else: torch is 1.0 there and 2\."):
        driver._check_nodes(OneNode({"torch": "1.0"}), [cell], Settings())
