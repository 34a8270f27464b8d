"""Recorded results from Python: a table, the verdicts of the command line, and the documentation's example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import harness
from harness.errors import UsageError

TOY = str(Path(__file__).parent / "toy")
DOCS = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")


def test_results_are_a_table_with_one_row_for_each_cell(harness_cli):
    harness_cli.toy("toy")
    harness_cli.toy("toy", "--only", "seed=0", "--fresh")
    frame = harness.load_results(harness_cli.folder / "results")
    assert len(harness_cli.records) == 24
    assert len(frame) == 20, "a cell that ran twice has one row"
    assert set(frame["id"]) == {record["id"] for record in harness_cli.records}
    by_id = {record["id"]: record for record in harness_cli.records}
    for row in frame.to_dict("records"):
        record = by_id[row["id"]]
        for name, value in record["metrics"].items():
            assert row[f"metrics.{name}"] == value
        for name, value in record["options"].items():
            assert row[f"options.{name}"] == value
        assert row["finished"].isoformat(timespec="milliseconds") == record["finished"]
    assert len(frame["curves"].iloc[0]["norm"]) == 20


def test_columns_that_a_record_lacks_are_missing_values(tmp_path):
    from harness.cell import Cell
    from harness.records import RecordsFile
    from harness.running.execute import record_of

    file = RecordsFile(tmp_path)
    file.prepare()
    for options, metrics in (({"k": 3, "on": True}, {"loss": 0.5}), ({"name": "a"}, {})):
        cell = Cell("s", "m", "t", options, "cpu", "float32", 0, "code")
        file.append(record_of(cell, "done" if metrics else "failed", None, metrics=metrics))
    frame = harness.load_results(str(tmp_path))
    assert frame["options.k"].iloc[0] == 3
    assert str(frame["options.k"].dtype) == "Int64"
    assert bool(frame["options.on"].iloc[0])
    assert frame[["options.k", "options.on", "metrics.loss"]].iloc[1].isna().all()
    assert frame["options.name"].iloc[1] == "a"


def test_empty_folder_is_an_empty_table_and_a_missing_folder_an_error(tmp_path):
    assert len(harness.load_results(tmp_path)) == 0
    assert "method" in harness.load_results(tmp_path).columns
    assert harness.verdicts(tmp_path) == []
    for call in (harness.load_results, harness.verdicts):
        with pytest.raises(UsageError, match="there is no results folder"):
            call(tmp_path / "nowhere")


def test_verdicts_equal_those_of_the_command_line(harness_cli):
    harness_cli.toy("toy")
    printed = harness_cli("-p", TOY, "claims", "toy", "--json").document
    verdicts = harness.verdicts(harness_cli.folder / "results", "toy", plugins=(TOY,))
    of_claims = ("sentence", "suite", "origin", "primary", "fidelity", "rests_on")
    assert [v.to_json() for v in verdicts] == [
        {k: v for k, v in verdict.items() if k not in of_claims} for verdict in printed
    ]


def test_example_of_the_documentation_runs(harness_cli, monkeypatch, capsys):
    (example,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", DOCS, flags=re.DOTALL)
    monkeypatch.chdir(harness_cli.folder)
    exec(compile(example, "docs/report.md", "exec"), {})
    printed = capsys.readouterr()
    assert "125" in printed.err, "progress is shown"
    assert "infonce-naive" in printed.out
    assert re.search(r"flatnce/fn6-\S+ reproduced", printed.out)


def test_every_command_and_option_in_the_documentation_exists(harness_cli):
    for command, line in re.findall(r"^harness (\w+)(.*)$", DOCS, flags=re.MULTILINE):
        result = harness_cli(command, "--help")
        assert result.code == 0
        for option in re.findall(r"(?<!\S)--?[a-z]+", line.partition("#")[0]):
            assert option in result.out
