"""Studies: for one method, setting and seed which trial is chosen on validation, as one cell with one record.

Choice and score together are what is repeated over seeds, so everything that judges or shows a tuned method reads these
cells and records. They are made from the trials' records whenever they are needed, and are never written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cell import Cell, Record, Status
from harness.planning.setting import key_of
from harness.planning.tuning import Trial, Tuning
from harness.spec import Scalar

#: An optimum at the edge needs so many values of an option: of two values both are an edge.
_EDGE = 3


@dataclass(frozen=True)
class Study:
    """All trials of one method in one setting under one seed."""

    tuning: Tuning
    #: In the order of the tuning's trials.
    trials: tuple[Cell, ...]
    #: What stands for it: a cell without the tuned options. Its key digests those of the trials.
    cell: Cell

    @classmethod
    def of(cls, tuning: Tuning, trials: Sequence[Cell]) -> Study:
        """The study of these trials."""
        first, names = trials[0], tuning.names
        content = " ".join([tuning.by, *(trial.id for trial in trials)])
        cell = replace(
            first,
            options={name: value for name, value in first.options.items() if name not in names},
            code=hashlib.sha256(content.encode()).hexdigest()[:32],
            skip=next((trial.skip for trial in trials if trial.skip), None),
            own=tuple(name for name in first.own if name not in names),
            tuned=names,
        )
        return cls(tuning, tuple(trials), cell)

    def recorded(self, records: Mapping[str, Record]) -> list[tuple[Cell, Trial, Record]]:
        """The trials that have a record, each with its choice of options."""
        every = zip(self.trials, self.tuning.choices, strict=True)
        return [(cell, choice, records[cell.id]) for cell, choice in every if cell.id in records]

    def chosen(self, records: Mapping[str, Record]) -> tuple[Trial, Record] | None:
        """The trial with the best metric of validation, the earliest of those alike, and its record.

        None before every trial has ended, well or by its own failure, and where all failed. No other metric is looked
        at: a test that chose would no longer be one.
        """
        ended = [(choice, record) for _, choice, record in self.recorded(records) if _has_ended(record)]
        if len(ended) < len(self.trials):
            return None
        usable = [(choice, record) for choice, record in ended if record.good and self.tuning.by in record.metrics]
        return max(usable, key=lambda item: self.tuning.sign * item[1].metrics[self.tuning.by], default=None)

    def record(self, records: Mapping[str, Record]) -> Record | None:
        """The record that stands for it: what the chosen trial measured, or why there is none. None while one is open.

        Time and memory are those of the chosen trial; ``search_seconds`` has those of the search.
        """
        recorded = self.recorded(records)
        if len(recorded) < len(self.trials):
            return None
        chosen = self.chosen(records)
        if chosen is not None:
            return self._as_study(chosen[1])
        broken = [item for item in recorded if not _has_ended(item[2])]
        _, choice, record = (broken or [item for item in recorded if not item[2].good] or recorded)[0]
        cause = record.cause or (f"gave no finite {self.tuning.by}" if record.good else record.status)
        where = self.tuning.label(choice)
        cause = f"trial {where}: {cause}" if broken else f"all {len(recorded)} trials failed; first {where}: {cause}"
        status: Status = record.status if broken else "failed"
        return replace(self._as_study(record), status=status, cause=cause, metrics={}, curves={})

    def _as_study(self, record: Record) -> Record:
        return replace(record, id=self.cell.id, suite=self.cell.suite, options=self.cell.options)


def _has_ended(record: Record) -> bool:
    """Whether a trial has a result, good or failed, that another run of it would have too."""
    return record.status in ("done", "failed") and not record.lost


def studies_of(tunings: Iterable[Tuning], cells: Iterable[Cell]) -> list[Study]:
    """Every study all of whose trials are among the cells, by setting and seed."""
    by_setting: dict[str, dict[int, Cell]] = {}
    trials = {key for tuning in tunings for key in tuning.trials}
    for cell in cells if trials else ():
        if (key := key_of(cell)) in trials:
            by_setting.setdefault(key, {})[cell.seed] = cell
    studies: list[Study] = []
    for tuning in tunings:
        of_trials = [by_setting.get(key, {}) for key in tuning.trials]
        seeds = [seed for seed in of_trials[0] if all(seed in by_seed for by_seed in of_trials)]
        studies += [Study.of(tuning, [by_seed[seed] for by_seed in of_trials]) for seed in seeds]
    return studies


def judged_cells(tunings: Sequence[Tuning], cells: Sequence[Cell], studies: Iterable[Study]) -> list[Cell]:
    """The cells with each study in the place of its first trial; trials that no other block names are left out."""
    if not tunings:
        return list(cells)
    trials_only = {key for tuning in tunings for key in tuning.trials if key not in tuning.shared}
    begin: dict[str, list[Cell]] = {}
    for study in studies:
        begin.setdefault(study.trials[0].id, []).append(study.cell)
    judged: list[Cell] = []
    for cell in cells:
        judged += begin.get(cell.id, [])
        if key_of(cell) not in trials_only:
            judged.append(cell)
    return judged


def outcomes_of(studies: Iterable[Study], records: Mapping[str, Record]) -> Mapping[str, Record]:
    """The records, and beside them those that stand for studies, by id."""
    of_studies = {study.cell.id: record for study in studies if (record := study.record(records)) is not None}
    return {**records, **of_studies} if of_studies else records


def with_trials(studies: Iterable[Study], ids: Iterable[str]) -> set[str]:
    """Ids of judged cells, with those of its trials in the place of a study."""
    trials = {study.cell.id: [trial.id for trial in study.trials] for study in studies}
    return {i for cell in ids for i in trials.get(cell, [cell])}


@dataclass(frozen=True)
class Search:
    """What the studies of one setting came to, over its seeds."""

    tuning: Tuning
    #: Studies that have ended, and how often each trial was chosen, in the order of the trials.
    ended: int
    counts: tuple[int, ...]
    #: Trials that failed, of all that have a record.
    failed: int
    recorded: int
    #: Seconds of all trials of a study, on average.
    seconds: float

    @property
    def where(self) -> str:
        """Method and task."""
        return f"{self.tuning.setting.method} on {self.tuning.setting.task}"

    @property
    def edges(self) -> list[str]:
        """For each option whose least or greatest value half of the studies or more chose: which, and how many.

        "4 of 5 studies chose base_lr=0.003, the largest tried". Values of a random search have no edge.
        """
        sentences = []
        for name, values in self.tuning.values.items() if self.tuning.grid and self.ended else ():
            numbers = sorted(v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool))
            if len(numbers) < _EDGE or len(numbers) < len(values):
                continue
            for value, word in ((numbers[0], "smallest"), (numbers[-1], "largest")):
                count = self.often(name, value)
                if 2 * count >= self.ended:
                    sentences.append(f"{count} of {self.ended} studies chose {name}={value}, the {word} tried")
        return sentences

    def often(self, name: str, value: Scalar) -> int:
        """How many studies chose a trial with this value of an option."""
        pairs = zip(self.tuning.choices, self.counts, strict=True)
        return sum(count for trial, count in pairs if trial[name] == value)

    @property
    def chosen(self) -> list[tuple[Trial, int]]:
        """Each trial and how many studies chose it."""
        return list(zip(self.tuning.choices, self.counts, strict=True))


def searches(studies: Iterable[Study], records: Mapping[str, Record]) -> list[Search]:
    """What the studies with a record of some trial came to, setting by setting."""
    by_setting: dict[str, list[Study]] = {}
    for study in studies:
        by_setting.setdefault(study.tuning.setting.key, []).append(study)
    return [
        search
        for own in by_setting.values()
        if (search := _search(own, [study.recorded(records) for study in own], records)).recorded
    ]


def _search(
    studies: Sequence[Study], recorded: Sequence[Sequence[tuple[Cell, Trial, Record]]], records: Mapping[str, Record]
) -> Search:
    tuning = studies[0].tuning
    chosen = [choice for study in studies if (choice := study.chosen(records)) is not None]
    counts = Counter(tuning.choices.index(trial) for trial, _ in chosen)
    every = [record for of_study in recorded for _, _, record in of_study]
    whole = [[r.seconds for _, _, r in of_study] for of_study in recorded if len(of_study) == len(tuning.trials)]
    return Search(
        tuning=tuning,
        ended=len(chosen),
        counts=tuple(counts[i] for i in range(len(tuning.trials))),
        failed=sum(record.status == "failed" for record in every),
        recorded=len(every),
        seconds=sum(map(sum, whole)) / len(whole) if whole else 0.0,
    )
