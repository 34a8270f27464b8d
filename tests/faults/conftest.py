"""Suites of planted faults, run by the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

PLANTED = str(Path(__file__).parent / "planted")
SUITE = """
title = "Planted faults"
[[cross]]
task = "planted/fault"
methods = {methods}
seeds = {seeds}
options = {{ fault = {faults}, seconds = {seconds} }}
"""


class Planted:
    """Runs suites of the planted plugin in one folder."""

    plugin = PLANTED

    def __init__(self, command_line: Any, suites: Path) -> None:
        self.command_line = command_line
        self.folder: Path = command_line.folder
        self.suites = suites

    def suite(self, *faults: str, methods: tuple[str, ...] = ("one",), seeds: int = 1, seconds: float = 0.0) -> str:
        """Write a suite of these faults and return its path."""
        text = SUITE.format(methods=list(methods), seeds=seeds, faults=list(faults), seconds=seconds)
        path = self.suites / "planted.toml"
        path.write_text(text)
        return str(path)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``harness suite ...`` in a process of its own, with servers of its own."""
        return self.command_line.start("-p", PLANTED, "suite", *arguments, PLANTED=str(self.folder))

    def run(self, *arguments: str) -> Any:
        """``harness suite ...`` in this process: the cells run in others, forked from a server that all tests share."""
        return self.command_line("-p", PLANTED, "suite", *arguments, PLANTED=str(self.folder))

    @staticmethod
    def wait_until(condition: Callable[[], object]) -> None:
        """Wait until the condition holds. On a busy machine a process may take minutes to start."""
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def records(self, results: str = "results") -> list[dict[str, Any]]:
        lines = (self.folder / results / "records.jsonl").read_bytes().split(b"\n")
        return [json.loads(line) for line in lines if line.strip()]

    def by_fault(self) -> dict[str, dict[str, Any]]:
        """The records by planted fault."""
        return {record["options"]["fault"]: record for record in self.records()}


@pytest.fixture
def planted(harness_cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(harness_cli, tmp_path_factory.mktemp("suites"))


@pytest.fixture
def running() -> Callable[[int], bool]:
    """A function that says whether a process exists and is no zombie."""

    def is_running(process: int) -> bool:
        ps = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
        return bool(ps.stdout.strip()) and not ps.stdout.startswith("Z")

    return is_running


@pytest.fixture
def processes_of() -> Callable[[int], list[int]]:
    """A function that lists all descendants of a process."""

    def descendants(process: int) -> list[int]:
        table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
        waiting, below = [process], []
        while waiting:
            parent = waiting.pop()
            children = [child for child, its_parent in pairs if its_parent == parent]
            below += children
            waiting += children
        return [p for p in below if p != os.getpid()]

    return descendants


@pytest.fixture
def fuzz() -> Callable[[int], settings]:
    """A function that gives the settings of a fuzz test with so many examples, the same ones in every run.

    Of more than 100 examples only a twentieth runs, unless $HARNESS_FUZZ says "all": these take an hour.
    """
    every = os.environ.get("HARNESS_FUZZ") == "all"
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return lambda examples: settings(
        max_examples=examples if every or examples <= 100 else examples // 20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=slow,
    )
