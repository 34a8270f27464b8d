"""Seals: what a claim's test was before the first record that it rests on, so that a later change is seen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, TypeAdapter

from harness.cell import Record
from harness.errors import UsageError
from harness.files.suite import Suite
from harness.numbers import plural
from harness.records.lines import STRICT, Time, damaged_lines

#: The file of a results folder.
NAME = "seals.jsonl"


@dataclass(frozen=True)
class Seal:
    """The test of a claim in a suite, at a time."""

    __pydantic_config__ = STRICT

    suite: str
    claim: str
    #: Of everything that decides: see `test_digest`.
    digest: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
    #: In UTC, as the times of records.
    sealed: Time


_read_seal = TypeAdapter(Seal).validate_json


def test_digest(suite: Suite, claim_id: str) -> str:
    """The digest of what decides a claim: its test, checks and their tests, family, and the suite's looks.

    Sentences, notes, printed figures and the like are not part of it.
    """
    claim = suite.claims[claim_id]
    content = {
        "test": claim.model_dump(mode="json", include={"test", "origin", "primary"}),
        "without chance": claim.without_chance,
        "family": claim.source.article,
        "checks": {
            name: suite.checks[name].model_dump(mode="json", include={"test"}) for name in suite.rests_on[claim_id]
        },
        "looks": list(suite.looks),
    }
    if tuned := _tuned(suite, claim_id):
        content["tuned"] = tuned
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _tuned(suite: Suite, claim_id: str) -> list[dict[str, object]]:
    """The tables of the blocks that tune a task that the claim is on: who widens a grid later changes the test."""
    test = suite.claims[claim_id].test
    tasks = set(test.tasks) if test is not None else set()
    blocks = [b for b in suite.cross if tasks & {*([b.task] if isinstance(b.task, str) else b.task)}]
    return [block.tune.model_dump(mode="json") for block in blocks if block.tune is not None]


def read_seals(folder: Path) -> tuple[Seal, ...]:
    """The seals of a results folder, in the order in which they were written. Lines that are none are left out."""
    return tuple(seal for _, line in seal_lines(folder) if (seal := parse_seal(line)))


def damaged_seals(folder: Path) -> list[int]:
    """Numbers of the lines that are no seal."""
    return [number for number, line in seal_lines(folder) if not parse_seal(line)]


def seal_warnings(folder: Path) -> tuple[str, ...]:
    """Sentences for a person on the lines that are no seal."""
    damaged = damaged_seals(folder)
    return (damaged_lines(folder / NAME, damaged),) if damaged else ()


def seal_lines(folder: Path) -> list[tuple[int, bytes]]:
    """Every line of the folder's seals that is not blank, with its number from 1; none where there is no file."""
    path = folder / NAME
    try:
        lines = path.read_bytes().split(b"\n") if path.is_file() else []
    except OSError:
        return []
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def parse_seal(line: bytes) -> Seal | None:
    """A line as a seal; None where it is none."""
    try:
        return _read_seal(line)
    except ValueError:
        return None


def seal(folder: Path, suite: Suite, now: str) -> tuple[Seal, ...]:
    """Seal the tests of a suite's claims that are not sealed as they are now; gives all seals of the folder.

    Raises UsageError where the folder cannot be written.
    """
    new = [Seal(suite.name, name, test_digest(suite, name), now) for name, claim in suite.claims.items() if claim.test]
    return add_seals(folder, new)


def add_seals(folder: Path, seals: Iterable[Seal]) -> tuple[Seal, ...]:
    """Append the seals whose digest the folder does not have yet for their claim; gives all seals of the folder."""
    try:
        with FileLock(folder / ".records.lock"), (folder / NAME).open("ab") as stream:
            known = read_seals(folder)
            have = {(s.suite, s.claim, s.digest) for s in known}
            new = [s for s in seals if (s.suite, s.claim, s.digest) not in have]
            torn = b"\n" if stream.tell() and not (folder / NAME).read_bytes().endswith(b"\n") else b""
            stream.write(torn + b"".join(json.dumps(asdict(s)).encode() + b"\n" for s in new))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UsageError(f"results folder {folder} cannot be written: {error.strerror}") from None
    return (*known, *new)


def late_test(seals: Sequence[Seal], suite: Suite, claim: str, records: Iterable[Record]) -> str:
    """What a reader must know of a test that is not the one sealed before the first record that it rests on.

    "test changed after 40 records"; "" where it is, and in a folder without any seal of the suite.
    """
    own = [s for s in seals if s.suite == suite.name]
    if not own:
        return ""
    digest = test_digest(suite, claim)
    sealed = min((s.sealed for s in own if s.claim == claim and s.digest == digest), default=None)
    before = sum(sealed is None or record.finished < sealed for record in records)
    if not before:
        return ""
    changed = any(s.claim == claim and s.digest != digest for s in own)
    return f"test {'changed' if changed else 'first seen'} after {plural(before, 'record')}"
