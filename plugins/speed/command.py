"""``harness bench``: methods side by side on the workloads of their roles."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import Devices, Json, Plugins, Results, all_plugins, registry, seconds, size
from harness.cli.output import errors, people, print_json
from harness.errors import ExitCode, UnknownName, UsageError
from harness.numbers import duration, plural
from harness_plugins.speed.selection import Selection, comparisons

if TYPE_CHECKING:
    from harness_plugins.speed.bench import Bench, Progress
    from harness_plugins.speed.conditions import Conditions
    from harness_plugins.speed.points import Machine, Point

#: Seconds that one method at one size takes, about: processes, checks and blocks. Measured with this repository's.
USUAL = 2.5
#: Seconds without a message after which a process is killed.
TIMEOUT = 60.0
DTYPES = ("float32", "float64", "float16", "bfloat16")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


# Typer makes an argument or a flag of each parameter, hence their number.
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
    output: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="Write the JSON document to this file.")
    ] = None,
    results: Results = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Check methods against a float64 reference, then time those that are right, side by side.

    Exits with 1 if a method is wrong or fails; that method gets no time.
    """
    if output is not None and output.is_dir():
        raise UsageError(f"-o {output}: that is a folder; a file's name is needed, as {output / 'bench.json'}")
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES, where="--dtype")
    devices = _checked_devices(device)
    selection = Selection(names or (), only or (), against, sizes or (), options or ())
    compared = comparisons(selection, registry(context, plugin))
    patience, memory_limit = seconds(timeout) or TIMEOUT, size(limit)

    from harness.planning.request import results_folder
    from harness.records.provenance import environment
    from harness_plugins.speed.bench import Bench, measure_all
    from harness_plugins.speed.own_process import Limits

    planned = Bench(
        comparisons=tuple(compared),
        machines=_machines(devices, threads),
        limits=Limits(patience, memory_limit),
        dtype=dtype,
        plugins=all_plugins(context, plugin),
        backward=not forward,
    )
    with _progress(planned) as progress:
        points, machines = measure_all(planned, progress)
    _deliver(points, machines, environment(devices[0]), _paths(results_folder(results), output), as_json)
    if any(row.status in ("wrong", "raised", "crashed") for point in points for row in point.rows):
        raise typer.Exit(ExitCode.CELLS_FAILED)


def _checked_devices(devices: Sequence[str] | None) -> tuple[str, ...]:
    """The devices, each once. Raises UsageError for one that is unknown or not here."""
    from harness.planning.request import check_device
    from harness.running.engines.devices import check_devices_exist

    different = tuple(dict.fromkeys(devices or ("cpu",)))
    for device in different:
        check_device(device)
    check_devices_exist(different)
    return different


def _machines(devices: Sequence[str], threads: Sequence[int] | None) -> tuple[tuple[str, int], ...]:
    """(device, threads) pairs: a CPU with each number of threads, other devices with the first."""
    from harness.records.provenance import usable_cores

    counts = tuple(dict.fromkeys(threads or [usable_cores()]))
    return tuple((device, count) for device in devices for count in (counts if device == "cpu" else counts[:1]))


@contextmanager
def _progress(bench: Bench) -> Iterator[Progress]:
    """Say what is measured and for how long, and show how far it has come."""
    import rich.progress
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    from harness.planning.setting import label
    from harness_plugins.speed.bench import Progress

    parts = (
        plural(len(bench.comparisons), "workload"),
        plural(bench.sizes, "size"),
        plural(bench.measurements, "measurement"),
    )
    usual = duration(USUAL * bench.measurements)
    errors().print(f"{', '.join(parts)}: about {usual}, more where methods are slow", soft_wrap=True)
    begin = time.monotonic()
    columns = (SpinnerColumn(), BarColumn(12), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    with rich.progress.Progress(*columns, TextColumn("{task.description}"), console=errors(), transient=True) as bars:
        task = bars.add_task("the machine's own rates", total=bench.sizes)

        def started(conditions: Conditions) -> None:
            if not errors().is_interactive:
                size = label(conditions.dimensions, conditions.dimensions)
                after = duration(time.monotonic() - begin)
                errors().print(f"{conditions.workload} {size} ({conditions.device}) after {after}", soft_wrap=True)

        yield Progress(
            started=started,
            doing=lambda text: bars.update(task, description=text),
            finished=lambda: bars.advance(task),
        )
    errors().print(f"measured in {duration(time.monotonic() - begin)}")


def _paths(results: Path, output: Path | None) -> tuple[Path, Path]:
    """Where the picture and the document go."""
    folder, name = results / "bench", time.strftime("%Y%m%dT%H%M%S")
    return folder / f"{name}.html", output or folder / f"{name}.json"


def _deliver(
    points: Sequence[Point],
    machines: Sequence[Machine],
    environment: dict[str, Any],
    paths: tuple[Path, Path],
    as_json: bool,
) -> None:
    """Write the picture and the document, and print the document or the tables."""
    from harness_plugins.speed.document import document
    from harness_plugins.speed.picture import page
    from harness_plugins.speed.table import show

    picture, text = paths
    content = document(points, machines, environment) | {"picture": str(picture)}
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(page(points), encoding="utf-8")
    text.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(content)
        return
    show(people(), points, machines)
    people().print(f"picture: {picture}\nall figures: {text}", markup=False, soft_wrap=True)
