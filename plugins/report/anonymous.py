"""Take out of a report what tells whose machine the results are from; ``--full`` leaves it in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from markupsafe import Markup

from harness.judge import SuiteResult
from harness.records.anonymous import Anonymiser, without_paths
from harness.registry import Registry
from harness_plugins.report.environments import Environment


def anonymiser(sources: Iterable[Environment], results: Iterable[SuiteResult], registry: Registry) -> Anonymiser:
    """What rewrites the records of these results, which come from these environments."""
    records = (record for result in results for record in result.records.values())
    return Anonymiser.of((source.entries for source in sources), records, registry)


def anonymous(result: SuiteResult, anonymiser: Anonymiser) -> SuiteResult:
    """The result with its causes and outputs rewritten."""
    text = anonymiser.text
    return replace(
        result,
        records={i: anonymiser.record(record) for i, record in result.records.items()},
        verdicts=tuple(replace(v, cause=text(v.cause)) if v.cause else v for v in result.verdicts),
        checks=tuple(replace(v, cause=text(v.cause)) if v.cause else v for v in result.checks),
    )


def shown_without_paths(value: object) -> object:
    """A value of a template without absolute paths; of markup only its text is looked at.

    >>> shown_without_paths("see /srv/lab/x.csv"), shown_without_paths(Markup('<a href="/a/b">/srv/lab/x.csv</a>'))
    ('see .../x.csv', Markup('<a href="/a/b">.../x.csv</a>'))
    """
    if isinstance(value, Markup):
        return Markup(re.sub(r"(?<=>)[^<]+", lambda match: without_paths(match[0]), value))
    return without_paths(value) if isinstance(value, str) else value
