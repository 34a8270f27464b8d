"""A measurement as one JSON document, with every block in it (docs/speed.md describes it)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.spec import resolve
from harness_plugins.speed.apart import Ended
from harness_plugins.speed.bench import Point, Row
from harness_plugins.speed.growth import exponents
from harness_plugins.speed.machine import Rates

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """One device with one number of threads, and what it can do."""

    device: str
    threads: int
    rates: Rates | Ended


def document(points: Sequence[Point], machines: Sequence[Machine], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "machines": [asdict(machine) for machine in machines],
        "points": [_point(point, machines) for point in points],
        "growth": growth(points),
    }


def shares(point: Point, row: Row, machines: Sequence[Machine]) -> tuple[float, float] | None:
    """Of the machine's copy bandwidth and matmul rate, what forward and backward reach by the least that is needed."""
    found = next(
        (m.rates for m in machines if (m.device, m.threads) == (point.place.device, point.place.threads)), None
    )
    seconds = row.seconds("both")
    # Workloads count forward and backward together.
    if not isinstance(found, Rates) or seconds is None or not point.place.backward:
        return None
    size = point.place.dimensions
    moved = resolve(point.workload.bytes)(point.place.torch_dtype.itemsize, **size)
    computed = resolve(point.workload.flops)(**size)
    return moved / seconds / found.copy_bytes_per_second, computed / seconds / found.matmul_flops_per_second


def growth(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Fitted exponents of time (both, or forward alone) and memory for each method and place."""
    series: dict[tuple[str, str, int, str], list[tuple[Point, Row]]] = {}
    for point in points:
        for row in point.rows:
            key = (point.place.workload, point.place.device, point.place.threads, row.method)
            series.setdefault(key, []).append((point, row))
    found = []
    for (workload, device, threads, method), rows in series.items():
        times = [(point.place.dimensions, s) for point, row in rows if (s := point.ranked(row)) is not None]
        peaks = [(point.place.dimensions, float(row.cost.peak_bytes or 0)) for point, row in rows if row.cost]
        time, memory = (exponents(*_apart(values)) for values in (times, peaks))
        if time or memory:
            where = {"workload": workload, "device": device, "threads": threads, "method": method}
            found.append({**where, "time": time, "memory": memory})
    return found


def _apart(values: Sequence[tuple[Mapping[str, int], float]]) -> tuple[list[Mapping[str, int]], list[float]]:
    return [size for size, _ in values], [value for _, value in values]


def _point(point: Point, machines: Sequence[Machine]) -> dict[str, Any]:
    place = point.place
    return {
        "workload": place.workload,
        "role": point.workload.role,
        "size": dict(place.size),
        "device": place.device,
        "threads": place.threads,
        "dtype": place.dtype,
        "options": dict(place.settings),
        "baseline": point.baseline,
        "controls": {
            direction: {"method": control.method, **_ratio(control.ratio), "same": control.same}
            for direction, control in point.controls.items()
        },
        "rows": [_row(point, row, machines) for row in point.rows],
    }


def _row(point: Point, row: Row, machines: Sequence[Machine]) -> dict[str, Any]:
    reached, place = shares(point, row, machines), point.place
    return {
        "method": row.method,
        "status": row.status,
        "cause": row.cause or None,
        "reference": row.reference,
        "faults": [asdict(fault) for fault in row.faults],
        "peak_bytes": row.cost.peak_bytes if row.cost else None,
        "first_call_seconds": row.cost.first if row.cost else None,
        **{
            direction: {
                "seconds": row.seconds(direction),
                "blocks": list(row.blocks.get(direction, ())),
                "against_baseline": _ratio(row.ratios[direction]) if direction in row.ratios else None,
            }
            for direction in place.directions
        },
        "copy_share": reached[0] if reached else None,
        "matmul_share": reached[1] if reached else None,
    }


def _ratio(found: Any) -> dict[str, float | str | None]:
    known = math.isfinite(found.high)
    return {
        "times": found.times,
        "low": found.low if known else None,
        "high": found.high if known else None,
        "told": found.told if known else "one call",
    }
