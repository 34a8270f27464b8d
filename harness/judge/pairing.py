"""Pairing: which cells a claim is about, and which of them are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from harness.cell import Cell
from harness.errors import UnknownName, UsageError
from harness.files.claims import Check, Claim, Equal, Greater, Holds, Ratio, Reaches, Where
from harness.planning.setting import label, typed, varying
from harness.spec import AXES, Scalar

AnyTest = Greater | Equal | Reaches | Ratio | Holds
#: What is judged.
Statement = Claim | Check
#: Values of the options (and dtype) that all sides of a comparison share.
Condition = tuple[tuple[str, Scalar], ...]
#: One side's cells by condition and seed: several where it has options that the other side lacks.
Group = dict[Condition, dict[int, list[Cell]]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a method, and what its cells are restricted to."""

    method: str
    where: Where
    #: The key of the claim's test that ``where`` stands under.
    table: str

    def allows(self, cell: Cell) -> bool:
        """Whether a cell belongs to this side. A key restricts only methods that have such an option.

        A study has no value of what it tuned, so that it belongs to no side that is restricted by it.
        """
        return cell.method == self.method and all(
            ((own := cell.value(key)) is None and key not in cell.tuned) or typed(own) in _values(value)
            for key, value in self.where.items()
        )

    def __str__(self) -> str:
        limits = " ".join(f"{k}={_text(v)}" for k, v in self.where.items())
        return f"{self.method} with {limits}" if limits else self.method


def sides(test: AnyTest) -> tuple[Side, ...]:
    """The method and what it is compared with, and both again for a difference of differences.

    What is not named for the other side (method, settings) is the same there. For `Holds`: every method.
    """
    if isinstance(test, Holds):
        return tuple(Side(method, test.where, "where") for method in test.names)
    first = Side(test.method, test.where, "where")
    if isinstance(test, Reaches) or (test.than is None and test.than_where is None):
        return (first,)
    than = test.than or test.method
    other = Side(than, test.where, "where")
    if test.than_where is not None:
        other = Side(than, test.than_where, "than_where")
    gap = test.gap_than_where if isinstance(test, Greater) else None
    if gap is None:
        return first, other
    return first, other, Side(test.method, gap, "gap_than_where"), Side(than, gap, "gap_than_where")


def device_kinds(claim: Statement, cells: Iterable[Cell]) -> list[str]:
    """The device kinds to judge a claim on: those of its task's cells that it allows, or [""] for none."""
    test = tested(claim)
    tasks, cells = test.tasks, list(cells)
    kinds = dict.fromkeys(c.device for c in cells if c.task in tasks) or dict.fromkeys(c.device for c in cells)
    limits = [_values(side.where["device"]) for side in sides(test) if "device" in side.where]
    return [kind for kind in kinds if all(typed(kind) in allowed for allowed in limits)] or [""]


def needed_cells(claim: Statement, cells: Sequence[Cell]) -> set[str]:
    """Ids of the planned cells, on every device kind, whose results decide this claim.

    Raises UsageError where the claim restricts something that its methods and task do not have.
    """
    if claim.test is None:
        return set()
    groups = [g for kind in device_kinds(claim, cells) for g in pair(claim, cells, kind)[0]]
    return {cell.id for cell in members(groups)}


def pair(claim: Statement, cells: Iterable[Cell], device: str, apart: bool = False) -> tuple[list[Group], str]:
    """The cells of each side by condition and seed, the same ones for every side; or none, and why.

    A condition holds the options that every side has, and dtype, but for those that two sides restrict to
    different values and those that each method has at one value of its own. Conditions that only one side has
    are left out, and so are seeds that some condition lacks. Where settings are judged ``apart``, as for a claim that
    must hold in each, the options of a single side are separated too: each value of an option that the baseline lacks
    is compared with the same baseline. Of several tasks each is a condition of its own, and none may be missing.
    Where a side has studies on a task, its untuned cells are left out, but for those that a restriction of a tuned
    option names. `Holds` compares nothing: its groups hold all that its methods have.
    """
    test = tested(claim)
    every = sides(test)
    tasks = test.tasks
    on_task = [s for s in _settings(cells, every) if s[0].task in tasks and s[0].device == device]
    if {side.method for side in every} <= {setting[0].method for setting in on_task}:
        _check_keys(claim, every, [setting[0] for setting in on_task])
    _check_tuned(claim, every, [setting[0] for setting in on_task])
    by_side = [_tuned_where_tuned([setting for setting in on_task if side.allows(setting[0])]) for side in every]
    for side, own in zip(every, by_side, strict=True):
        if lacking := set(tasks) - {setting[0].task for setting in own}:
            return [], f"the suite has no cell for it: needs method {side} on task {min(lacking)}"
    if isinstance(test, Holds):
        return [_group(own, ("task", "dtype", *own[0][0].options)) for own in by_side], ""
    first_cells = [[setting[0] for setting in own] for own in by_side]
    names = _compared_options(every, first_cells)
    if len(tasks) > 1:
        names = ["task", *names]
    groups = [_group(own, names) for own in by_side]
    shared = [condition for condition in groups[0] if all(condition in group for group in groups)]
    if not shared:
        return [], _nothing_shared(every, first_cells, names)
    groups = [{condition: group[condition] for condition in shared} for group in groups]
    if lacking := set(tasks) - {cell.task for cell in members(groups)}:
        return [], f"no setting of the task {min(lacking)} is shared by: {'; '.join(map(str, every))}"
    if apart or getattr(test, "each", False):
        groups = _separate(groups, every)
    return _with_shared_seeds(groups)


def _compared_options(every: Sequence[Side], by_side: Sequence[Sequence[Cell]]) -> list[str]:
    """The options (and dtype) that make up a condition."""
    options = dict.fromkeys(name for cell in by_side[0] for name in cell.options)
    names = [n for n in ("dtype", *options) if all(any(c.value(n) is not None for c in own) for own in by_side)]
    return [n for n in names if not _restricted_differently(n, every) and not _own_defaults(n, by_side)]


def _with_shared_seeds(groups: list[Group]) -> tuple[list[Group], str]:
    """The groups with the seeds that every condition of every side has; or none, and why."""
    seeds = sorted(set.intersection(*(set(by_seed) for group in groups for by_seed in group.values())))
    if not seeds:
        return [], "no seed is shared by all cells that it compares"
    groups = [{condition: {s: by_seed[s] for s in seeds} for condition, by_seed in g.items()} for g in groups]
    if len(groups) > 1 and (groups[0::2] == groups[1::2] or groups[:2] == groups[2:]):
        return [], "both sides of the comparison are the same cells of this plan"
    return groups, ""


def members(groups: Iterable[Group]) -> list[Cell]:
    """The cells of all groups, each once."""
    cells = (cell for group in groups for by_seed in group.values() for cells in by_seed.values() for cell in cells)
    return list({cell.id: cell for cell in cells}.values())


def labels(conditions: Iterable[Condition]) -> list[str]:
    """What distinguishes each condition from the others ("batch_size=8"); "" where there is only one."""
    options = [dict(condition) for condition in conditions]
    names = varying(options)
    return [label(values, names) for values in options]


def tested(claim: Statement) -> AnyTest:
    """The claim's test. Only claims that have one are judged."""
    assert claim.test is not None, f"{claim.id} has no test"
    return claim.test


def _settings(cells: Iterable[Cell], every: Sequence[Side]) -> list[list[Cell]]:
    """The cells that the sides tell apart only by their seed, together: what holds for the first holds for all."""
    by_seed = any("seed" in side.where for side in every)
    settings: dict[tuple[str, int], list[Cell]] = {}
    for cell in {cell.id: cell for cell in cells}.values():
        settings.setdefault((cell.setting, cell.seed if by_seed else 0), []).append(cell)
    return list(settings.values())


def _group(settings: Iterable[Sequence[Cell]], names: Sequence[str]) -> Group:
    group: Group = {}
    for cells in settings:
        condition = tuple((name, value) for name in names if (value := cells[0].value(name)) is not None)
        of_seed = group.setdefault(condition, {})
        for cell in cells:
            of_seed.setdefault(cell.seed, []).append(cell)
    return group


def _separate(groups: Sequence[Group], every: Sequence[Side]) -> list[Group]:
    """The groups with each value of the options of a single side as a condition of its own."""
    own = [_varying(group, every) for group in groups]
    if not any(own):
        return list(groups)
    separate: list[Group] = [{} for _ in groups]
    for condition in groups[0]:
        parts = [
            _group(_settings((cell for cells in group[condition].values() for cell in cells), ()), names)
            for group, names in zip(groups, own, strict=True)
        ]
        for combination in product(*parts):
            merged = {name: value for part in combination for name, value in part}
            # Where a method stands on two sides, both have the same value.
            if any(merged[name] != value for part in combination for name, value in part):
                continue
            for group, part, own_condition in zip(separate, parts, combination, strict=True):
                group[condition + tuple(merged.items())] = part[own_condition]
    return separate


def _varying(group: Group, every: Sequence[Side]) -> list[str]:
    """Options that are in no setting and have several values on this side, unless these are what is compared."""
    shared = {name for condition in group for name, _ in condition}
    cells = members([group])
    return [
        name
        for name in cells[0].options
        if name not in shared
        and not _restricted_differently(name, every)
        and len({typed(cell.value(name)) for cell in cells}) > 1
    ]


def _check_keys(claim: Statement, every: Sequence[Side], on_task: Sequence[Cell]) -> None:
    for side in every:
        methods = {other.method for other in every if other.table == side.table}
        known = {*AXES, *(name for cell in on_task if cell.method in methods for name in (*cell.options, *cell.tuned))}
        for key in side.where:
            if key not in known:
                raise UnknownName(f"key in {side.table}", key, known, f"claim {claim.id}")


def _check_tuned(claim: Statement, every: Sequence[Side], on_task: Sequence[Cell]) -> None:
    """Raise UsageError where a side is restricted by an option that was tuned and has no untuned cells."""
    for side in every:
        tuned = {key for cell in on_task if cell.method == side.method for key in cell.tuned if key in side.where}
        if tuned and not any(side.allows(cell) for cell in on_task):
            key = min(tuned)
            raise UsageError(
                f"claim {claim.id}: {side.table} names {key}, which the suite tunes for {side.method}: a tuned method "
                f"has no one value of it. Leave {key} out, or add a block that runs this value untuned"
            )


def _tuned_where_tuned(settings: list[list[Cell]]) -> list[list[Cell]]:
    """The settings of one side; on a task where some are studies, these alone."""
    tuned = {setting[0].task for setting in settings if setting[0].tuned}
    return [setting for setting in settings if setting[0].tuned or setting[0].task not in tuned]


def _restricted_differently(name: str, every: Sequence[Side]) -> bool:
    """Whether two sides are restricted to different values of an option: then these are what is compared."""
    return len({_values(side.where[name]) for side in every if name in side.where}) > 1


def _own_defaults(name: str, by_side: Sequence[Sequence[Cell]]) -> bool:
    """Whether an option is the methods' own and each has one value of it, not the same one: its default."""
    values = [{typed(cell.value(name)) for cell in own} for own in by_side]
    is_own = all(name in cell.own for own in by_side for cell in own)
    return is_own and all(len(of_side) == 1 for of_side in values) and len(set.union(*values)) > 1


def _nothing_shared(every: Sequence[Side], by_side: Sequence[Sequence[Cell]], names: Sequence[str]) -> str:
    """Why the sides have no condition in common."""
    for name in names:
        first, *others = ({typed(cell.value(name)): cell.value(name) for cell in own} for own in by_side)
        for side, other in zip(every[1:], others, strict=True):
            if not first.keys() & other.keys():
                here, there = _text(list(first.values())), _text(list(other.values()))
                return f"no setting is shared: {name} is {here} for {every[0]} and {there} for {side}"
    return f"no setting is shared by all of: {'; '.join(map(str, every))}"


def _values(value: object) -> frozenset[tuple[bool, object]]:
    return frozenset(map(typed, value if isinstance(value, list) else [value]))


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
