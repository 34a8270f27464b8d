"""Tuning: the trials that a block of a suite gives to every method, and the settings whose studies they make up.

A trial is one choice of the tuned options. A study is one method in one setting under one seed with all its trials;
which of them it chooses is judged from the records (``harness.judge.studies``).
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UnknownName, UsageError
from harness.files.suite import Range, Tune
from harness.planning.setting import Setting, label, typed
from harness.spec import Method, Option, Scalar, Task

#: A choice of the tuned options by name.
Trial = Mapping[str, Scalar]
#: How often random search draws, for each trial it needs, before it gives up to find another combination.
_ATTEMPTS = 100


@dataclass(frozen=True)
class Tuning:
    """How one setting of one method is tuned."""

    #: Without the tuned options.
    setting: Setting
    #: By the key of each trial's setting its choice of options, in the order in which ties are decided.
    trials: Mapping[str, Trial]
    #: The metric of validation that chooses, and +1 where higher is better, -1 where lower is.
    by: str
    sign: int
    #: Whether the trials are all combinations of lists of values; otherwise they were drawn.
    grid: bool
    #: Keys of the trials' settings that a block without tuning names too.
    shared: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The tuned options."""
        return tuple(next(iter(self.trials.values())))

    @property
    def values(self) -> dict[str, list[Scalar]]:
        """The values of each tuned option that are tried, in their order."""
        tried = {name: {typed(trial[name]): trial[name] for trial in self.trials.values()} for name in self.names}
        return {name: list(values.values()) for name, values in tried.items()}

    @property
    def choices(self) -> list[Trial]:
        """The trials in their order."""
        return list(self.trials.values())

    @property
    def text(self) -> str:
        """What is tried and what chooses: "base_lr over 4 values, chosen by validation_accuracy"."""
        over = [f"{name} over {len(values)} values" for name, values in self.values.items()]
        tried = over if self.grid else [f"{' and '.join(self.names)} by random search"]
        return f"{' and '.join(tried)}, chosen by {self.by}"

    def label(self, trial: Trial) -> str:
        """A trial for people: "base_lr=0.01"."""
        return label(trial, self.names)


def trials_of(tune: Tune, pairs: Sequence[tuple[Task, Method]], where: str) -> tuple[Trial, ...]:
    """The trials of a block, the same for all its methods: every combination of its lists, or random draws.

    The values have been checked against the options. Raises UsageError for what makes no fair choice: an option that
    some method lacks, a single value, a metric that is not one of validation.
    """
    for task in {task.name: task for task, _ in pairs}.values():
        _check_metric(tune.by, task, f"{where}.by")
    if not tune.options:
        raise UsageError(f"{where}: it names no option to tune, such as base_lr = [0.001, 0.01]")
    options = {name: _option(name, pairs, where) for name in tune.options}
    for name, values in tune.options.items():
        if isinstance(values, Range):
            _check_range(values, options[name], tune, f"{where}.{name}")
        else:
            _check_list(values, f"{where}.{name}")
    lists = {name: values for name, values in tune.options.items() if not isinstance(values, Range)}
    count = math.prod(map(len, lists.values()))
    if tune.trials is None:
        return tuple(dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values()))
    if len(lists) == len(options) and count <= tune.trials:
        text = f"its lists have {count} combinations; without trials all of them are tried"
        raise UsageError(f"{where}.trials = {tune.trials}: {text}")
    return _draw(tune, options, tune.trials, where)


def _check_metric(by: str, task: Task, where: str) -> None:
    """The metric that chooses must be one of validation, and must say which direction is better."""
    usable = [name for name, metric in task.metrics.items() if metric.split == "validation" and metric.better]
    if by not in task.metrics:
        raise UnknownName(f"metric of {task.name}", by, usable or task.metrics, where=where)
    if by not in usable:
        others = f"those that can are {', '.join(usable)}" if usable else "it has no metric of validation"
        why = "has no better direction" if task.metrics[by].split else "is not one of validation"
        raise UsageError(f"{where} = {by!r}: this metric of {task.name} {why} and cannot choose; {others}")


def _option(name: str, pairs: Sequence[tuple[Task, Method]], where: str) -> Option:
    """The option as the first task or method declares it; every method must be able to have it."""
    for task, method in pairs:
        if name not in task.options and name not in method.options:
            text = f"{method.name} on {task.name} has no such option, and every method of a block gets the same trials"
            raise UsageError(f"{where}.{name}: {text}; give methods with other options a block of their own")
    task, method = pairs[0]
    option: Option = {**method.options, **task.options}[name]
    return option


def _check_list(values: Sequence[Scalar], where: str) -> None:
    seen = [typed(value) for value in values]
    if twice := [value for value, key in zip(values, seen, strict=True) if seen.count(key) > 1]:
        raise UsageError(f"{where}: {twice[0]!r} is there twice")
    if len(values) == 1:
        raise UsageError(f"{where} = {values!r}: one value is no choice; put it under options")


def _check_range(bounds: Range, option: Option, tune: Tune, where: str) -> None:
    kind = type(option.default)
    if kind not in (int, float):
        raise UsageError(f"{where}: values of type {kind.__name__} cannot be drawn from a range; give a list")
    if tune.trials is None:
        raise UsageError(f"{where}: a range needs a number of draws, such as trials = 8; or give a list of values")
    if bounds.low >= bounds.high:
        raise UsageError(f"{where}: low = {bounds.low} is not below high = {bounds.high}")
    if bounds.log and bounds.low <= 0:
        raise UsageError(f"{where}: low = {bounds.low}: a logarithm needs a number above 0")


def _draw(tune: Tune, options: Mapping[str, Option], trials: int, where: str) -> tuple[Trial, ...]:
    """Different random choices, drawn by the content of the table alone: whoever reads it draws the same.

    Neither the seeds of the suite nor its methods have a part. The number of trials has none either, so that more
    trials begin with the same ones.
    """
    content = {
        name: values.model_dump() if isinstance(values, Range) else values for name, values in tune.options.items()
    }
    # A generator of the standard library that starts from a text gives the same numbers in every version.
    generator = random.Random(json.dumps(content, sort_keys=True))
    chosen: dict[tuple[object, ...], Trial] = {}
    for _ in range(_ATTEMPTS * trials):
        drawn = {name: _value(tune.options[name], options[name], generator.random()) for name in sorted(options)}
        trial = {name: drawn[name] for name in options}
        chosen.setdefault(tuple(map(typed, trial.values())), trial)
        if len(chosen) == trials:
            return tuple(chosen.values())
    raise UsageError(f"{where}.trials = {trials}: only {len(chosen)} different combinations were drawn")


def _value(values: Sequence[Scalar] | Range, option: Option, share: float) -> Scalar:
    """A value of a list or range at a share between 0 and 1.

    Fractions have four digits: more would differ between machines, whose logarithms differ in the last one.
    """
    if not isinstance(values, Range):
        return values[int(share * len(values))]
    low, high = values.low, values.high
    whole = isinstance(option.default, int)
    if values.log:
        number = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    elif whole:
        number = math.floor(low + share * (high - low + 1))
    else:
        number = low + share * (high - low)
    drawn: Scalar = round(number) if whole else float(f"{number:.4g}")
    return min(max(drawn, low), high)
