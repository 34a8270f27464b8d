"""MLflow, the view for comparing runs by eye: written beside a running suite, or made later from its records.

The records file is the truth, and what stands in a tracking store can be made from it at any time. Each run carries
the key of what it stands for and a digest of what it shows, so that writing a second time changes nothing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness.errors import HarnessError, UsageError
from harness.hookspecs import hookimpl
from harness.request import results_folder
from harness.watchers import tell
from harness_plugins.tracking.pages import experiment_tags
from harness_plugins.tracking.view import CONTENT, KEY, KIND, STATE, TRANSIENT, RunView, SuiteViews

if TYPE_CHECKING:
    from harness.plan import Session
    from harness.records import Record
    from harness.session import SuiteResult
    from harness.suite import Suite

#: Set before MLflow is imported, where the user has not. A server that is down must cost seconds, not minutes.
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
_PARENT = "mlflow.parentRunId"
#: Seconds that a finished suite waits in silence, and seconds without progress after which it waits no longer.
_SILENCE, _PATIENCE = 1.0, 20.0


@dataclass(frozen=True)
class Published:
    """How many runs a publication touched."""

    created: int = 0
    updated: int = 0
    #: Deleted and made anew, because MLflow cannot take back a metric, a parameter or an input.
    replaced: int = 0
    #: Stood for a claim, a seed or a state of the code that is no longer there.
    deleted: int = 0
    unchanged: int = 0


def publish(result: SuiteResult, to: str | None = None) -> Published:
    """Make a tracking store show a suite's records and verdicts. Doing it again changes nothing.

    ``to`` is a tracking URI; without it the store is ``mlflow.db`` in the results folder. Raises UsageError for
    what is no URI and where MLflow is not installed, HarnessError where the store cannot be written.
    """
    uri = tracking_uri(result.session.results, to)
    if not _installed():
        raise UsageError("MLflow is not installed; 'pip install mlflow' brings it")
    try:
        experiment = Experiment(result.session, to)
        return experiment.put_all(result)
    except Exception as error:
        raise HarnessError(f"MLflow store {uri} cannot be written: {_reason(error)}") from error


def store_path(results: Path) -> Path:
    """The database of a results folder, as an absolute path."""
    return results.resolve() / "mlflow.db"


def tracking_uri(results: Path, to: str | None = None) -> str:
    """The store's URI: ``to``, or that of the results folder. Paths in it are made absolute."""
    if to is None:
        return f"sqlite:///{store_path(results)}"
    if to.startswith("sqlite:///"):
        return f"sqlite:///{Path(to.removeprefix('sqlite:///')).resolve()}"
    if "://" not in to and to != "databricks":
        raise UsageError(f"{to!r} is no tracking URI; one such as http://host:5000 or sqlite:///runs.db is needed")
    return to


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
    def harness_suite_started(self, session: Session) -> None:
        """Queue the plan, and start the thread. More seeds of the same suite come as another plan."""
        if self._to == "off" or (not session.todo and self._thread is None):
            return
        self._uri = tracking_uri(session.results, self._to)
        if not _installed():
            if not self._told:
                tell("note: MLflow is not installed; 'harness publish' makes the runs where it is")
            self._told = True
            return
        self._steps.put(partial(self._open, session))
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
        runs = self._steps.qsize() + len(result.summaries) + len(result.session.suite.claims)
        self._steps.put(partial(self._put_all, result))
        self._steps.put(None)
        self._last_sign = time.monotonic()
        self._thread.join(_SILENCE)
        if self._thread.is_alive():
            tell(f"writing {runs} runs to MLflow ...")
        try:
            while self._thread.is_alive() and time.monotonic() - self._last_sign < _PATIENCE:
                self._thread.join(0.1)
        except KeyboardInterrupt:
            tell("stopping before MLflow has everything")
        if self._thread.is_alive():
            self._given_up = True
            self._failure = self._failure or "it did not answer in time"
        if not self._failure and self._uri == tracking_uri(result.session.results):
            folder = result.session.results
            option = f" --results {shlex.quote(str(folder))}" if folder.resolve() != results_folder().resolve() else ""
            tell(f"'harness ui{option}' shows the runs in MLflow")
        if self._failure:
            why = f"{self._failure}; 'harness publish' completes it"
            tell(f"warning: MLflow store {self._uri} is not complete: {why}")
        self._thread = None

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            if not self._failure:
                try:
                    step()
                except Exception as error:  # noqa: BLE001  whatever MLflow does wrong, no result depends on it
                    self._failure = _reason(error)

    def _open(self, session: Session) -> None:
        self._experiment = Experiment(session, self._to, self._sign)

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


@dataclass(frozen=True)
class _Standing:
    """A run that stands in the store."""

    id: str
    start: int
    content: str
    state: str
    parent: str
    tags: frozenset[str]
    metrics: frozenset[str]
    params: frozenset[tuple[str, str]]
    data: frozenset[tuple[str, str]]

    def can_become(self, view: RunView) -> bool:
        """Whether nothing that it shows has to be taken back."""
        return (
            self.metrics <= view.metrics
            and self.params <= set(view.params.items())
            and self.data <= {(one.name, one.digest) for one in view.data}
        )


class Experiment:
    """A suite's experiment in a tracking store. Made when missing; what stands in it is read once, then followed.

    ``sign`` is called before every write.
    """

    def __init__(self, session: Session, to: str | None = None, sign: Callable[[], None] = lambda: None) -> None:
        self.views = SuiteViews(session)
        self._sign = sign
        self._counts = dict.fromkeys(("created", "updated", "replaced", "deleted", "unchanged"), 0)
        self._source = f"harness suite {session.suite.name}"
        uri = tracking_uri(session.results, to)
        # The first process to come makes the tables; two of them at once fail in MLflow's migrations.
        with FileLock(session.results / ".mlflow.lock"):
            self._client = _client(uri)
            self._id = self._open(session, _artifact_location(uri))
        self._standing: dict[str, _Standing] = {}
        self._read()

    def put_record(self, record: Record) -> None:
        """Write one seed's run, under that of its setting."""
        view = self.views.seed(record)
        if view.parent not in self._standing:
            self._put(self.views.waiting(record))
        self._put(view)

    def put_all(self, result: SuiteResult) -> Published:
        """Write every run of the suite that is missing or shows something else, and drop what no longer stands."""
        before = dict(self._counts)
        views = list(self.views.all(result.records, result.summaries, result.verdicts))
        for view in views:
            self._put(view)
        for key in self._outdated(views, result.session.suite):
            self._delete(key)
            self._counts["deleted"] += 1
        self._adopt()
        return Published(**{name: count - before[name] for name, count in self._counts.items()})

    def _put(self, view: RunView) -> None:
        self._sign()
        run = self._standing.get(view.key)
        if run is None:
            self._create(view)
            self._counts["created"] += 1
        elif run.content == view.content:
            self._counts["unchanged"] += 1
        elif view.kind != "seed" and run.can_become(view):
            self._client.update_run(run.id, name=view.name)
            for tag in run.tags - set(view.tags):
                if tag.startswith(TRANSIENT):
                    self._client.delete_tag(run.id, tag)
            self._fill(run, view)
            self._counts["updated"] += 1
        else:
            self._delete(view.key)
            self._create(view)
            self._counts["replaced"] += 1

    def _create(self, view: RunView) -> None:
        tags = {"mlflow.source.name": self._source, KIND: view.kind, KEY: view.key}
        if view.parent in self._standing:
            tags[_PARENT] = self._standing[view.parent].id
        run = self._client.create_run(self._id, start_time=view.start, tags=tags, run_name=view.name)
        self._fill(_standing(run), view)

    def _fill(self, run: _Standing, view: RunView) -> None:
        """Write what a run shows; the digest goes last, so that a run cut short is seen as unfinished."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        if inputs := [one for one in view.data if (one.name, one.digest) not in run.data]:
            sets = [Dataset(one.name, one.digest, one.source_type, one.source, None, one.profile) for one in inputs]
            self._client.log_inputs(run.id, [DatasetInput(one) for one in sets])
        if view.status != "RUNNING":
            self._client.set_terminated(run.id, view.status, run.start + view.duration)
        now = time.time_ns() // 1_000_000
        points = [Metric(name, value, now, step) for name, value, step in view.points]
        params = [Param(*one) for one in view.params.items() if one not in run.params]
        self._client.log_batch(run.id, metrics=points)
        tags = {**view.tags, CONTENT: view.content}
        self._client.log_batch(run.id, params=params, tags=[RunTag(*one) for one in tags.items()])
        self._standing[view.key] = replace(
            run,
            content=view.content,
            state=view.tags.get(STATE, ""),
            tags=run.tags | set(tags),
            metrics=frozenset(view.metrics),
            params=frozenset(view.params.items()),
            data=frozenset((one.name, one.digest) for one in view.data),
        )

    def _adopt(self) -> None:
        """Put every seed under its setting's run, which may have been made anew since."""
        for key, run in list(self._standing.items()):
            kind, name, *_ = key.split(" ")
            parent = self._standing.get(f"summary {name}")
            if kind == "seed" and parent is not None and run.parent != parent.id:
                self._client.set_tag(run.id, _PARENT, parent.id)
                self._standing[key] = replace(run, parent=parent.id)

    def _outdated(self, views: list[RunView], suite: Suite) -> Iterator[str]:
        """Keys of runs that these views replace: claims taken back, seeds that ran with other code or data."""
        current = {view.key for view in views}
        state = {view.key: view.tags[STATE] for view in views if view.kind == "summary"}
        for key, run in list(self._standing.items()):
            kind, name, *rest = key.split(" ")
            if key in current or kind == "summary":
                continue
            if kind == "claim":
                gone = name not in suite.claims or rest == [""]
            else:
                gone = run.state != state.get(f"summary {name}", run.state)
            if gone:
                yield key

    def _delete(self, key: str) -> None:
        self._client.delete_run(self._standing.pop(key).id)

    def _open(self, session: Session, artifacts: str | None) -> str:
        """The experiment's id."""
        tags = experiment_tags(session)
        found = self._client.get_experiment_by_name(session.suite.name)
        if found is None:
            return str(self._client.create_experiment(session.suite.name, artifacts, tags))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for name, value in tags.items():
            if found.tags.get(name) != value:
                self._client.set_experiment_tag(found.experiment_id, name, value)
        return str(found.experiment_id)

    def _read(self) -> None:
        """Learn what stands there. A second run under the same key, of a process that wrote beside us, goes."""
        token = None
        while True:
            page = self._client.search_runs([self._id], max_results=1000, page_token=token)
            for run in page:
                key = run.data.tags.get(KEY)
                if key in self._standing:
                    self._client.delete_run(run.info.run_id)
                elif key is not None:
                    self._standing[key] = _standing(run)
            token = page.token
            if not token:
                return


def _standing(run: Any) -> _Standing:
    tags = run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return _Standing(
        id=run.info.run_id,
        start=run.info.start_time,
        content=tags.get(CONTENT, ""),
        state=tags.get(STATE, ""),
        parent=tags.get(_PARENT, ""),
        tags=frozenset(tags),
        metrics=frozenset(run.data.metrics),
        params=frozenset(run.data.params.items()),
        data=frozenset((one.dataset.name, one.dataset.digest) for one in inputs),
    )


def _client(uri: str) -> Any:
    """MLflow's client, imported now: it takes two to three seconds."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # Its own loggers print each step of a fresh database's migrations.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri, uri)


def _artifact_location(uri: str) -> str | None:
    """A folder beside a local database; a server knows its own."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()


def _installed() -> bool:
    return importlib.util.find_spec("mlflow") is not None


def _reason(error: Exception) -> str:
    """The first line of an error, shortened: MLflow quotes whole requests."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(lines[0], 200, placeholder=' ...')}" if lines else type(error).__name__
