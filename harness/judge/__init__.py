"""The statistics of the harness: records and claims in, verdicts and summaries out. It runs nothing."""

from harness.judge.decide import holm_corrected, judge
from harness.judge.intervals import (
    LOOK_ALPHA,
    LOOKS,
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
from harness.judge.summary import Estimate, Summary, summarise
from harness.judge.verdicts import Verdict, Word, sentence

__all__ = [
    "LOOKS",
    "LOOK_ALPHA",
    "MIN_SEEDS",
    "Estimate",
    "Interval",
    "Region",
    "Summary",
    "Verdict",
    "Word",
    "holm",
    "holm_corrected",
    "judge",
    "needed_cells",
    "p_values",
    "position",
    "seeds_to_decide",
    "sentence",
    "summarise",
    "t_interval",
]
