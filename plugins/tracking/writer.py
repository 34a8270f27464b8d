"""Writing suites into MLflow: beside the cells while they run, or later from their records.

The records file is the truth, and what stands in a tracking store can be made from it at any time. Each run carries
the key of what it stands for and a digest of what it shows, so that writing a second time changes nothing.
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

if TYPE_CHECKING:
    from harness.cell import Record, SuiteRun
    from harness.judge import SuiteResult

_log = logging.getLogger(__name__)

#: Seconds that a finished suite waits in silence, and seconds without progress after which it waits no longer.
_SILENCE, _PATIENCE = 1.0, 20.0


def publish(result: SuiteResult, to: str | None = None) -> Published:
    """Make a tracking store show a suite's records and verdicts. Doing it again changes nothing.

    ``to`` is a tracking URI; without it the store is ``mlflow.db`` in the results folder. Raises UsageError for
    what is no URI and where MLflow is not installed, HarnessError where the store cannot be written.
    """
    uri = tracking_uri(result.plan.results, to)
    if not installed():
        raise UsageError("MLflow is not installed; 'pip install mlflow' brings it")
    try:
        experiment = Experiment(result.plan.run, to)
        return experiment.put_all(result)
    except Exception as error:
        raise HarnessError(f"MLflow store {uri} cannot be written: {_reason(error)}") from error


class MlflowWatcher:
    """Writes a suite into MLflow while it runs, in one thread that nobody waits for before the suite's end.

    ``to`` is a tracking URI, $HARNESS_TRACKING by default; without both the store is ``mlflow.db`` in the results
    folder. "off" writes nothing.
    """

    def __init__(self, to: str | None = None) -> None:
        self._to = to or os.environ.get("HARNESS_TRACKING") or None
        self._uri = ""
        self._steps: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        #: Used by the thread alone.
        self._experiment: Experiment | None = None
        self._thread: threading.Thread | None = None
        self._failure = ""
        self._told = False
        self._last_sign = 0.0
        self._given_up = False

    @hookimpl
    def harness_suite_started(self, run: SuiteRun) -> None:
        """Queue the plan, and start the thread. More seeds of the same suite come as another plan."""
        if self._to == "off" or (not run.todo and self._thread is None):
            return
        self._uri = tracking_uri(run.results, self._to)
        if not installed():
            if not self._told:
                _log.info("MLflow is not installed; 'harness publish' makes the runs where it is")
            self._told = True
            return
        self._steps.put(partial(self._open, run))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="harness-mlflow", daemon=True)
            self._thread.start()

    @hookimpl
    def harness_cell_finished(self, record: Record) -> None:
        """Queue a record."""
        if self._thread is not None:
            self._steps.put(partial(self._put_record, record))

    @hookimpl
    def harness_suite_finished(self, result: SuiteResult) -> None:
        """Queue the verdicts, and wait until all is written or the store has shown that it does not answer."""
        if self._thread is None:
            return
        runs = self._steps.qsize() + len(result.summaries) + len(result.plan.suite.claims)
        self._steps.put(partial(self._put_all, result))
        self._steps.put(None)
        self._last_sign = time.monotonic()
        self._thread.join(_SILENCE)
        if self._thread.is_alive():
            _log.info("writing %d runs to MLflow ...", runs)
        try:
            while self._thread.is_alive() and time.monotonic() - self._last_sign < _PATIENCE:
                self._thread.join(0.1)
        except KeyboardInterrupt:
            _log.info("stopping before MLflow has everything")
        if self._thread.is_alive():
            self._given_up = True
            self._failure = self._failure or "it did not answer in time"
        if not self._failure and self._uri == tracking_uri(result.plan.results):
            folder = result.plan.results
            option = f" --results {shlex.quote(str(folder))}" if folder.resolve() != results_folder().resolve() else ""
            _log.info("'harness ui%s' shows the runs in MLflow", option)
        if self._failure:
            _log.warning(
                "MLflow store %s is not complete: %s; 'harness publish' completes it", self._uri, self._failure
            )
        self._thread = None

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            if not self._failure:
                try:
                    step()
                except Exception as error:  # noqa: BLE001  whatever MLflow does wrong, no result depends on it
                    self._failure = _reason(error)

    def _open(self, run: SuiteRun) -> None:
        self._experiment = Experiment(run, self._to, self._sign)

    def _put_record(self, record: Record) -> None:
        assert self._experiment is not None
        self._experiment.put_record(record)

    def _put_all(self, result: SuiteResult) -> None:
        assert self._experiment is not None
        self._experiment.put_all(result)

    def _sign(self) -> None:
        """The thread is alive; the place where it stops if nobody waits any more."""
        if self._given_up:
            raise TimeoutError("nobody waits any more")
        self._last_sign = time.monotonic()


def _reason(error: Exception) -> str:
    """The first line of an error, shortened: MLflow quotes whole requests."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(lines[0], 200, placeholder=' ...')}" if lines else type(error).__name__
