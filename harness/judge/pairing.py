"""Which planned cells a claim speaks of, and which of them are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from harness.cell import Cell
from harness.errors import UnknownName
from harness.files.claims import Claim, Equal, Greater, Holds, Ratio, Reaches, Where
from harness.planning.setting import label, typed, varying
from harness.spec import AXES, Scalar

AnyTest = Greater | Equal | Reaches | Ratio | Holds
#: Values of the options (and dtype) that both sides of a comparison share.
Setting = tuple[tuple[str, Scalar], ...]
#: One side's cells by setting and seed: several where it has options that the other side lacks.
Group = dict[Setting, dict[int, list[Cell]]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a method, and what its cells are restricted to."""

    method: str
    where: Where
    #: The key of the claim's test that ``where`` stands under.
    table: str

    def allows(self, cell: Cell) -> bool:
        """Whether a cell is of this side. A key restricts only methods that have such an option."""
        return cell.method == self.method and all(
            (found := cell.value(key)) is None or typed(found) in _wanted(value) for key, value in self.where.items()
        )

    def __str__(self) -> str:
        limits = " ".join(f"{k}={_shown(v)}" for k, v in self.where.items())
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


def device_kinds(claim: Claim, cells: Iterable[Cell]) -> list[str]:
    """The device kinds to judge a claim on: those of its task's cells that it allows, or [""] for none."""
    test = tested(claim)
    cells = list(cells)
    kinds = dict.fromkeys(c.device for c in cells if c.task == test.task) or dict.fromkeys(c.device for c in cells)
    limits = [_wanted(side.where["device"]) for side in sides(test) if "device" in side.where]
    return [kind for kind in kinds if all(typed(kind) in allowed for allowed in limits)] or [""]


def needed_cells(claim: Claim, cells: Sequence[Cell]) -> set[str]:
    """Ids of the planned cells, on every device kind, whose results decide this claim.

    Raises UsageError where the claim restricts something that its methods and task do not have.
    """
    if claim.test is None:
        return set()
    groups = [g for kind in device_kinds(claim, cells) for g in pair(claim, cells, kind)[0]]
    return {cell.id for cell in members(groups)}


def pair(claim: Claim, cells: Iterable[Cell], device: str) -> tuple[list[Group], str]:
    """The cells of each side by setting and seed, the same ones for every side; or none, and why.

    A setting holds the options that every side has, and dtype, but for those that two sides restrict to
    different values and those that each method has at one value of its own. Settings that only one side has
    are left out, and so are seeds that some setting lacks. A claim that must hold in each setting has those of a
    single side apart too: each value of an option that the baseline lacks is compared with the same baseline.
    `Holds` compares nothing: its groups hold all that its methods have.
    """
    test = tested(claim)
    every = sides(test)
    on_task = [cell for cell in cells if cell.task == test.task and cell.device == device]
    if {side.method for side in every} <= {cell.method for cell in on_task}:
        _check_keys(claim, every, on_task)
    found = [[cell for cell in on_task if side.allows(cell)] for side in every]
    for side, own in zip(every, found, strict=True):
        if not own:
            return [], f"the suite has no cell for it: needs method {side} on task {test.task}"
    if isinstance(test, Holds):
        return [_group(own, ("dtype", *own[0].options)) for own in found], ""
    names = [n for n in ("dtype", *found[0][0].options) if all(own[0].value(n) is not None for own in found)]
    names = [n for n in names if not _restricted_differently(n, every) and not _own_defaults(n, found)]
    groups = [_group(own, names) for own in found]
    settings = [setting for setting in groups[0] if all(setting in group for group in groups)]
    if not settings:
        return [], _nothing_shared(every, found, names)
    if getattr(test, "each", False) or test.seeds == 1:
        groups = _apart([{setting: group[setting] for setting in settings} for group in groups], every)
        settings = list(groups[0])
    seeds = sorted(set.intersection(*(set(group[setting]) for group in groups for setting in settings)))
    if not seeds:
        return [], "no seed is shared by all cells that it compares"
    groups = [{setting: {seed: group[setting][seed] for seed in seeds} for setting in settings} for group in groups]
    if len(groups) > 1 and (groups[0::2] == groups[1::2] or groups[:2] == groups[2:]):
        return [], "both sides of the comparison are the same cells of this plan"
    return groups, ""


def members(groups: Iterable[Group]) -> list[Cell]:
    """The cells of all groups, each once."""
    found = (cell for group in groups for seeds in group.values() for cells in seeds.values() for cell in cells)
    return list({cell.id: cell for cell in found}.values())


def labels(settings: Iterable[Setting]) -> list[str]:
    """What tells each setting from the others ("batch_size=8"); "" where there is only one."""
    options = [dict(setting) for setting in settings]
    names = varying(options)
    return [label(one, names) for one in options]


def tested(claim: Claim) -> AnyTest:
    """The claim's test. Only claims that have one are judged."""
    assert claim.test is not None, f"{claim.id} has no test"
    return claim.test


def _group(cells: Iterable[Cell], names: Sequence[str]) -> Group:
    group: Group = {}
    for cell in {cell.id: cell for cell in cells}.values():
        setting = tuple((name, value) for name in names if (value := cell.value(name)) is not None)
        group.setdefault(setting, {}).setdefault(cell.seed, []).append(cell)
    return group


def _apart(groups: Sequence[Group], every: Sequence[Side]) -> list[Group]:
    """The groups with each value of the options of a single side as a setting of its own."""
    own = [_varying(group, every) for group in groups]
    if not any(own):
        return list(groups)
    apart: list[Group] = [{} for _ in groups]
    for setting in groups[0]:
        parts = [
            _group((cell for cells in group[setting].values() for cell in cells), names)
            for group, names in zip(groups, own, strict=True)
        ]
        for chosen in product(*parts):
            merged = {name: value for one in chosen for name, value in one}
            # Where a method stands on two sides, both have the same value.
            if any(merged[name] != value for one in chosen for name, value in one):
                continue
            for group, part, one in zip(apart, parts, chosen, strict=True):
                group[setting + tuple(merged.items())] = part[one]
    return apart


def _varying(group: Group, every: Sequence[Side]) -> list[str]:
    """Options that are in no setting and have several values on this side, unless these are what is compared."""
    shared = {name for setting in group for name, _ in setting}
    cells = members([group])
    return [
        name
        for name in cells[0].options
        if name not in shared
        and not _restricted_differently(name, every)
        and len({typed(cell.value(name)) for cell in cells}) > 1
    ]


def _check_keys(claim: Claim, every: Sequence[Side], on_task: Sequence[Cell]) -> None:
    for side in every:
        methods = {other.method for other in every if other.table == side.table}
        known = {*AXES, *(name for cell in on_task if cell.method in methods for name in cell.options)}
        for key in side.where:
            if key not in known:
                raise UnknownName(f"key in {side.table}", key, known, f"claim {claim.id}")


def _restricted_differently(name: str, every: Sequence[Side]) -> bool:
    """Whether two sides are restricted to different values of an option: then these are what is compared."""
    return len({_wanted(side.where[name]) for side in every if name in side.where}) > 1


def _own_defaults(name: str, found: Sequence[Sequence[Cell]]) -> bool:
    """Whether an option is the methods' own and each has it at one value, not the same: its default, then."""
    values = [{typed(cell.value(name)) for cell in own} for own in found]
    is_own = all(name in cell.own for own in found for cell in own)
    return is_own and all(len(one) == 1 for one in values) and len(set.union(*values)) > 1


def _nothing_shared(every: Sequence[Side], found: Sequence[Sequence[Cell]], names: Sequence[str]) -> str:
    for name in names:
        first, *others = ({typed(cell.value(name)): cell.value(name) for cell in own} for own in found)
        for side, other in zip(every[1:], others, strict=True):
            if not first.keys() & other.keys():
                here, there = _shown(list(first.values())), _shown(list(other.values()))
                return f"no setting is shared: {name} is {here} for {every[0]} and {there} for {side}"
    return f"no setting is shared by all of: {'; '.join(map(str, every))}"


def _wanted(value: object) -> frozenset[tuple[bool, object]]:
    return frozenset(map(typed, value if isinstance(value, list) else [value]))


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
