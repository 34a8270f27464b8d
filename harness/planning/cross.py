"""The cells of a suite: every block crossed, names and options checked, code and data digested."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness.cell import Cell
from harness.errors import DatasetMissing, UnknownName, UsageError
from harness.files.suite import Cross, Range, Suite, within
from harness.planning.setting import Setting
from harness.planning.tuning import Trial, Tuning, trials_of
from harness.registry import Registry
from harness.registry.datasets import locate
from harness.spec import Method, Scalar, Task, file_digest

Item = TypeVar("Item", bound=Scalar)
#: A suite of more cells would neither be planned in the memory there is nor ever end.
MOST_CELLS = 1_000_000


def cells_of(
    suite: Suite,
    registry: Registry,
    devices: Sequence[str] = ("cpu",),
    seeds: int | None = None,
    digest_of: Callable[[str], str] | None = None,
) -> Iterator[Cell]:
    """The cells of a suite, lazily, in the file's order; one that two blocks name comes once.

    ``devices`` are device kinds; ``seeds`` replaces the number of seeds of blocks that have more than one.
    ``digest_of`` gives a data set's digest and raises DatasetMissing (by default it looks on this machine).
    All names are checked before the first cell comes. Raises UnknownName or UsageError naming the block.
    """
    blocks = [_check_block(suite, number, block, registry) for number, block in enumerate(suite.cross)]
    count = sum(_size(block, seeds) for block in blocks) * len(devices)
    if count > MOST_CELLS:
        raise UsageError(f"{suite.path}: the suite has more than {MOST_CELLS} cells; split it")
    return _walk(suite, blocks, registry, devices, seeds, digest_of or _DatasetDigests(registry))


def tunings_of(suite: Suite, registry: Registry, devices: Sequence[str] = ("cpu",)) -> tuple[Tuning, ...]:
    """How each setting of each method is tuned, in the file's order; none where no block tunes.

    Raises UsageError where two blocks tune the same setting in different ways: which trials count would be open.
    """
    if all(cross.tune is None for cross in suite.cross):
        return ()
    blocks = [_check_block(suite, number, block, registry) for number, block in enumerate(suite.cross)]
    alone: set[str] = set()
    tunings: dict[str, tuple[int, Tuning]] = {}
    for number, block in enumerate(blocks):
        for (task, method), device, dtype in itertools.product(block.pairs, devices, _as_tuple(block.cross.dtype)):
            for options in block.combinations(task, method):
                whole = Setting(method.name, task.name, options, device, dtype)
                if block.cross.tune is None:
                    alone.add(whole.key)
                    continue
                tuning = _tuning(block, task, method, whole)
                first, other = tunings.setdefault(tuning.setting.key, (number, tuning))
                if other != tuning:
                    both = f"{suite.path}: cross[{first}] and cross[{number}]"
                    what = f"{method.name} on {task.name} in the same setting"
                    raise UsageError(f"{both} tune {what} with different trials; make them alike, or split the suite")
    return tuple(replace(tuning, shared=frozenset(alone & tuning.trials.keys())) for _, tuning in tunings.values())


def _tuning(block: _Block, task: Task, method: Method, whole: Setting) -> Tuning:
    """How one setting, with the tuned options at their defaults, is tuned."""
    assert block.cross.tune is not None
    by, names = block.cross.tune.by, block.trials[0]
    trials = {
        replace(whole, options=options).key: {name: options[name] for name in names}
        for options in block.trials_at(whole.options, task, method)
    }
    rest = {name: value for name, value in whole.options.items() if name not in names}
    grid = block.cross.tune.trials is None
    return Tuning(replace(whole, options=rest), trials, by, task.metrics[by].sign, grid)


@dataclass(frozen=True)
class _Block:
    """A checked block: tasks with the methods that run on them, and the options as lists."""

    cross: Cross
    pairs: tuple[tuple[Task, Method], ...]
    #: Without those that are tuned.
    options: Mapping[str, tuple[Scalar, ...]]
    #: The choices of the tuned options; one that chooses nothing where the block does not tune.
    trials: tuple[Trial, ...] = ({},)

    def combinations(self, task: Task, method: Method) -> list[dict[str, Scalar]]:
        """Every combination of the options that are not tuned and that this task or method declares.

        Defaults are filled in; of the tuned ones too.
        """
        declared = {**method.options, **task.options}
        crossed = {name: self.options.get(name, (option.default,)) for name, option in declared.items()}
        typed = {n: [declared[n].read(v, n) for v in values] for n, values in crossed.items()}
        return [dict(zip(typed, values, strict=True)) for values in itertools.product(*typed.values())]

    def trials_at(self, options: Mapping[str, Scalar], task: Task, method: Method) -> list[dict[str, Scalar]]:
        """The options of every trial of one combination."""
        declared = {**method.options, **task.options}
        read = ({name: declared[name].read(value, name) for name, value in trial.items()} for trial in self.trials)
        return [{**options, **trial} for trial in read]


def _check_block(suite: Suite, number: int, cross: Cross, registry: Registry) -> _Block:
    where = f"{suite.path}: cross[{number}]"
    pairs: list[tuple[Task, Method]] = []
    for task_name in _as_tuple(cross.task):
        task = within(where + ".task", partial(registry.tasks.__getitem__, task_name))
        for pattern in cross.methods:
            for method in _methods(pattern, task, registry, where):
                if (task, method) not in pairs:
                    pairs.append((task, method))
    options = {name: _as_tuple(values) for name, values in cross.options.items()}
    _check_values(pairs, options, where, "options")
    tuned = _tuned_values(cross, options, where)
    _check_values(pairs, tuned, where, "tune")
    for task, method in pairs:
        _check_shared_options(task, method, {**options, **tuned}, where)
    if cross.tune is None:
        return _Block(cross, tuple(pairs), options)
    return _Block(cross, tuple(pairs), options, trials_of(cross.tune, pairs, f"{where}.tune"))


def _tuned_values(cross: Cross, options: Mapping[str, object], where: str) -> dict[str, tuple[Scalar, ...]]:
    """The values that a block tries, or the ends of their range, by option."""
    tuned = cross.tune.options if cross.tune is not None else {}
    if both := next((name for name in tuned if name in options), None):
        raise UsageError(f"{where}: {both} stands under both options and tune; leave one of them out")
    return {n: (v.low, v.high) if isinstance(v, Range) else tuple(v) for n, v in tuned.items()}


def _size(block: _Block, seeds: int | None) -> int:
    """How many cells a block has on one device."""
    settings = sum(
        math.prod(len(values) for name, values in block.options.items() if name in {**task.options, **method.options})
        for task, method in block.pairs
    )
    return settings * len(block.trials) * len(_as_tuple(block.cross.dtype)) * len(_seeds(block.cross, seeds))


def _check_values(
    pairs: Sequence[tuple[Task, Method]], options: Mapping[str, tuple[Scalar, ...]], where: str, table: str
) -> None:
    """Every option must be one of a task or a method, which must allow its values."""
    owners: list[Task | Method] = [owner for pair in pairs for owner in pair]
    for name, values in options.items():
        declaring = [owner for owner in owners if name in owner.options]
        if not declaring:
            known = {option for owner in owners for option in owner.options}
            raise UnknownName("option", name, known, where=f"{where}.{table}")
        for owner in declaring:
            place = f"{where}: option {name} of {owner.name}"
            for value in values:
                checked = owner.options[name].read(value, place)
                if owner.options[name].file and checked:
                    _existing(checked, place)


def _existing(value: Scalar, where: str) -> Path:
    """The file that an option names. Raises UsageError where it does not exist."""
    path = Path(str(value))
    if not path.is_file():
        raise UsageError(f"{where} = {value!r}: there is no such file in the current folder, {Path.cwd()}")
    return path


def _check_shared_options(task: Task, method: Method, values: Mapping[str, object], where: str) -> None:
    """An option that a task and a method both declare is one axis: its type must agree, and so must its default."""
    for name in task.options.keys() & method.options.keys():
        of_task, of_method = task.options[name].default, method.options[name].default
        both = f"{where}: both {task.name} and {method.name} have an option {name}"
        if type(of_task) is not type(of_method):
            types = f"{type(of_task).__name__} and {type(of_method).__name__}"
            raise UsageError(f"{both}, of the types {types}; rename one of them")
        if of_task != of_method and name not in values:
            raise UsageError(f"{both}, with the defaults {of_task!r} and {of_method!r}; give one value under options")


def _methods(pattern: str, task: Task, registry: Registry, where: str) -> list[Method]:
    fitting = {m.name: m for m in registry.methods.values() if m.role == task.role}
    if any(sign in pattern for sign in "*?["):
        matching = fnmatch.filter(fitting, pattern)
        if not matching:
            raise UnknownName(f"method of role {task.role}", pattern, fitting, where=f"{where}.methods")
        return [fitting[name] for name in matching]
    method = within(where + ".methods", partial(registry.methods.__getitem__, pattern))
    if method.role != task.role:
        raise UsageError(
            f"{where}.methods: {pattern} fills the role {method.role}, but {task.name} needs {task.role}: "
            + ", ".join(sorted(fitting))
        )
    return [method]


def _walk(
    suite: Suite,
    blocks: Sequence[_Block],
    registry: Registry,
    devices: Sequence[str],
    seeds: int | None,
    digest_of: Callable[[str], str],
) -> Iterator[Cell]:
    seen: set[str] = set()
    for block in blocks:
        for task, method in block.pairs:
            datasets, skip = _data(task, digest_of)
            own = tuple(name for name in method.options if name not in task.options)
            untuned = block.combinations(task, method)
            combinations = [trial for options in untuned for trial in block.trials_at(options, task, method)]
            code_of = _codes(method, task, combinations, registry)
            settings = [(o, code_of(o), {**datasets, **option_files(o, task, method)}) for o in combinations]
            numbers = _seeds(block.cross, seeds)
            for (options, code, data), device, dtype in itertools.product(
                settings, devices, _as_tuple(block.cross.dtype)
            ):
                first = Cell(
                    suite.name, method.name, task.name, options, device, dtype, numbers[0], code, data, skip, own
                )
                for seed in numbers:
                    cell = first.with_seed(seed)
                    if cell.id not in seen:
                        seen.add(cell.id)
                        yield cell


def _codes(
    method: Method, task: Task, combinations: Sequence[Mapping[str, Scalar]], registry: Registry
) -> Callable[[Mapping[str, Scalar]], str]:
    """A function that gives the code's digest for options; only those that name code make a difference."""
    naming = [name for name, option in task.options.items() if option.names]
    digests: dict[tuple[Scalar, ...], str] = {}
    for options in combinations:
        names = tuple(options[name] for name in naming)
        if names not in digests:
            digests[names] = registry.code(method.name, task.name, options)
    return lambda options: digests[tuple(options[name] for name in naming)]


def option_files(options: Mapping[str, Scalar], task: Task, method: Method) -> dict[str, str]:
    """Digests of the files that options name, as long as those of data sets. Raises UsageError for a missing file."""
    declared = {**method.options, **task.options}
    return {
        f"option {name}": file_digest(_existing(value, f"option {name} of {task.name}"))[:32]
        for name, value in options.items()
        if declared[name].file and value
    }


def _data(task: Task, digest_of: Callable[[str], str]) -> tuple[dict[str, str | None], str | None]:
    """Digests of the task's data sets, and why it must be skipped if one is not here."""
    data: dict[str, str | None] = {}
    reason = None
    for name in task.datasets:
        try:
            data[name] = digest_of(name)
        except DatasetMissing as error:
            data[name], reason = None, str(error)
    return data, reason


class _DatasetDigests:
    """Looks each data set up on this machine once per plan."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, str | DatasetMissing] = {}

    def __call__(self, name: str) -> str:
        if name not in self._known:
            try:
                self._known[name] = locate(self._registry.datasets[name]).digest
            except DatasetMissing as error:
                self._known[name] = error
        digest = self._known[name]
        if isinstance(digest, DatasetMissing):
            raise digest
        return digest


def _seeds(cross: Cross, seeds: int | None) -> Sequence[int]:
    if isinstance(cross.seeds, list):
        return cross.seeds
    return range(cross.seeds if seeds is None or cross.seeds == 1 else seeds)


def _as_tuple(value: Item | list[Item]) -> tuple[Item, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
