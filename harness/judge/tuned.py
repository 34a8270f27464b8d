"""How the methods of a claim were tuned, in a sentence for its answer, and whether the trials agree with the choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from harness.cell import Cell, Record
from harness.files.claims import Claim
from harness.judge.contrast import contrast
from harness.judge.pairing import Group, members, sides, tested
from harness.judge.result import SuiteResult
from harness.judge.studies import Study, outcomes_of
from harness.judge.verdicts import Verdict
from harness.numbers import duration
from harness.planning.setting import typed
from harness.planning.tuning import Tuning


def tuned_text(claim: Claim, verdict: Verdict, groups: Sequence[Group], result: SuiteResult) -> str:
    """Whether the methods of a comparison were tuned, and where they ran with options of their own."""
    cells = members(groups)
    methods = list(dict.fromkeys(cell.method for cell in cells))
    one_method = all(side.method == methods[0] for side in sides(tested(claim))[1:]) if methods else True
    own = studies_behind(cells, result)
    if not own:
        return "" if one_method else _untuned(methods, cells, result)
    by_method = {m: list(dict.fromkeys(_way(s.tuning) for s in own if s.cell.method == m)) for m in methods}
    parts = ["; ".join(_ways(by_method, methods, cells, result))]
    parts += [text for method in methods if (text := _failed(method, own, result))]
    return "; ".join(filter(None, [*parts, at_each_trial(claim, verdict, own, result)]))


def studies_behind(cells: Iterable[Cell], result: SuiteResult) -> list[Study]:
    """The studies that some of these cells stand for."""
    ids = {cell.id for cell in cells if cell.tuned}
    return [study for study in result.studies if study.cell.id in ids]


def search_cost(groups: Sequence[Group], result: SuiteResult) -> str:
    """What the search took on each side: "all trials of a study take 12 s against 9 s"; "" where one was not tuned."""
    spent = []
    for group in groups[:2]:
        trials = [study.recorded(result.records) for study in studies_behind(members([group]), result)]
        if not trials:
            return ""
        spent.append(fmean(sum(record.seconds for _, _, record in own) for own in trials))
    return f"all trials of a study take {' against '.join(map(duration, spent))}"


def at_each_trial(claim: Claim, verdict: Verdict, own: Sequence[Study], result: SuiteResult) -> str:
    """Whether the method is ahead at every trial or only at some: "at every base_lr tried a is better".

    By the mean over seeds of what the claim is judged by, at each trial of its studies in turn; it decides nothing. ""
    where the two sides are not two methods with the same trials.
    """
    test = tested(claim)
    every = sides(test)
    task = result.plan.registry.tasks.get(test.tasks[0])
    metric = task.metrics.get(test.metric) if task is not None else None
    if metric is None or metric.better is None or len(every) != 2 or every[0].method == every[1].method:
        return ""
    ways = {_way(study.tuning) for study in own}
    if len(ways) != 1 or {study.cell.method for study in own} != set(test.names):
        return ""
    tuning = own[0].tuning
    method, count = every[0].method, len(tuning.trials)
    at_each = [_with_one_trial(own, place) for place in range(count)]
    ahead = sum(_is_ahead(claim, verdict, studies, result, metric.sign) for studies in at_each)
    one = len(tuning.names) == 1
    if ahead == count:
        return f"at every {tuning.names[0] if one else 'combination'} tried {method} is better"
    tried = f"values of {tuning.names[0]}" if one else "combinations"
    return f"{method} is better at {ahead or 'none'} of the {count} {tried} tried"


def _with_one_trial(studies: Iterable[Study], place: int) -> list[Study]:
    """The studies as if one trial were all they have."""
    alone = []
    for study in studies:
        tuning = study.tuning
        key = list(tuning.trials)[place]
        only = Tuning(tuning.setting, {key: tuning.trials[key]}, tuning.by, tuning.sign, tuning.grid)
        alone.append(Study.of(only, [study.trials[place]]))
    return alone


def _is_ahead(claim: Claim, verdict: Verdict, studies: Sequence[Study], result: SuiteResult, sign: int) -> bool:
    """Whether the method is ahead on average over the seeds of the verdict, in each setting that must hold."""
    records: Mapping[str, Record] = outcomes_of(studies, result.records)
    cells = [study.cell for study in studies]
    series = contrast(claim, cells, records, sign, verdict.device, most=verdict.n or None).series
    return bool(series) and all(fmean(one.values) > 0 for one in series)


def _way(tuning: Tuning) -> tuple[str, tuple[tuple[object, ...], ...]]:
    """What is tried and what chooses, as a value to compare by."""
    return f"{tuning.text}, {len(tuning.trials)} trials", tuple(
        tuple(typed(v) for v in trial.values()) for trial in tuning.choices
    )


def _failed(method: str, studies: Iterable[Study], result: SuiteResult) -> str:
    """How many of a method's trials failed; "" where none did."""
    records = [r for study in studies if study.cell.method == method for *_, r in study.recorded(result.records)]
    failed = sum(record.status == "failed" for record in records)
    return f"{failed} of {len(records)} trials of {method} failed and could not be chosen" if failed else ""


def _ways(
    by_method: Mapping[str, Sequence[tuple[str, object]]],
    methods: Sequence[str],
    cells: Sequence[Cell],
    result: SuiteResult,
) -> list[str]:
    """How each method was tuned; once where all were tuned alike."""
    first = by_method[methods[0]]
    if all(own == first for own in by_method.values()):
        who = {1: f"{methods[0]} was tuned", 2: "both tuned alike"}.get(len(methods), "all tuned alike")
        each = " each" if len(methods) > 1 else ""
        return [f"{who}: {' or '.join(text for text, _ in first)}{each}"]
    untuned = [method for method in methods if not by_method[method]]
    tuned = [f"{method} was tuned: {' or '.join(t for t, _ in own)}" for method, own in by_method.items() if own]
    return [*tuned, *([_untuned(untuned, cells, result)] if untuned else [])]


def _untuned(methods: Sequence[str], cells: Sequence[Cell], result: SuiteResult) -> str:
    """That these methods were not tuned: a cell has the settings of its suite, and the rest is at its default."""
    who = {1: f"{methods[0]} was not tuned here", 2: "neither was tuned here"}.get(len(methods), "none was tuned here")
    own = {method: _own_settings(method, cells, result) for method in methods}
    # What the suite sets alike for all of them is no advantage of one.
    apart = {
        m: [text for text in texts if not all(text in other for other in own.values())] for m, texts in own.items()
    }
    named = [f"{method} with {' '.join(texts)}" for method, texts in apart.items() if texts]
    if not any(own.values()) and any(cell.own for cell in cells if cell.method in methods):
        named.append("with their own options at the defaults")
    return ", ".join([f"{who}: all ran at the suite's settings", *named])


def _own_settings(method: str, cells: Sequence[Cell], result: SuiteResult) -> list[str]:
    """A method's own options where they are not at the default: "alpha=1,2"."""
    registered = result.plan.registry.methods.get(method)
    declared = registered.options if registered else {}
    values: dict[str, dict[object, str]] = {}
    for cell in cells:
        for name in (n for n in cell.own if cell.method == method and n in declared):
            values.setdefault(name, {})[typed(cell.options[name])] = f"{cell.options[name]}"
    return [
        f"{name}={','.join(texts.values())}"
        for name, texts in values.items()
        if list(texts) != [typed(declared[name].default)]
    ]
