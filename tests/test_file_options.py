"""An option may name a file of the user: the file must exist, and its content is part of the cell's key."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.spec import Option

PLUGIN = """
import pathlib
import harness

def length(method, run):
    name = run.options["table"]
    return {"length": len(pathlib.Path(name).read_text()) if name else -1}

@harness.hookimpl
def harness_methods():
    return [harness.Method(name="reader", role="reading", build=lambda: None, help="reads")]

@harness.hookimpl
def harness_tasks():
    options = {"table": harness.Option("", "a file", file=True)}
    return [harness.Task(name="read/length", role="reading", run=length, metrics={"length": harness.Metric()},
                         options=options)]
"""
SUITE = """
title = "T"
[[cross]]
task = "read/length"
methods = ["reader"]
options = { table = ["a.txt", ""] }
"""


@pytest.fixture
def suite(harness_cli):
    """A function that runs the suite and returns its JSON document."""
    harness_cli.write("file_reader.py", PLUGIN)
    harness_cli.write("s.toml", SUITE)

    def run():
        result = harness_cli("-p", "file_reader.py", "suite", "s.toml", "--json")
        assert result.code == 0, result.err
        return result.document

    return run


def lengths(document):
    """The metric of each record, by the file that its option names."""
    return {record["options"]["table"]: record["metrics"]["length"] for record in document["records"]}


def test_changed_file_gives_new_cells_and_restored_content_finds_the_old_records(suite, harness_cli):
    harness_cli.write("a.txt", "four")
    first = suite()
    assert lengths(first) == {"a.txt": 4, "": -1}
    harness_cli.write("a.txt", "seven..")
    second = suite()
    assert lengths(second) == {"a.txt": 7, "": -1}
    assert second["cells"]["run"] == 1
    harness_cli.write("a.txt", "four")
    third = suite()
    assert third["cells"]["run"] == 0
    assert lengths(third) == {"a.txt": 4, "": -1}


def test_record_contains_the_digest_of_the_file(suite, harness_cli):
    harness_cli.write("a.txt", "four")
    suite()
    # sha256 of "four", its first 32 digits.
    data = {record["options"]["table"]: record["data"] for record in harness_cli.records}
    assert data == {"a.txt": {"option table": "04efaf080f5a3e74e1c29d1ca6a48569"}, "": {}}


def test_missing_file_is_refused_before_cells_run(harness_cli):
    harness_cli.write("file_reader.py", PLUGIN)
    path = harness_cli.write("s.toml", SUITE)
    result = harness_cli("-p", "file_reader.py", "suite", path)
    assert result.code == 2
    assert "cross[0]: option table of read/length = 'a.txt': there is no such file" in result.err
    assert str(harness_cli.folder) in result.err
    assert not (harness_cli.folder / "results").exists()


@pytest.mark.parametrize("default", [3, "mine.csv"])
def test_default_of_a_file_option_must_be_empty(default):
    with pytest.raises(UsageError, match="has '' as its default"):
        Option(default, file=True)
