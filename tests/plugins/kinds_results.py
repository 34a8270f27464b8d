"""A results folder with records of every kind of claim, written and not run."""

from __future__ import annotations

from pathlib import Path

from harness.cell import Record
from harness.files.suite import read_suite
from harness.judge import SuiteResult, judged_suites
from harness.planning.cross import cells_of
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.registry import load_registry
from harness.registry.importing import import_origin

KINDS = str(Path(__file__).parent.parent / "kinds")
REGISTRY = load_registry((KINDS,))


def kinds_records() -> list[Record]:
    """A record of every cell of the suite ``kinds`` that has one."""
    record = import_origin(KINDS).record
    made = [record(cell) for cell in cells_of(read_suite("kinds", REGISTRY), REGISTRY)]
    return [record for record in made if record is not None]


def write_records(folder: Path, records: list[Record]) -> Path:
    """Write a results folder."""
    file = RecordsFile(folder)
    file.prepare()
    file.path.write_text("".join(f"{record.to_line()}\n" for record in records), encoding="utf-8")
    return folder


def kinds_result(folder: Path) -> SuiteResult:
    """The suite ``kinds`` as it is judged from its records."""
    (result,) = judged_suites(REGISTRY, [], Request(suite="", results=write_records(folder, kinds_records())))
    return result
