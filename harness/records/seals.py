"""Seals: what a claim's test was before the first record that it rests on, so that a later change is seen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from harness.cell import Record
from harness.errors import UsageError
from harness.files.suite import Suite
from harness.numbers import plural

_NAME = "seals.jsonl"


@dataclass(frozen=True)
class Seal:
    """The test of a claim in a suite, at a time."""

    suite: str
    claim: str
    #: Of everything that decides: see `test_digest`.
    digest: str
    #: In UTC, as the times of records.
    sealed: str


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
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def read_seals(folder: Path) -> tuple[Seal, ...]:
    """The seals of a results folder, in the order in which they were written. Lines that are none are left out."""
    try:
        lines = (folder / _NAME).read_bytes().split(b"\n")
    except OSError:
        return ()
    return tuple(seal for line in lines if (seal := _parsed(line)))


def _parsed(line: bytes) -> Seal | None:
    try:
        content = json.loads(line)
        seal = Seal(**content)
    except (ValueError, TypeError, RecursionError):
        return None
    return seal if all(isinstance(value, str) for value in asdict(seal).values()) else None


def seal(folder: Path, suite: Suite, now: str) -> tuple[Seal, ...]:
    """Seal the tests of a suite's claims that are not sealed as they are now; gives all seals of the folder.

    Raises UsageError where the folder cannot be written.
    """
    new = [Seal(suite.name, name, test_digest(suite, name), now) for name, claim in suite.claims.items() if claim.test]
    return add_seals(folder, new)


def add_seals(folder: Path, seals: Iterable[Seal]) -> tuple[Seal, ...]:
    """Append the seals whose digest the folder does not have yet for their claim; gives all seals of the folder."""
    try:
        with FileLock(folder / ".records.lock"), (folder / _NAME).open("ab") as stream:
            known = read_seals(folder)
            have = {(s.suite, s.claim, s.digest) for s in known}
            new = [s for s in seals if (s.suite, s.claim, s.digest) not in have]
            torn = b"\n" if stream.tell() and not (folder / _NAME).read_bytes().endswith(b"\n") else b""
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
    times = [s.sealed for s in own if s.claim == claim and s.digest == digest]
    before = sum(not times or record.finished < min(times) for record in records)
    if not before:
        return ""
    changed = any(s.claim == claim and s.digest != digest for s in own)
    return f"test {'changed' if changed else 'first seen'} after {plural(before, 'record')}"
