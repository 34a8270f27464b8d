"""A suite's experiment in a tracking store: what stands there, followed run by run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness_plugins.tracking.attachments import report_view
from harness_plugins.tracking.pages import experiment_tags
from harness_plugins.tracking.store import artifact_location, client, tracking_uri
from harness_plugins.tracking.view import CONTENT, KEY, KIND, STATE, TRANSIENT, RunView, SuiteViews

if TYPE_CHECKING:
    from harness.cell import Record, SuiteRun
    from harness.files.suite import Suite
    from harness.judge import SuiteResult

_PARENT = "mlflow.parentRunId"


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

    def __init__(self, run: SuiteRun, to: str | None = None, sign: Callable[[], None] = lambda: None) -> None:
        self.views = SuiteViews(run)
        self._sign = sign
        self._counts = dict.fromkeys(("created", "updated", "replaced", "deleted", "unchanged"), 0)
        self._source = f"harness suite {run.suite}"
        uri = tracking_uri(run.results, to)
        # The first process to come makes the tables; two of them at once fail in MLflow's migrations.
        with FileLock(run.results / ".mlflow.lock"):
            self._client = client(uri)
            self._id = self._open(run, artifact_location(uri))
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
        views = list(self.views.all(result))
        views.append(report_view(result, self.views.last_start))
        for view in views:
            self._put(view)
        for key in self._outdated(views, result.plan.suite):
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
        for path, text in view.files.items():
            self._client.log_text(run.id, text, path)
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

    def _open(self, run: SuiteRun, artifacts: str | None) -> str:
        """The experiment's id."""
        tags = experiment_tags(run)
        found = self._client.get_experiment_by_name(run.suite)
        if found is None:
            return str(self._client.create_experiment(run.suite, artifacts, tags))
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
