"""Fixtures that several test files share: the toy plugin, and the real command line in a real process."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main, output

TOY = Path(__file__).parent / "toy"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs ``harness`` in a folder of its own, without MLflow, with the toy plugin at hand.

    A call runs it inside this process, so that the tests share one server of workers that has torch loaded.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, short: Path) -> None:
        self.folder = folder
        self._short = short
        self._patch = patch

    def __call__(self, *arguments: str, **environment: str) -> Ended:
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
            except SystemExit as end:
                code = int(end.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    def toy(self, *arguments: str, **environment: str) -> Ended:
        """``harness -p toy suite ...``."""
        return self("-p", str(TOY), "suite", *arguments, **environment)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """``harness`` in a process of its own."""
        command = [sys.executable, "-c", "from harness.cli import main; main()", *arguments]
        # What a killed process leaves in its temporary folder goes with the test's; a socket's path must be short.
        own = {**os.environ, "TMPDIR": str(self._short), **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=own, text=True, stdout=pipe, stderr=pipe)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "results" / "records.jsonl").read_text().splitlines()]


@pytest.fixture
def harness_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    for name in ("HARNESS_DATA", "HARNESS_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HARNESS_TRACKING", "off")
    # Ray's sockets stand in it, whose paths may have 107 bytes.
    short = Path(tempfile.mkdtemp(prefix="h"))
    yield CommandLine(tmp_path, monkeypatch, short)
    shutil.rmtree(short, ignore_errors=True)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
