"""Fixtures for several test files: the toy plugin and the real command line."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main, output
from harness.errors import DatasetMissing
from harness.registry import load_registry
from harness.registry.datasets import locate
from harness.spec import Dataset

# One thread, as in a cell, read when torch is loaded: with more, two workers of pytest-xdist wait for each other's
# threads, and tests that train take up to five times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine takes long to import a plugin.
os.environ.setdefault("HARNESS_IMPORT_SECONDS", "300")

# A job in the background of a shell, or one of nohup, ignores them, and so would every process that tests start.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# pytest-xdist sets it; tests have no width of their own.
os.environ.pop("COLUMNS", None)

TOY = Path(__file__).parent / "toy"

#: Name of a property of a test's report: a data set that the test read.
DATA_SET = "data set"


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "fail if no test that passed used a data set that is on this machine"
    parser.addoption("--every-data-set", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    # With pytest-xdist, the process that starts the others sees the reports of all tests.
    if config.getoption("--every-data-set") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(EveryDataSet())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked ``needs_data`` where a data set is not on this machine."""
    for marker in item.iter_markers("needs_data"):
        for name in marker.args or (item.callspec.params["name"],):  # type: ignore[attr-defined]
            try:
                locate(declared()[name])
            except DatasetMissing:
                pytest.skip(f"the data set {name} is not on this machine")
            item.user_properties.append((DATA_SET, name))


class EveryDataSet:
    """Ends a run with exit code 1 if a data set is on this machine and no test that passed used it."""

    def __init__(self) -> None:
        self.used: set[object] = set()
        self.unused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.used |= {value for name, value in report.user_properties if name == DATA_SET}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.unused = sorted(set(data_sets_here()) - self.used)
        if self.unused:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unused:
            terminalreporter.section("data sets that no test used", red=True)
            terminalreporter.line("On this machine, and used by no test that passed: " + ", ".join(self.unused))


@cache
def declared() -> Mapping[str, Dataset]:
    """The data sets that plugins declare."""
    return load_registry().datasets


def data_sets_here() -> Iterator[str]:
    """The declared data sets that are on this machine, and those that have a folder in $HARNESS_DATA."""
    own = Path(os.environ.get("HARNESS_DATA", ""))
    for name, dataset in declared().items():
        if os.environ.get("HARNESS_DATA") and (own / name).is_dir():
            yield name
            continue
        try:
            locate(dataset)
        except DatasetMissing:
            continue
        yield name


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs ``harness`` in a folder of its own, without MLflow.

    A call runs inside this process, so that all tests share one server of workers, which has torch loaded.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, temporary: Path) -> None:
        self.folder = folder
        #: Folder of temporary files of processes that ``start`` begins.
        self.temporary = temporary
        self._patch = patch

    def __call__(self, *arguments: str, **environment: str) -> CommandResult:
        out, err = io.StringIO(), io.StringIO()
        output.people.cache_clear()
        output.errors.cache_clear()
        with self._patch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["harness", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                main()
                code = 0
            except SystemExit as error:
                code = int(error.code or 0)
        return CommandResult(code, out.getvalue(), err.getvalue())

    def toy(self, *arguments: str, **environment: str) -> CommandResult:
        """``harness -p toy suite ...``."""
        return self("-p", str(TOY), "suite", *arguments, **environment)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """``harness`` in a process of its own."""
        command = [sys.executable, "-m", "harness", *arguments]
        variables = {**os.environ, "TMPDIR": str(self.temporary), **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=variables, text=True, stdout=pipe, stderr=pipe)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "results" / "records.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def command_line() -> type[CommandLine]:
    """For fixtures that outlive one test."""
    return CommandLine


@pytest.fixture
def harness_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    for name in ("HARNESS_DATA", "HARNESS_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HARNESS_TRACKING", "off")
    # Deleted with all that killed processes leave in it. Its path is short: those of sockets in it may have 107 bytes.
    temporary = Path(tempfile.mkdtemp(prefix="h"))
    yield CommandLine(tmp_path, monkeypatch, temporary)
    shutil.rmtree(temporary, ignore_errors=True)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
