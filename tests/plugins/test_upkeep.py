"""Results folders are checked, repaired and joined without losing a record that can be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile
from harness.records.provenance import environment_digest
from harness_plugins.upkeep.merging import merge


def record(number: int, status: str = "done", value: float = 0.0, environment: str | None = None) -> Record:
    return Record(
        id=f"{number:020x}", suite="s", method="m", task="t", options={}, device="cpu", dtype="float32", seed=number,
        status=status, metrics={"a": value}, environment=environment,
    )  # fmt: skip


def folder(path, *records: Record):
    file = RecordsFile(path)
    file.prepare()
    for record in records:
        file.append(record)
    return path


@pytest.fixture
def damaged(tmp_path):
    results = folder(tmp_path / "results", record(0), record(1, "failed"), record(2))
    path = results / "records.jsonl"
    lines = path.read_text().splitlines()
    newer = json.dumps({**json.loads(lines[0]), "schema": 99})
    path.write_text("\n".join([lines[0], '{"schema": 1, "id": [broken]}', lines[1], newer, lines[2], '{"torn']))
    return results


def test_check_names_every_damaged_line(harness_cli, damaged):
    ended = harness_cli("records", "check", "--results", str(damaged))
    assert ended.code == 1
    assert "6 lines, 3 cells, 2 good" in ended.out
    assert 'damaged line 2: {"schema": 1, "id": [broken]}' in ended.out
    assert "torn the last line" in ended.out
    assert "1 record of a newer harness" in ended.out


def test_repair_drops_what_cannot_be_read_and_nothing_else(harness_cli, damaged):
    before = (damaged / "records.jsonl").read_text()
    document = harness_cli("records", "repair", "--results", str(damaged), "--json").document
    assert [number for number, _ in document["damaged"]] == [2]
    assert (damaged / "records.jsonl").read_text().splitlines() == [
        line for line in before.split("\n") if "broken" not in line and "torn" not in line
    ]
    assert Path(document["copy"]).read_text() == before
    assert harness_cli("records", "check", "--results", str(damaged)).code == 0
    again = harness_cli("records", "repair", "--results", str(damaged))
    assert "nothing to repair" in again.out
    assert len(list(damaged.glob("*.damaged*"))) == 1


def test_merge_brings_in_what_is_better_than_what_is_here(tmp_path):
    here = folder(tmp_path / "here", record(0, value=1.0), record(1, "failed"), record(2, "failed"))
    digest = environment_digest({})
    there = folder(
        tmp_path / "there",
        record(0, value=9.0), record(1, value=5.0, environment=digest), record(2, "timeout"), record(3, value=7.0),
    )  # fmt: skip
    name = f"{digest}.json"
    (there / "environments" / name).write_text("{}")
    before = (here / "records.jsonl").read_text()
    assert merge(here, [there]) == {there: (2, 2)}
    merged = RecordsFile(here).load().by_id
    assert [merged[record(n).id].metrics["a"] for n in range(4)] == [1.0, 5.0, 0.0, 7.0]
    assert merged[record(2).id].status == "failed"
    assert (here / "environments" / name).read_text() == "{}"
    assert (here / "records.jsonl").read_text().startswith(before)
    assert merge(here, [there]) == {there: (0, 4)}, "a second time brings nothing"


def test_merge_takes_a_single_file_of_records_too(tmp_path):
    here = folder(tmp_path / "here", record(0))
    rescued = tmp_path / "rescued.jsonl"
    rescued.write_text(record(1).to_line() + "\n")
    assert merge(here, [rescued]) == {rescued: (1, 0)}


def test_folders_without_records_are_refused_by_name(harness_cli, tmp_path):
    ended = harness_cli("records", "merge", str(tmp_path / "absent"))
    assert ended.code == 2
    assert f"{tmp_path / 'absent'} holds no records" in ended.err
    assert harness_cli("records", "check", "--results", str(tmp_path / "absent")).code == 2
    here = folder(tmp_path / "here", record(0))
    with pytest.raises(UsageError, match="is the results folder itself"):
        merge(here, [here])
