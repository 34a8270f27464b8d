"""A measurement as one JSON document, with every block in it (docs/speed.md describes it)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.spec import resolve
from harness_plugins.speed.growth import exponents
from harness_plugins.speed.machine import Rates
from harness_plugins.speed.points import Machine, Point, Row
from harness_plugins.speed.ratios import Ratio

SCHEMA = 1


def document(points: Sequence[Point], machines: Sequence[Machine], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "machines": [_machine(machine) for machine in machines],
        "points": [_point(point, machines) for point in points],
        "growth": growth(points),
    }


def shares(point: Point, row: Row, machines: Sequence[Machine]) -> tuple[float, float] | None:
    """The least bytes and operations of a call, over what the machine copies and multiplies in the row's time.

    None where a part of that is unknown.
    """
    conditions = point.conditions
    rates = {(machine.device, machine.threads): machine.rates for machine in machines}.get(
        (conditions.device, conditions.threads)
    )
    seconds = row.seconds("both")
    # Workloads count forward and backward together.
    if not isinstance(rates, Rates) or seconds is None or not conditions.backward:
        return None
    moved = resolve(point.workload.bytes)(conditions.torch_dtype.itemsize, **conditions.dimensions)
    computed = resolve(point.workload.flops)(**conditions.dimensions)
    return moved / seconds / rates.copy_bytes_per_second, computed / seconds / rates.matmul_flops_per_second


def growth(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Fitted exponents of time (both, or forward alone) and memory for each method, workload and machine."""
    series: dict[tuple[str, str, int, str], list[tuple[Point, Row]]] = {}
    for point in points:
        for row in point.rows:
            conditions = point.conditions
            key = (conditions.workload, conditions.device, conditions.threads, row.method)
            series.setdefault(key, []).append((point, row))
    fits = []
    for (workload, device, threads, method), rows in series.items():
        times = [(point.conditions.dimensions, s) for point, row in rows if (s := point.ranked(row)) is not None]
        peaks = [(point.conditions.dimensions, float(row.cost.peak_bytes or 0)) for point, row in rows if row.cost]
        time, memory = (exponents(*_columns(values)) for values in (times, peaks))
        if time or memory:
            where = {"workload": workload, "device": device, "threads": threads, "method": method}
            fits.append({**where, "time": time, "memory": memory})
    return fits


def _columns(values: Sequence[tuple[Mapping[str, int], float]]) -> tuple[list[Mapping[str, int]], list[float]]:
    return [size for size, _ in values], [value for _, value in values]


def _machine(machine: Machine) -> dict[str, Any]:
    rates = machine.rates
    known = asdict(rates) if isinstance(rates, Rates) else {"why": rates.status, "cause": rates.cause}
    return {"device": machine.device, "threads": machine.threads, "rates": known}


def _point(point: Point, machines: Sequence[Machine]) -> dict[str, Any]:
    conditions = point.conditions
    return {
        "workload": conditions.workload,
        "role": point.workload.role,
        "size": dict(conditions.size),
        "device": conditions.device,
        "threads": conditions.threads,
        "dtype": conditions.dtype,
        "options": dict(conditions.options),
        "baseline": point.baseline,
        "controls": {
            direction: {"method": control.method, **_ratio(control.ratio), "same": control.same}
            for direction, control in point.controls.items()
        },
        "rows": [_row(point, row, machines) for row in point.rows],
    }


def _row(point: Point, row: Row, machines: Sequence[Machine]) -> dict[str, Any]:
    of_machine = shares(point, row, machines)
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
            for direction in point.conditions.directions
        },
        "copy_share": of_machine[0] if of_machine else None,
        "matmul_share": of_machine[1] if of_machine else None,
    }


def _ratio(ratio: Ratio) -> dict[str, float | str | None]:
    known = math.isfinite(ratio.high)
    return {
        "times": ratio.times,
        "low": ratio.low if known else None,
        "high": ratio.high if known else None,
        "told": ratio.outcome if known else "one call",
    }
