"""Results folders as a run of the toy suite leaves them, and a parser of pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from harness.cell import Cell, Record
from harness.files.suite import read_suite
from harness.planning.cross import cells_of
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.records.provenance import environment_digest
from harness.registry import Registry, load_registry
from harness.running.execute import record_of
from harness_plugins.report.report import report

TOY = str(Path(__file__).parent.parent / "toy")
REGISTRY = load_registry((TOY,))
ENVIRONMENT = {
    "python": "3.11.7",
    "cpu": "A Processor",
    "cpus": 4,
    "device": "cpu",
    "threads": 1,
    "source": {"commit": "c" * 40, "dirty": True, "diff": "d" * 16},
    "packages": {"torch": "2.6.0", "numpy": "2.0.0"},
    "torch": {"version": "2.6.0", "deterministic": True},
}


def total(cell: Cell) -> dict[str, float]:
    """Metrics of the toy task: ``lifted`` is higher by one and by a little that depends on the seed."""
    own = {"lifted": 1.0 + 0.01 * cell.seed, "plain": 0.0}[cell.method]
    return {"total": 3.0 + 0.1 * cell.seed + own + float(cell.options["slope"]), "violations": 0.0, "noise": 0.5}


def done(cell: Cell, **more: Any) -> Record:
    """A good record."""
    fields = {
        "metrics": total(cell),
        "curves": {"norm": [(step, 1.0 + step + cell.seed) for step in range(20)]},
        "seconds": 1.0 + 0.1 * cell.seed,
        "peak_bytes": 3_000_000,
        "environment": environment_digest(ENVIRONMENT),
        "started": f"2026-01-15T10:00:{cell.seed % 60:02}.000+00:00",
    }
    return record_of(cell, "done", None, **{**fields, **more})


def toy_cells(registry: Registry = REGISTRY, seeds: int | None = None) -> list[Cell]:
    return list(cells_of(read_suite("toy", registry), registry, seeds=seeds))


def write_results(
    folder: Path,
    make: Callable[[Cell], Record | None] = done,
    registry: Registry = REGISTRY,
    seeds: int | None = None,
    environment: dict[str, Any] = ENVIRONMENT,
) -> list[Record]:
    """Write a results folder with the record that ``make`` gives for each cell of the toy suite, or none for None."""
    file = RecordsFile(folder)
    file.prepare()
    digest = environment_digest(environment)
    file.add_environment(digest, environment)
    records = [record for cell in toy_cells(registry, seeds) if (record := make(cell)) is not None]
    records = [replace(record, environment=digest) if record.environment else record for record in records]
    file.path.write_text("".join(record.to_line() + "\n" for record in records), encoding="utf-8")
    return records


def page_of(folder: Path, registry: Registry = REGISTRY, full: bool = False) -> Page:
    return Page(report(registry, Request(suite="", results=folder), full=full))


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._skip = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._skip += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """Attributes of every element with this tag and these attributes; ``class_`` is one of its classes."""
        name_of_class = attributes.pop("class_", None)
        return [
            own
            for name, own in self.elements
            if name == tag
            and (name_of_class is None or name_of_class in own.get("class", "").split())
            and all(own.get(k) == v for k, v in attributes.items())
        ]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
