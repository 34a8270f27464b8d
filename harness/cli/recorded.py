"""Suites as their records stand, for the commands that run nothing."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UnknownName

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.request import Request
    from harness.session import SuiteResult


def judged_suites(found: Registry, names: Sequence[str], request: Request) -> list[SuiteResult]:
    """Judge the suites that the names mean from their records, each restricted to the claims they mean.

    Names are suites, suite files, or claims (globs allowed); without any, every registered suite that has
    records. ``request`` says how many seeds, and where the records are.
    """
    from harness.plan import prepare
    from harness.records import RecordsFile
    from harness.session import judged

    devices: dict[str, set[str]] = {}
    for record in RecordsFile(request.folder).load().by_id.values():
        devices.setdefault(record.suite, set()).add(record.device)
    suites = [name for name in names if name in found.suites or name.endswith(".toml")]
    patterns = [name for name in names if name not in suites]
    for pattern in patterns:
        if not fnmatch.filter(found.claims, pattern):
            raise UnknownName("suite or claim", pattern, [*found.suites, *found.claims])
    also = [name for name in found.suites if name in devices and name not in suites and (patterns or not names)]
    results = []
    for name in (*suites, *also):
        kinds = tuple(sorted(devices.get(Path(name).stem, {"cpu"})))
        session = prepare(replace(request, suite=name, devices=kinds), found)
        if name in also and patterns:
            claims = {
                i: c for i, c in session.suite.claims.items() if any(fnmatch.fnmatchcase(i, p) for p in patterns)
            }
            session = replace(session, suite=replace(session.suite, claims=claims))
        if name in suites or not patterns or session.suite.claims:
            results.append(judged(session, session.records))
    return results
