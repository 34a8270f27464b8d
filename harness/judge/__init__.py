"""The statistics of the harness: records and claims in, verdicts and summaries out. It runs nothing."""

from harness.judge.decide import holm_corrected, judge
from harness.judge.intervals import (
    LOOK_ALPHA,
    MIN_SEEDS,
    Interval,
    Region,
    holm,
    p_values,
    position,
    seeds_to_decide,
    t_interval,
)
from harness.judge.pairing import needed_cells
from harness.judge.recorded import judged_suites, warn_of_unregistered
from harness.judge.result import ALPHA, SuiteResult, check_claims, judge_plan
from harness.judge.summary import Estimate, Summary, summarise
from harness.judge.verdicts import Verdict, Word, sentence

__all__ = [
    "ALPHA",
    "LOOK_ALPHA",
    "MIN_SEEDS",
    "Estimate",
    "Interval",
    "Region",
    "SuiteResult",
    "Summary",
    "Verdict",
    "Word",
    "check_claims",
    "holm",
    "holm_corrected",
    "judge",
    "judge_plan",
    "judged_suites",
    "needed_cells",
    "p_values",
    "position",
    "seeds_to_decide",
    "sentence",
    "summarise",
    "t_interval",
    "warn_of_unregistered",
]
