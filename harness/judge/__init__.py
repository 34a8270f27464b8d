"""The statistics of the harness: records and claims in, verdicts and summaries out. It runs nothing."""

from harness.judge.answers import Answer, PlainWord, answer_of, answers_of, coverage
from harness.judge.decide import judge, judge_each, judge_settings
from harness.judge.family import CHECKED, holm_corrected, informative
from harness.judge.intervals import (
    MIN_SEEDS,
    Interval,
    Region,
    holm,
    p_values,
    position,
    t_interval,
)
from harness.judge.looks import ALPHA, Look, planned
from harness.judge.pairing import needed_cells
from harness.judge.planned_power import Power, power_of
from harness.judge.recorded import judged_suites, warn_of_unregistered
from harness.judge.result import SuiteResult, check_claims, judge_plan
from harness.judge.strip import strip_places
from harness.judge.summary import Estimate, Summary, summarise
from harness.judge.verdicts import Verdict, Word, needed, numbers_of, seen_text, sentence, shown

__all__ = [
    "ALPHA",
    "CHECKED",
    "MIN_SEEDS",
    "Answer",
    "Estimate",
    "Interval",
    "Look",
    "PlainWord",
    "Power",
    "Region",
    "SuiteResult",
    "Summary",
    "Verdict",
    "Word",
    "answer_of",
    "answers_of",
    "check_claims",
    "coverage",
    "holm",
    "holm_corrected",
    "informative",
    "judge",
    "judge_each",
    "judge_plan",
    "judge_settings",
    "judged_suites",
    "needed",
    "needed_cells",
    "numbers_of",
    "p_values",
    "planned",
    "position",
    "power_of",
    "seen_text",
    "sentence",
    "shown",
    "strip_places",
    "summarise",
    "t_interval",
    "warn_of_unregistered",
]
