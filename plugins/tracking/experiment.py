"""A suite's experiment in a tracking store: the runs that are stored, and how they become the desired ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness_plugins.tracking.artifacts import report_run
from harness_plugins.tracking.runs import CONTENT, KEY, KIND, STATE, TRANSIENT, DesiredRun
from harness_plugins.tracking.saved_views import experiment_tags
from harness_plugins.tracking.store import artifact_location, client, tracking_uri
from harness_plugins.tracking.suite_runs import RunBuilder

if TYPE_CHECKING:
    from harness.cell import Record, SuiteRun
    from harness.files.suite import Suite
    from harness.judge import SuiteResult

_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Published:
    """How many runs a publication created, changed and left alone."""

    created: int = 0
    updated: int = 0
    #: Deleted and created again, because MLflow cannot delete a metric, a parameter or an input.
    replaced: int = 0
    #: Runs of a claim, a seed, or code and data that are no longer current.
    deleted: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class StoredRun:
    """A run as it is in the store."""

    id: str
    start: int
    content: str
    state: str
    parent: str
    tags: frozenset[str]
    metrics: frozenset[str]
    params: frozenset[tuple[str, str]]
    data: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, run: Any) -> StoredRun:
        """What MLflow's entity of a run says."""
        tags = run.data.tags
        inputs = run.inputs.dataset_inputs if run.inputs else []
        return cls(
            id=run.info.run_id,
            start=run.info.start_time,
            content=tags.get(CONTENT, ""),
            state=tags.get(STATE, ""),
            parent=tags.get(_PARENT, ""),
            tags=frozenset(tags),
            metrics=frozenset(run.data.metrics),
            params=frozenset(run.data.params.items()),
            data=frozenset((i.dataset.name, i.dataset.digest) for i in inputs),
        )

    def can_become(self, desired: DesiredRun) -> bool:
        """Whether writing is enough: MLflow cannot delete a metric, a parameter or an input."""
        return (
            self.metrics <= desired.metrics
            and self.params <= set(desired.params.items())
            and self.data <= {(data.name, data.digest) for data in desired.data}
        )


class Experiment:
    """A suite's experiment in a tracking store, created where it is missing. The stored runs are read once.

    ``heartbeat`` is called before every write.
    """

    def __init__(self, run: SuiteRun, to: str | None = None, heartbeat: Callable[[], None] = lambda: None) -> None:
        self._builder = RunBuilder(run)
        self._heartbeat = heartbeat
        self._counts = dict.fromkeys(("created", "updated", "replaced", "deleted", "unchanged"), 0)
        self._source = f"harness suite {run.suite}"
        uri = tracking_uri(run.results, to)
        # The first process creates the tables; two at once fail in MLflow's migrations.
        with FileLock(run.results / ".mlflow.lock"):
            self._client = client(uri)
            self._id = self._open(run, artifact_location(uri))
        #: By key.
        self._stored: dict[str, StoredRun] = {}
        self._read()

    def put_record(self, record: Record) -> None:
        """Write the run of one seed, nested under that of its setting; where seeds have none, only the setting's."""
        desired = self._builder.seed_run(record)
        if desired.parent not in self._stored:
            self._put(self._builder.running_setting(record))
        if self._builder.seeds:
            self._put(desired)

    def put_all(self, result: SuiteResult) -> Published:
        """Write every run of the suite that is missing or different, and delete runs that are no longer current."""
        before = dict(self._counts)
        runs = list(self._builder.all_runs(result))
        runs.append(report_run(result, self._builder.last_start))
        for desired in runs:
            self._put(desired)
        for key in self._outdated(runs, result.plan.suite):
            self._delete(key)
            self._counts["deleted"] += 1
        self._nest_seeds()
        return Published(**{name: count - before[name] for name, count in self._counts.items()})

    def _put(self, desired: DesiredRun) -> None:
        self._heartbeat()
        stored = self._stored.get(desired.key)
        if stored is None:
            self._create(desired)
            self._counts["created"] += 1
        elif stored.content == desired.content:
            self._counts["unchanged"] += 1
        # A curve of a seed that ran again may have other steps, and MLflow keeps the old ones.
        elif desired.kind != "seed" and stored.can_become(desired):
            self._client.update_run(stored.id, name=desired.name)
            for tag in stored.tags - set(desired.tags):
                if tag.startswith(TRANSIENT):
                    self._client.delete_tag(stored.id, tag)
            self._fill(stored, desired)
            self._counts["updated"] += 1
        else:
            self._delete(desired.key)
            self._create(desired)
            self._counts["replaced"] += 1

    def _create(self, desired: DesiredRun) -> None:
        tags = {"mlflow.source.name": self._source, KIND: desired.kind, KEY: desired.key}
        if desired.parent in self._stored:
            tags[_PARENT] = self._stored[desired.parent].id
        run = self._client.create_run(self._id, start_time=desired.start, tags=tags, run_name=desired.name)
        self._fill(StoredRun.of(run), desired)

    def _fill(self, stored: StoredRun, desired: DesiredRun) -> None:
        """Write the content of a run. Its digest comes last, so that a run cut short is seen as unfinished."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        if inputs := [data for data in desired.data if (data.name, data.digest) not in stored.data]:
            sets = [Dataset(i.name, i.digest, i.source_type, i.source, None, i.profile) for i in inputs]
            self._client.log_inputs(stored.id, [DatasetInput(dataset) for dataset in sets])
        if desired.status != "RUNNING":
            self._client.set_terminated(stored.id, desired.status, stored.start + desired.duration)
        now = time.time_ns() // 1_000_000
        points = [Metric(name, value, now, step) for name, value, step in desired.points]
        params = [Param(*item) for item in desired.params.items() if item not in stored.params]
        self._client.log_batch(stored.id, metrics=points)
        for path, text in desired.files.items():
            self._client.log_text(stored.id, text, path)
        tags = {**desired.tags, CONTENT: desired.content}
        self._client.log_batch(stored.id, params=params, tags=[RunTag(*item) for item in tags.items()])
        self._stored[desired.key] = replace(
            stored,
            content=desired.content,
            state=desired.tags.get(STATE, ""),
            tags=stored.tags | set(tags),
            metrics=frozenset(desired.metrics),
            params=frozenset(desired.params.items()),
            data=frozenset((data.name, data.digest) for data in desired.data),
        )

    def _nest_seeds(self) -> None:
        """Nest every seed under its setting's run, which may have been created again since."""
        for key, run in list(self._stored.items()):
            kind, name, *_ = key.split(" ")
            parent = self._stored.get(f"summary {name}")
            if kind == "seed" and parent is not None and run.parent != parent.id:
                self._client.set_tag(run.id, _PARENT, parent.id)
                self._stored[key] = replace(run, parent=parent.id)

    def _outdated(self, runs: list[DesiredRun], suite: Suite) -> Iterator[str]:
        """Keys of stored runs of claims that the suite no longer has, and of seeds that ran with other code or data.

        Settings that are not among these runs stay: the suite may have run on another device.
        """
        current = {desired.key for desired in runs}
        states = {desired.key: desired.tags[STATE] for desired in runs if desired.kind == "summary"}
        for key, run in list(self._stored.items()):
            kind, name, *rest = key.split(" ")
            if key in current or kind == "summary":
                continue
            if kind in ("claim", "check"):
                statements = suite.claims if kind == "claim" else suite.checks
                # A key without a device is that of a claim which could not be judged then; now it is.
                outdated = name not in statements or rest == [""]
            else:
                outdated = run.state != states.get(f"summary {name}", run.state)
            if outdated:
                yield key

    def _delete(self, key: str) -> None:
        self._client.delete_run(self._stored.pop(key).id)

    def _open(self, run: SuiteRun, artifacts: str | None) -> str:
        """The experiment's id. The experiment is created or restored, and its tags are brought up to date."""
        tags = experiment_tags(run)
        experiment = self._client.get_experiment_by_name(run.suite)
        if experiment is None:
            return str(self._client.create_experiment(run.suite, artifacts, tags))
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        for name, value in tags.items():
            if experiment.tags.get(name) != value:
                self._client.set_experiment_tag(experiment.experiment_id, name, value)
        return str(experiment.experiment_id)

    def _read(self) -> None:
        """Read the stored runs. Delete duplicates left by concurrent writers."""
        token = None
        while True:
            page = self._client.search_runs([self._id], max_results=1000, page_token=token)
            for run in page:
                key = run.data.tags.get(KEY)
                if key in self._stored:
                    self._client.delete_run(run.info.run_id)
                elif key is not None:
                    self._stored[key] = StoredRun.of(run)
            token = page.token
            if not token:
                return
