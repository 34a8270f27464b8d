"""``harness bench``: methods side by side on the workloads of their roles."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import Devices, Json, Plugins, Results, all_plugins, registry, seconds, size
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode, UnknownName, UsageError, nearest
from harness.numbers import duration, plural
from harness_plugins.speed.settings import Settings, read_settings

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.spec import Method, Workload
    from harness_plugins.speed.bench import Point
    from harness_plugins.speed.document import Machine

#: Seconds that one method at one size takes, about: processes, checks and blocks. Measured with this repository's.
USUAL = 2.5
#: Seconds after which a process that gave no sign of life is ended.
TIMEOUT = 60.0


@dataclass(frozen=True)
class Chosen:
    """One workload, the sizes and methods of it that were asked for, and what they are shown against."""

    workload: Workload
    sizes: tuple[dict[str, int], ...]
    methods: tuple[Method, ...]
    baseline: str
    #: Options of its methods that were set.
    settings: Settings = ()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ROLE_OR_WORKLOAD]...", help="What to measure (default: all).")
    ] = None,
    device: Devices = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="AXIS=VALUE", help="Only this: method=GLOB, or a dimension, as batch=256."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="DIMENSION=N", help="Instead of the listed sizes: batch=16384, or batch=8,16."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="For the methods that have it: temperature=0.05."),
    ] = None,
    forward: Annotated[
        bool, typer.Option("--forward", help="Forward alone: gradients are neither checked nor timed.")
    ] = False,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads (default: all cores).")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="Type of the inputs.")] = "float32",
    against: Annotated[
        str | None, typer.Option("--against", metavar="METHOD", help="Baseline (default: the workload's own).")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="For one method at one size (default: 60s).")
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="For one process (default: 4/5 of what is free).")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Keep the JSON document here.")] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Check methods against a float64 reference, then time those that are right, side by side.

    Ends with 1 where one is wrong or failed; that one gets no time.
    """
    from harness.planning.request import check_device, results_folder
    from harness.records.provenance import usable_cores
    from harness.running.engines.devices import check_devices_exist

    if output is not None and output.is_dir():
        raise UsageError(f"-o {output}: that is a folder; a file's name is needed, as {output / 'bench.json'}")
    found = registry(context, plugin)
    devices = tuple(dict.fromkeys(device or ("cpu",)))
    for one in devices:
        check_device(one)
    if dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise UnknownName("dtype", dtype, ("float32", "float64", "float16", "bfloat16"), where="--dtype")
    check_devices_exist(devices)
    chosen = choose(found, names or (), only or (), against, sizes or (), options or ())
    folder = results_folder(results)
    counts = tuple(dict.fromkeys(threads or [usable_cores()]))
    places = [(one, count) for one in devices for count in (counts if one == "cpu" else counts[:1])]
    points, machines, environment = _measure(
        found,
        chosen,
        places,
        dtype,
        all_plugins(context, plugin),
        seconds(timeout) or TIMEOUT,
        size(limit),
        not forward,
    )
    _deliver(points, machines, environment, folder, output, as_json)
    if any(row.status in ("wrong", "raised", "crashed") for point in points for row in point.rows):
        raise typer.Exit(ExitCode.CELLS_FAILED)


def choose(
    found: Registry,
    names: Sequence[str],
    only: Sequence[str],
    against: str | None,
    own_sizes: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[Chosen]:
    """What a command line asks for. Raises UsageError with the nearest name."""
    from harness_plugins.speed.bench import sizes_of

    roles = {workload.role for workload in found.workloads.values()}
    for name in names:
        if name not in roles and name not in found.workloads:
            raise UnknownName("role or workload", name, {*roles, *found.workloads})
    asked = [w for w in found.workloads.values() if not names or w.role in names or w.name in names]
    if not asked:
        raise UsageError("no plugin brings a workload")
    if against is not None and found.methods[against].role not in {w.role for w in asked}:
        known = [m.name for m in found.methods.values() if m.role in {w.role for w in asked}]
        raise UnknownName("baseline for what is measured", against, known, where="--against")
    given = _given(own_sizes, only, asked)
    asked = [replace(w, sizes={**w.sizes, **{k: v for k, v in given.items() if k in w.sizes}}) for w in asked]
    conditions: dict[str, list[str]] = {}
    for axis, values in (_condition(text, asked) for text in only):
        conditions.setdefault(axis, []).extend(values)
    chosen = []
    for workload in asked:
        mine = [m for m in found.methods.values() if m.role == workload.role]
        baseline = against if against and found.methods[against].role == workload.role else workload.baseline
        patterns = conditions.get("method", [])
        kept = [
            m
            for m in mine
            if not patterns or m.name == baseline or any(fnmatch.fnmatchcase(m.name, p) for p in patterns)
        ]
        sizes = [s for s in sizes_of(workload) if all(_fits(s, axis, values) for axis, values in conditions.items())]
        if sizes and (not patterns or any(fnmatch.fnmatchcase(m.name, p) for m in mine for p in patterns)):
            chosen.append(Chosen(workload, tuple(sizes), tuple(kept), baseline))
    if not chosen:
        raise UsageError(f"--only {' --only '.join(only)}: nothing is left of {', '.join(w.name for w in asked)}")
    settings = read_settings(options, [method for one in chosen for method in one.methods])
    return [
        replace(one, settings=tuple(pair for pair in settings if any(pair[0] in m.options for m in one.methods)))
        for one in chosen
    ]


def _given(texts: Sequence[str], only: Sequence[str], asked: Sequence[Workload]) -> dict[str, list[int]]:
    """Values of dimensions that stand for the listed ones."""
    found: dict[str, list[int]] = {}
    known = {name for workload in asked for name in workload.sizes}
    for text in texts:
        name, equals, values = text.partition("=")
        parts = values.split(",")
        if not equals or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise UsageError(f"--size {text}: DIMENSION=N is needed, with numbers above 0, such as batch=16384")
        if name not in known:
            raise UnknownName("dimension", name, known, where=f"--size {text}")
        if any(condition.partition("=")[0] == name for condition in only):
            raise UsageError(f"--size {text}: --only {name}=... picks from the listed sizes; give one of the two")
        found.setdefault(name, []).extend(int(part) for part in parts)
    return {name: sorted(set(values)) for name, values in found.items()}


def _condition(text: str, asked: Sequence[Workload]) -> tuple[str, list[str]]:
    axis, equals, values = text.partition("=")
    if not equals or not values:
        raise UsageError(f"--only {text}: AXIS=VALUE is needed, such as method=infonce* or batch=256")
    dimensions = {name: {str(v) for w in asked for v in w.sizes.get(name, ())} for w in asked for name in w.sizes}
    if axis != "method" and axis not in dimensions:
        raise UnknownName("axis", axis, {"method", *dimensions}, where=f"--only {text}")
    for value in values.split(","):
        if axis != "method" and value not in dimensions[axis]:
            there = ", ".join(sorted(dimensions[axis], key=int))
            close = nearest(value, dimensions[axis])
            hint = f"; did you mean {close}?" if close else ";"
            raise UsageError(f"--only {text}: no workload has the size {axis}={value}{hint} sizes here: {there}")
    return axis, values.split(",")


def _fits(size: dict[str, int], axis: str, values: Sequence[str]) -> bool:
    return axis == "method" or axis not in size or str(size[axis]) in values


def _measure(
    found: Registry,
    chosen: Sequence[Chosen],
    places: Sequence[tuple[str, int]],
    dtype: str,
    plugins: tuple[str, ...],
    timeout: float,
    memory: int | None,
    backward: bool,
) -> tuple[list[Point], list[Machine], dict[str, Any]]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from harness.records.provenance import environment
    from harness_plugins.speed.apart import Limits
    from harness_plugins.speed.bench import machine_rates, measure
    from harness_plugins.speed.document import Machine
    from harness_plugins.speed.work import Place

    limits = Limits(timeout, memory)
    pairs = sum(len(one.sizes) * len(one.methods) for one in chosen) * len(places)
    points_asked = sum(len(one.sizes) for one in chosen) * len(places)
    told = f"{plural(len(chosen), 'workload')}, {plural(points_asked, 'size')}, {plural(pairs, 'measurement')}"
    errors().print(f"{told}: about {duration(USUAL * pairs)}, more where methods are slow", soft_wrap=True)
    columns = (SpinnerColumn(), BarColumn(24), TextColumn("{task.completed}/{task.total}  {task.description}"))
    points: list[Point] = []
    machines: list[Machine] = []
    begin = time.monotonic()
    with Progress(*columns, TimeElapsedColumn(), console=errors(), transient=True) as progress:
        bar = progress.add_task("the machine's own rates", total=points_asked)
        for slot, count in places:
            machines.append(Machine(slot, count, machine_rates(slot, count, limits)))
            for one, dimensions in _each(chosen):
                size = tuple(dimensions.items())
                place = Place(one.workload.name, size, slot, dtype, count, plugins, 0, one.settings, backward)
                label = f"{one.workload.name} {' '.join(f'{k}={v}' for k, v in dimensions.items())}"
                if not errors().is_terminal:
                    errors().print(f"{label} ({slot}) after {duration(time.monotonic() - begin)}", soft_wrap=True)

                def say(text: str, label: str = label) -> None:
                    progress.update(bar, description=f"{label}: {text}")

                points.append(measure(place, found, one.methods, one.baseline, limits, say))
                progress.advance(bar)
    errors().print(f"measured in {duration(time.monotonic() - begin)}")
    return points, machines, environment(places[0][0])


def _each(chosen: Sequence[Chosen]) -> Iterator[tuple[Chosen, dict[str, int]]]:
    for one in chosen:
        for dimensions in one.sizes:
            yield one, dimensions


def _deliver(
    points: Sequence[Point],
    machines: Sequence[Machine],
    environment: dict[str, Any],
    folder: Path,
    output: Path | None,
    as_json: bool,
) -> None:
    import json

    from harness_plugins.speed.document import document
    from harness_plugins.speed.picture import page
    from harness_plugins.speed.table import show

    written = document(points, machines, environment)
    kept = folder / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    name = time.strftime("%Y%m%dT%H%M%S")
    picture, text = kept / f"{name}.html", output or kept / f"{name}.json"
    picture.write_text(page(points), encoding="utf-8")
    written["picture"] = str(picture)
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text(json.dumps(written, allow_nan=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(written)
        return
    show(people(), points, machines)
    people().print(f"picture: {picture}\nall figures: {text}", soft_wrap=True)
