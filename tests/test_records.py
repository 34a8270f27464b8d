"""The records file: writers lock it, reading tolerates damaged lines, writing repairs a torn one."""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest
from filelock import FileLock, Timeout

from harness.cell import Record
from harness.errors import UsageError
from harness.records import RecordsFile, parse_record


def record(number: int = 0, **changes: object) -> Record:
    content = {
        "id": f"{number:020x}", "suite": "s", "method": "m", "task": "t", "options": {"k": 1}, "device": "cpu",
        "dtype": "float32", "seed": number, "status": "done", "metrics": {"a": 0.1 + number},
        "curves": {"loss": [(0, 1.5), (1, 0.5)]},
    }  # fmt: skip
    return Record(**(content | changes))  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path):
    records_file = RecordsFile(tmp_path / "results")
    records_file.prepare()
    return records_file


def test_loaded_record_equals_the_appended_one(file):
    file.append(record())
    (loaded,) = file.load().by_id.values()
    assert json.loads(json.dumps(loaded.as_dict())) == json.loads(json.dumps(record().as_dict()))


def test_latest_good_record_of_a_cell_counts_even_if_a_bad_one_follows(file):
    for status, value in [("failed", 0.0), ("done", 1.0), ("crashed", 0.0), ("done", 2.0), ("timeout", 0.0)]:
        file.append(record(status=status, metrics={"a": value}))
    assert file.load().by_id[record().id].metrics == {"a": 2.0}


def test_numbers_outside_json_are_never_written(file):
    with pytest.raises(ValueError, match="not JSON compliant"):
        file.append(record(metrics={"a": float("nan")}))
    assert file.path.read_text() == ""


@pytest.mark.parametrize("cut", [1, 5, 100, -2])
def test_torn_last_line_is_skipped_and_removed_by_the_next_write(file, cut):
    file.append(record(0))
    whole = record(1).to_line()
    with file.path.open("a") as stream:
        stream.write(whole[:cut])
    loaded = file.load()
    assert set(loaded.by_id) == {record(0).id}
    assert "torn" in loaded.warnings[0]
    file.append(record(2))
    assert set(file.load().by_id) == {record(0).id, record(2).id}
    assert file.load().warnings == ()


def test_complete_last_line_without_newline_is_kept(file):
    with file.path.open("a") as stream:
        stream.write(record(0).to_line())
    file.append(record(1))
    assert len(file.load().by_id) == 2
    assert file.load().warnings == ()


@pytest.mark.parametrize("line", [b"[]", b"3", b"{}", b'{"schema":1}', b"\xff\xfe", b'{"schema":"1"}'])
def test_line_that_is_no_record_counts_as_damaged(line):
    assert parse_record(line) == "damaged"


def test_unknown_fields_of_the_same_schema_are_ignored():
    content = json.loads(record().to_line()) | {"added_later": 1}
    assert isinstance(parse_record(json.dumps(content).encode()), Record)


def _append_many(folder, start):
    file = RecordsFile(folder)
    for number in range(start, start + 50):
        file.append(record(number, output="x" * 5000))


def test_writers_in_several_processes_do_not_mix_lines(file):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(file.folder, start)) for start in (0, 100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    loaded = file.load()
    assert len(loaded.by_id) == 150
    assert loaded.warnings == ()


def test_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        RecordsFile(tmp_path / "file").prepare()


def test_latest_bad_record_of_a_cell_counts_where_none_is_good(file):
    for status in ("failed", "crashed", "timeout"):
        file.append(record(status=status, metrics={}))
    assert file.load().by_id[record().id].status == "timeout"


def test_torn_line_of_any_length_is_cut_off_and_the_whole_lines_before_it_stay(file):
    file.append(record(0, output="x" * 200_000))
    with file.path.open("a") as stream:
        stream.write(record(1, output="y" * 300_000).to_line()[:-10])
    file.append(record(2))
    lines = file.path.read_bytes().splitlines(keepends=True)
    assert lines == [(r.to_line() + "\n").encode() for r in (record(0, output="x" * 200_000), record(2))]


def test_folder_is_locked_while_a_record_is_written(file, monkeypatch):
    locked = []

    def sync(descriptor):
        with pytest.raises(Timeout), FileLock(file.folder / ".records.lock", timeout=0):
            pytest.fail("another process could write now")
        locked.append(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    file.append(record())
    assert len(locked) == 1
