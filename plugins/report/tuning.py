"""What tuning came to on a task: each metric over the tuned option, and how often each trial was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from harness.judge import SuiteResult, Summary, summarise
from harness.judge.studies import Search
from harness.numbers import duration, number, with_half, with_interval
from harness.planning.setting import key_of, typed
from harness.planning.tuning import Trial
from harness_plugins.report import charts
from harness_plugins.report.elements import Picture, Table

#: Charts of tuning for a task, and metrics that are drawn beside the one that chooses.
_MOST_CHARTS, _MOST_METRICS = 12, 1


@dataclass(frozen=True)
class TuningSection:
    """The tuning of one task."""

    #: What each setting tried and what chose, in a sentence.
    explanation: str
    #: On optima at the edge of what was tried.
    warnings: Sequence[str]
    pictures: Sequence[Picture]
    table: Table
    #: How many columns of the table hold names.
    names: int


def tuning_section(result: SuiteResult, task: str, methods: Sequence[str]) -> TuningSection | None:
    """The section of a task; None where nothing of it was tuned. ``methods`` give their series by their places."""
    own = [search for search in result.searches if search.tuning.setting.task == task]
    if not own:
        return None
    trials = [cell for study in result.studies if study.cell.task == task for cell in study.trials]
    cells = list({cell.id: cell for cell in trials}.values())
    # A search knows its trials by the keys of their settings.
    measured = {key_of(summary): summary for summary in summarise(cells, result.records)}
    shown = result.plan.suite.shown_metrics(result.plan.registry.tasks[task])
    by = list(dict.fromkeys(search.tuning.by for search in own))
    metrics = [*by, *[metric for metric in shown if metric not in by][:_MOST_METRICS]]
    ways = dict.fromkeys(f"{search.tuning.text}, {len(search.tuning.trials)} trials" for search in own)
    spent = ", ".join(dict.fromkeys(f"{s.tuning.setting.method} {duration(s.seconds)}" for s in own if s.seconds))
    return TuningSection(
        explanation=f"{'; '.join(ways)}. A study makes every trial under one seed, chooses by {' or '.join(by)}, and "
        "counts with what the chosen trial has on test."
        + (f" All trials of a study take on average: {spent}." if spent else ""),
        warnings=[text for search, text in result.edges if search.tuning.setting.task == task],
        pictures=_pictures(result, own, measured, metrics, methods)[:_MOST_CHARTS],
        table=_table(result, own, measured, metrics),
        names=3,
    )


def _pictures(
    result: SuiteResult,
    own: Sequence[Search],
    measured: Mapping[str, Summary],
    metrics: Sequence[str],
    methods: Sequence[str],
) -> list[Picture]:
    """For each metric, tuned option of numbers and setting a chart with a line for each method."""
    by_setting: dict[tuple[str, str], list[Search]] = {}
    for search in own:
        for name, values in search.tuning.values.items():
            if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
                by_setting.setdefault((name, result.label_of(search)), []).append(search)
    pictures = []
    for metric in metrics:
        for (name, setting), searches in by_setting.items():
            lines = [line for search in searches if (line := _line(search, name, metric, measured, methods)).points]
            if lines:
                caption = f"{metric} over {name}{f', {setting}' if setting else ''}"
                numbers = sorted({x for line in lines for x, *_ in line.points})
                drawing = charts.over_option(lines, caption, geometric(numbers))
                pictures.append(Picture(Markup(drawing), caption))
    return pictures


def geometric(numbers: Sequence[float]) -> bool:
    """Whether growing numbers are nearer to a constant ratio than to a constant distance.

    >>> geometric([0.001, 0.003, 0.01]), geometric([1.0, 2.0, 3.0]), geometric([0.0, 1.0, 10.0])
    (True, False, False)
    """
    if len(numbers) < 3 or numbers[0] <= 0:
        return len(numbers) == 2 and numbers[0] > 0 and numbers[1] / numbers[0] >= 5
    ratios = [later / earlier for earlier, later in pairwise(numbers)]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    return max(ratios) / min(ratios) < max(steps) / min(steps)


def _line(
    search: Search, name: str, metric: str, measured: Mapping[str, Summary], methods: Sequence[str]
) -> charts.OptionLine:
    """A metric at each value of an option.

    Of a grid over several options the others are at the values that were chosen most often.
    """
    tuning = search.tuning
    most: Trial = max(search.chosen, key=lambda item: item[1])[0]
    points = []
    for key, trial in tuning.trials.items():
        beside = all(typed(trial[other]) == typed(most[other]) for other in tuning.names if other != name)
        summary = measured.get(key)
        estimate = summary.estimates.get(metric) if summary is not None else None
        if estimate is not None and (beside or not tuning.grid):
            value = trial[name]
            assert isinstance(value, (int, float))
            tip = f"{tuning.setting.method} {tuning.label(trial)}: "
            tip += with_interval(estimate.mean, estimate.low, estimate.high)
            points.append((float(value), estimate.mean, estimate.low, estimate.high, tip))
    return charts.OptionLine(methods.index(tuning.setting.method), sorted(points), joined=tuning.grid)


def _table(
    result: SuiteResult, own: Sequence[Search], measured: Mapping[str, Summary], metrics: Sequence[str]
) -> Table:
    """Each trial of each method and setting: how often it was chosen, and what it measured."""
    rows = []
    for search in own:
        tuning = search.tuning
        for (key, trial), count in zip(tuning.trials.items(), search.counts, strict=True):
            summary = measured.get(key)
            estimates = summary.estimates if summary is not None else {}
            numbers = [with_half(e.mean, e.low, e.high) if (e := estimates.get(metric)) else "–" for metric in metrics]
            failed = summary.failures if summary is not None else 0
            where = result.label_of(search)
            spent = number(summary.seconds if summary is not None else None, significant=3)
            ended = f"{count} of {search.ended}"
            rows.append(
                [tuning.setting.method, where, tuning.label(trial), ended, *numbers, spent, str(failed or "none")]
            )
    return Table.of(["method", "setting", "trial", "chosen", *metrics, "seconds", "failed"], rows)
