"""Write suites into MLflow: each cell when it ends, or a whole suite later from its records.

The records file is the truth: a tracking store can be written from it at any time. Each run carries the key of what it
stands for and a digest of its content, so that writing a second time changes nothing.
"""

from __future__ import annotations

import logging
import os
import queue
import shlex
import threading
import time
from collections.abc import Callable
from functools import partial
from textwrap import shorten
from typing import TYPE_CHECKING

from harness.errors import HarnessError, UsageError
from harness.hookspecs import hookimpl
from harness.planning.request import results_folder
from harness_plugins.tracking.experiment import Experiment, Published
from harness_plugins.tracking.store import installed, tracking_uri
from harness_plugins.tracking.suite_runs import seeds_note

if TYPE_CHECKING:
    from harness.cell import Record, SuiteRun
    from harness.judge import SuiteResult

_log = logging.getLogger(__name__)

#: Seconds that a finished suite waits for MLflow before it says so.
_QUIET_SECONDS = 1.0
#: Seconds without a write after which it stops waiting.
_TIMEOUT_SECONDS = 20.0


def publish(result: SuiteResult, to: str | None = None) -> Published:
    """Make a tracking store show a suite's records and verdicts. Doing it again changes nothing.

    ``to`` is a tracking URI; without it the store is ``mlflow.db`` in the results folder. Raises UsageError where
    ``to`` is no URI or MLflow is not installed, HarnessError where the store cannot be written.
    """
    uri = tracking_uri(result.plan.results, to)
    if not installed():
        raise UsageError("MLflow is not installed; 'pip install mlflow' installs it")
    try:
        experiment = Experiment(result.plan.run, to)
        return experiment.put_all(result)
    except Exception as error:
        raise HarnessError(f"MLflow store {uri} cannot be written: {_reason(error)}") from error


class MlflowWatcher:
    """Writes a suite into MLflow while it runs, in a thread of its own. The suite waits for it only at its end.

    ``to`` is a tracking URI, or "off" to write nothing; by default $HARNESS_TRACKING. Without both the store is
    ``mlflow.db`` in the results folder.
    """

    def __init__(self, to: str | None = None) -> None:
        self._to = to or os.environ.get("HARNESS_TRACKING") or None
        self._uri = ""
        self._steps: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        #: Used only by the thread.
        self._experiment: Experiment | None = None
        self._thread: threading.Thread | None = None
        self._failure = ""
        self._noted_missing = False
        self._last_heartbeat = 0.0
        self._abandoned = False

    @hookimpl
    def harness_suite_started(self, run: SuiteRun) -> None:
        """Start the thread, and queue the opening of the experiment; called again where a suite gets more seeds."""
        if self._to == "off" or (not run.todo and self._thread is None):
            return
        self._uri = tracking_uri(run.results, self._to)
        if not installed():
            if not self._noted_missing:
                _log.info("MLflow is not installed; where it is, 'harness publish' writes the runs")
            self._noted_missing = True
            return
        self._steps.put(partial(self._open, run))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="harness-mlflow", daemon=True)
            self._thread.start()

    @hookimpl
    def harness_cell_finished(self, record: Record) -> None:
        """Queue the writing of a record."""
        if self._thread is not None:
            self._steps.put(partial(self._put_record, record))

    @hookimpl
    def harness_suite_finished(self, result: SuiteResult) -> None:
        """Queue the writing of the verdicts, and wait until all is written or the store has stopped to answer."""
        if self._thread is None:
            return
        written_last = (*result.summaries, *result.plan.suite.claims, *result.checks)
        runs = self._steps.qsize() + len(written_last)
        self._steps.put(partial(self._put_all, result))
        self._steps.put(None)
        self._wait_for(self._thread, runs)
        if self._failure:
            _log.warning(
                "MLflow store %s is not complete: %s; 'harness publish' completes it", self._uri, self._failure
            )
        elif self._uri == tracking_uri(result.plan.results):
            folder = result.plan.results
            option = f" --results {shlex.quote(str(folder))}" if folder.resolve() != results_folder().resolve() else ""
            note = seeds_note(len(result.plan.scope))
            _log.info("'harness ui%s' shows the runs in MLflow%s", option, f"; {note}" if note else "")
        self._thread = None

    def _wait_for(self, thread: threading.Thread, runs: int) -> None:
        """Wait for the thread while it makes progress. ``runs`` is about how many it has to write."""
        self._last_heartbeat = time.monotonic()
        thread.join(_QUIET_SECONDS)
        if thread.is_alive():
            _log.info("writing %d runs to MLflow ...", runs)
        try:
            while thread.is_alive() and time.monotonic() - self._last_heartbeat < _TIMEOUT_SECONDS:
                thread.join(0.1)
        except KeyboardInterrupt:
            _log.info("stopped before MLflow has all runs")
        if thread.is_alive():
            self._abandoned = True
            self._failure = self._failure or "it did not answer in time"

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            if not self._failure:
                try:
                    step()
                except Exception as error:  # noqa: BLE001  whatever MLflow does wrong, no result depends on it
                    self._failure = _reason(error)

    def _open(self, run: SuiteRun) -> None:
        self._experiment = Experiment(run, self._to, self._heartbeat)

    def _put_record(self, record: Record) -> None:
        assert self._experiment is not None
        self._experiment.put_record(record)

    def _put_all(self, result: SuiteResult) -> None:
        assert self._experiment is not None
        self._experiment.put_all(result)

    def _heartbeat(self) -> None:
        """Note that the thread makes progress; stop it where the suite does not wait any more."""
        if self._abandoned:
            raise TimeoutError("the suite has ended")
        self._last_heartbeat = time.monotonic()


def _reason(error: Exception) -> str:
    """The first line of an error, shortened: MLflow quotes whole requests."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(lines[0], 200, placeholder=' ...')}" if lines else type(error).__name__
