"""An option may name a file of the user's: it must be there, and its content is part of the cell's key."""

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
    """Runs the suite, and gives its records' lengths by file."""
    harness_cli.write("file_reader.py", PLUGIN)
    harness_cli.write("s.toml", SUITE)

    def run():
        ended = harness_cli("-p", "file_reader.py", "suite", "s.toml", "--json")
        assert ended.code == 0, ended.err
        return ended.document

    return run


def lengths(document):
    return {record["options"]["table"]: record["metrics"]["length"] for record in document["records"]}


def test_a_file_that_changed_makes_other_cells_and_one_that_changed_back_finds_the_old(suite, harness_cli):
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


def test_the_record_tells_the_files_digest(suite, harness_cli):
    harness_cli.write("a.txt", "four")
    suite()
    # sha256 of "four", its first 32 digits.
    data = {record["options"]["table"]: record["data"] for record in harness_cli.records}
    assert data == {"a.txt": {"option table": "04efaf080f5a3e74e1c29d1ca6a48569"}, "": {}}


def test_a_file_that_is_not_there_is_refused_before_anything_runs(harness_cli):
    harness_cli.write("file_reader.py", PLUGIN)
    path = harness_cli.write("s.toml", SUITE)
    ended = harness_cli("-p", "file_reader.py", "suite", path)
    assert ended.code == 2
    assert "cross[0]: option table of read/length = 'a.txt': there is no such file" in ended.err
    assert str(harness_cli.folder) in ended.err
    assert not (harness_cli.folder / "results").exists()


@pytest.mark.parametrize("default", [3, "mine.csv"])
def test_an_option_names_no_file_until_the_user_does(default):
    with pytest.raises(UsageError, match="has '' as its default"):
        Option(default, file=True)
