"""The run of one claim: its verdict and what was measured, beside the figures of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge import sentence
from harness.numbers import with_interval
from harness_plugins.tracking.runs import DesiredRun, Point, param_text, split_finite, without_empty

if TYPE_CHECKING:
    from harness.files.claims import Claim
    from harness.judge import Verdict


def claim_run(claim: Claim, verdict: Verdict | None, start: int) -> DesiredRun:
    """The run of a claim on one device kind; ``verdict`` is None where the claim has no test."""
    printed = {f"paper.{name}": value for name, value in claim.paper.items()}
    points: list[Point] = [(n, float(value), 0) for n, value in printed.items() if not isinstance(value, (str, bool))]
    tags = {name: str(value) for name, value in printed.items() if isinstance(value, (str, bool))}
    if verdict is None:
        device, word, text = "", "not-run", f"not run: {claim.untestable}"
        tags |= {"verdict": word, "cause": claim.untestable}
    else:
        device, word, text = verdict.device, verdict.verdict, sentence(verdict, claim)
        points += _measured(claim, verdict)
        tags |= {
            "verdict": word,
            "interval": with_interval(verdict.estimate, verdict.low, verdict.high),
            "verdict.holm": verdict.holm_verdict,
            "scale": verdict.scale,
            "cause": verdict.cause,
        }
    finite, not_finite = split_finite(points)
    source = f"{claim.source.article} {claim.source.id}".strip()
    note = f"**{claim.says}**\n\n{text}\n\nSource: {source} ({claim.fidelity})\n\n{claim.note}"
    tags |= {
        "says": claim.says,
        "source": source,
        "fidelity": claim.fidelity,
        "sentence": text,
        **not_finite,
        "mlflow.note.content": note.strip(),
    }
    return DesiredRun(
        kind="claim",
        key=f"claim {claim.id} {device}",
        name=claim.id if device in ("", "cpu") else f"{claim.id} · {device}",
        status="SCHEDULED" if word == "not-run" else "FINISHED",
        params=without_empty({**_test_params(claim), "device": device}),
        points=finite,
        tags=without_empty(tags),
        start=start,
    )


def _measured(claim: Claim, verdict: Verdict) -> list[Point]:
    """The numbers of a verdict, and what was measured on each side."""
    names = ("estimate", "low", "high", "p", "p_holm", "n", "seeds_needed")
    values = {**{name: getattr(verdict, name) for name in names}, **_sides(claim, verdict)}
    return [(name, float(value), 0) for name, value in values.items() if value is not None]


def _sides(claim: Claim, verdict: Verdict) -> dict[str, float | None]:
    """What was measured on each side of a comparison, named as the paper's figures are."""
    method, than = getattr(claim.test, "method", None), getattr(claim.test, "than", None)
    if verdict.scale == "gap" or than in (None, method):
        return {"here.a": verdict.a, "here.b": verdict.b} if verdict.b is not None else {f"here.{method}": verdict.a}
    return {f"here.{method}": verdict.a, f"here.{than}": verdict.b}


def _test_params(claim: Claim) -> dict[str, str]:
    """A claim's test under the names that the other runs use; a restriction to several values lists them."""
    if claim.test is None:
        return {}
    test = claim.test.model_dump(exclude_defaults=True)
    where = test.pop("where", {})
    return {name: param_text(value) for name, value in {**where, **test}.items()}
