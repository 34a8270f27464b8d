"""What the record of one cell says of its time, run in this process."""

from __future__ import annotations

from types import SimpleNamespace

from harness.cell import Cell
from harness.registry import datasets
from harness.running import execute as module
from harness.spec import Dataset, Method, Metric, Task


def test_seconds_are_those_of_the_task_without_loading_and_building(monkeypatch, tmp_path):
    clock = [1000.0]

    def takes(seconds, result):
        clock[0] += seconds
        return result

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "a.csv").write_text("1")
    dataset = Dataset(name="slow", licence="CC0-1.0", files={"a.csv": ()}, load=lambda _: takes(100.0, {}))
    method = Method(name="m", role="toy", build=lambda: takes(10.0, object()))
    task = Task(
        name="t", role="toy", run=lambda *_: takes(2.5, {"a": 1.0}), metrics={"a": Metric()}, datasets=("slow",)
    )
    registry = SimpleNamespace(
        methods={"m": method}, tasks={"t": task}, datasets={"slow": dataset}, named=lambda *_: {}
    )
    datasets.load.cache_clear()
    record = module.execute(Cell("s", "m", "t", {}, "cpu", "float32", 0, "code"), registry)
    assert (record.status, record.cause) == ("done", None)
    assert clock[0] >= 1112.5
    assert record.seconds == 2.5
