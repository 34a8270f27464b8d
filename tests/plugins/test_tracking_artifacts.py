"""The artifacts of a suite's run in MLflow: the report, and the plugins' figures as they stand in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tracking_runs import REGISTRY, TASK, stored_runs, suite_result

from harness.spec import Figure
from harness_plugins.tracking import artifacts
from harness_plugins.tracking.writer import Published, publish

pytestmark = [
    pytest.mark.usefixtures("tracking_environment"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_the_report_and_the_figures_are_artifacts_of_the_suites_run(results: Path) -> None:
    def draw(records: object) -> str:
        assert records
        return '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/></svg>'

    result = suite_result(results)
    figures = {
        "mine/good": Figure(name="mine/good", draw=draw, tasks=(TASK.name,)),
        "mine/bad": Figure(name="mine/bad", draw=lambda records: 1 / 0, tasks=(TASK.name,)),
    }
    result = replace(result, plan=replace(result.plan, registry=replace(REGISTRY, figures=figures)))
    publish(result)
    run = stored_runs(results)["report"]
    assert run.tags["verdicts"] == "1 reproduced, 1 contradicted, 1 not-run"
    assert run.metrics["verdicts.reproduced"] == 1
    files = {path.relative_to(results / "artifacts" / run.id / "artifacts"): path.read_text()
             for path in (results / "artifacts").rglob("*") if path.is_file()}  # fmt: skip
    assert set(map(str, files)) == {"report.html", "figures/mine-good.svg"}
    assert "Losses at small batch sizes" in files[Path("report.html")]
    assert 'id="mine-good-a"' in files[Path("figures/mine-good.svg")]
    assert publish(result) == Published(unchanged=28)


def test_a_report_that_cannot_be_made_costs_a_warning(
    results: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("harness_plugins.report.report.rendered", lambda *_: 1 / 0)
    assert artifacts.report_run(suite_result(results), 0).files == {}
    (message,) = caplog.messages
    assert message.startswith("the report for MLflow cannot be made: ZeroDivisionError")
