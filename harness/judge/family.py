"""Families of claims: Holm's correction for how many there are, and checks that must hold first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.files.claims import Claim
from harness.judge.intervals import holm
from harness.judge.looks import ALPHA
from harness.judge.verdicts import Verdict, Word


def holm_corrected(judged: Sequence[Sequence[Verdict]], claims: Mapping[str, Claim]) -> tuple[Verdict, ...]:
    """One verdict for each claim, after Holm's correction within its family.

    ``judged`` has for each claim its verdicts as if it were the only one, at every look that decided it. A family are
    the claims of one source and origin on one device kind; a primary claim is a family of its own. Claims whose cells
    have not run count with a p-value of 1, so that a family does not shrink with what was run. A look stands if its
    p-value, times the factor that Holm gives the claim's smallest, is at most 0.05; the first that stands decides.
    """
    families: dict[tuple[str, ...], list[int]] = {}
    for index, looks in enumerate(judged):
        if not looks[0].deterministic:
            families.setdefault(_family(claims[looks[0].claim], looks[0].device), []).append(index)
    verdicts = [looks[0] for looks in judged]
    for family in families.values():
        smallest = [min(1.0 if v.p is None else v.p for v in judged[index]) for index in family]
        for index, p, p_holm in zip(family, smallest, holm(smallest), strict=True):
            verdicts[index] = _corrected(judged[index], p_holm / p if p else 1.0, len(family))
    return tuple(verdicts)


def _family(claim: Claim, device: str) -> tuple[str, ...]:
    return (claim.source.article, claim.origin, device, claim.id if claim.primary else "")


def _corrected(looks: Sequence[Verdict], factor: float, family: int) -> Verdict:
    """The first look that stands after the correction; the nearest to standing, taken back, where none does."""
    corrected = [replace(v, family=family, p_holm=None if v.p is None else min(1.0, v.p * factor)) for v in looks]
    if corrected[0].p is None or corrected[0].verdict == "inconclusive":
        return corrected[0]
    for verdict in corrected:
        if verdict.p_holm is not None and verdict.p_holm <= ALPHA:
            return verdict
    nearest = min(corrected, key=lambda v: v.p_holm or 0.0)
    cause = f"{nearest.verdict} if it were the only claim, not as one of {family}"
    return replace(nearest, verdict="inconclusive", cause=cause)


def corrected_like(claim: Verdict, settings: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts of a claim's settings with the correction that the claim itself got, and its checks."""
    factor = claim.p_holm / claim.p if claim.p and claim.p_holm is not None else 1.0
    corrected = []
    for setting in settings:
        word = setting.verdict
        if setting.p is not None and setting.p * factor > ALPHA:
            word = "inconclusive"
        if claim.verdict == "not-informative":
            word = "not-informative"
        corrected.append(replace(setting, verdict=word))
    return corrected


def informative(
    verdicts: Sequence[Verdict], checks: Sequence[Verdict], rests_on: Mapping[str, Sequence[str]]
) -> tuple[Verdict, ...]:
    """The verdicts, and not-informative in place of each that rests on a check that does not hold on its device."""
    by_id = {(check.claim, check.device): check for check in checks}
    shown = []
    for verdict in verdicts:
        for name in rests_on.get(verdict.claim, ()):
            check = by_id.get((name, verdict.device)) or by_id.get((name, ""))
            if verdict.verdict == "not-run" or (check is not None and check.verdict == "reproduced"):
                continue
            word = "has no cells here" if check is None else _CHECK_WORDS[check.verdict]
            why = f": {check.cause}" if check is not None and check.cause else ""
            cause = f"the check {name} {word}{why}"
            verdict = replace(verdict, verdict="not-informative", cause=cause)
            break
        shown.append(verdict)
    return tuple(shown)


_CHECK_WORDS = {"contradicted": "fails", "inconclusive": "is undecided", "not-run": "has not run"}
#: How the word of a verdict reads for a check.
CHECKED: Mapping[Word, str] = {
    "reproduced": "holds",
    "contradicted": "fails",
    "inconclusive": "undecided",
    "not-run": "not run",
}
