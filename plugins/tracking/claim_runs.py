"""The runs of claims and checks: the verdict and what was measured, beside the figures of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge import CHECKED, needed, seen_text, sentence, shown
from harness.records.anonymous import without_paths
from harness_plugins.tracking.runs import COLOUR, COLOURS, DesiredRun, Point, param_text, split_finite, without_empty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.files.claims import Check, Claim
    from harness.judge import Verdict
    from harness.judge.pairing import Statement


def claim_run(claim: Claim, verdict: Verdict | None, start: int, checks: Sequence[str] = ()) -> DesiredRun:
    """The run of a claim on one device kind; ``verdict`` is None where the claim has no test.

    ``checks`` are the ids of those that it rests on.
    """
    printed = {f"paper.{name}": value for name, value in claim.paper.items()}
    points: list[Point] = [(n, float(value), 0) for n, value in printed.items() if not isinstance(value, (str, bool))]
    tags = {name: str(value) for name, value in printed.items() if isinstance(value, (str, bool))}
    if verdict is None:
        device, text = "", f"untestable: {claim.untestable}"
        tags |= {"verdict": "untestable", "cause": claim.untestable, COLOUR: COLOURS["untestable"]}
    else:
        device, text = verdict.device, sentence(verdict, claim)
        points += _measured(claim, verdict)
        tags |= {"verdict": verdict.verdict, "verdict.alone": verdict.alone, **_verdict_tags(claim, verdict)}
    finite, not_finite = split_finite(points)
    source = f"{claim.source.article} {claim.source.id}".strip()
    note = f"**{claim.says}**\n\n{text}\n\nSource: {source} ({claim.origin}, {claim.fidelity})\n\n{claim.note}"
    tags |= {
        "says": claim.says,
        "source": source,
        "fidelity": claim.fidelity,
        "origin": claim.origin,
        "primary": "yes" if claim.primary else "",
        "checks": ", ".join(checks),
        "sentence": text,
        **not_finite,
        "mlflow.note.content": note.strip(),
    }
    return DesiredRun(
        kind="claim",
        key=f"claim {claim.id} {device}",
        name=claim.id if device in ("", "cpu") else f"{claim.id} · {device}",
        status="SCHEDULED" if verdict is not None and verdict.verdict == "not-run" else "FINISHED",
        params=without_empty({**_test_params(claim), "device": device}),
        points=finite,
        tags=without_empty(tags),
        start=start,
    )


def check_run(check: Check, verdict: Verdict, start: int) -> DesiredRun:
    """The run of a check on one device kind: whether it holds, which its claims rest on."""
    finite, not_finite = split_finite(_measured(check, verdict))
    word, text = CHECKED[verdict.verdict], sentence(verdict, check).partition(": ")[2]
    tags = {
        "verdict": word,
        **_verdict_tags(check, verdict),
        "says": check.says,
        "sentence": f"{word}: {text}",
        **not_finite,
        "mlflow.note.content": f"**{check.says}**\n\n{word}: {text}",
    }
    return DesiredRun(
        kind="check",
        key=f"check {check.id} {verdict.device}",
        name=f"check {check.id}" if verdict.device in ("", "cpu") else f"check {check.id} · {verdict.device}",
        status="SCHEDULED" if verdict.verdict == "not-run" else "FINISHED",
        params=without_empty({**_test_params(check), "device": verdict.device}),
        points=finite,
        tags=without_empty(tags),
        start=start,
    )


def _verdict_tags(statement: Statement, verdict: Verdict) -> dict[str, str]:
    """What there is to know of a verdict beside its word, as every view shows it."""
    return {
        "interval": shown(verdict, statement.test) if verdict.estimate is not None else "",
        "needs": needed(verdict),
        COLOUR: COLOURS[verdict.verdict],
        "covers": verdict.covers if verdict.level else "",
        "items": "" if verdict.items is None else str(verdict.items),
        "scale": verdict.scale,
        "cause": without_paths(verdict.cause),
        "would_take": verdict.would_take,
        "could_have_seen": seen_text(verdict),
        "outlier": verdict.outlier,
        "averaged": ", ".join(verdict.averaged),
        "changed": verdict.changed,
    }


def _measured(statement: Statement, verdict: Verdict) -> list[Point]:
    """The numbers of a verdict, and what was measured on each side."""
    names = ("estimate", "low", "high", "p", "p_holm", "family", "n")
    values = {**{name: getattr(verdict, name) for name in names}, **_sides(statement, verdict)}
    return [(name, float(value), 0) for name, value in values.items() if value is not None]


def _sides(statement: Statement, verdict: Verdict) -> dict[str, float | None]:
    """What was measured on each side of a comparison, named as the paper's figures are."""
    method, than = getattr(statement.test, "method", None), getattr(statement.test, "than", None)
    if verdict.scale == "gap" or than in (None, method):
        return {"here.a": verdict.a, "here.b": verdict.b} if verdict.b is not None else {f"here.{method}": verdict.a}
    return {f"here.{method}": verdict.a, f"here.{than}": verdict.b}


def _test_params(statement: Statement) -> dict[str, str]:
    """A test under the names that the other runs use; a restriction to several values lists them."""
    if statement.test is None:
        return {}
    test = statement.test.model_dump(exclude_defaults=True)
    where = test.pop("where", {})
    return {name: param_text(value) for name, value in {**where, **test}.items()}
