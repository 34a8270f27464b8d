"""How long cells will take, by past records: the median of the nearest kind, summed over cells."""

from __future__ import annotations

import pytest

from harness.cell import Cell, Record
from harness.planning.estimate import PastSeconds


def cell(method="a", seed=0, task="t", device="cpu", dtype="float32", **options):
    return Cell("s", method, task, options, device, dtype, seed, "code")


def record(seconds, status="done", **axes):
    of = cell(**axes)
    names = ("id", "suite", "method", "task", "options", "device", "dtype", "seed")
    return Record(**{name: getattr(of, name) for name in names}, status=status, seconds=seconds)


def test_estimate_is_the_median_of_the_nearest_kind_that_is_known():
    past = PastSeconds([record(s, size=8) for s in (1.0, 2.0, 30.0)])
    for seconds, axes in [(5.0, {"method": "b", "size": 8}), (9.0, {"method": "b", "size": 32})]:
        past.add(record(seconds, **axes))
    assert past.of(cell(size=8)) == 2.0, "of the same method and setting"
    assert past.of(cell(size=8, seed=7, dtype="float32")) == 2.0
    assert past.of(cell("c", size=8)) == 3.5, "of all methods in the same setting: 1, 2, 5, 30"
    assert past.of(cell(size=8, dtype="float64")) == 3.5, "another dtype is another kind of cell"
    assert past.of(cell("c", size=64)) == 5.0, "of the task: 1, 2, 5, 9, 30"
    assert past.of(cell(size=8, device="cuda")) is None
    assert past.of(cell(size=8, task="other")) is None


def test_records_without_a_result_tell_nothing():
    past = PastSeconds([record(100.0, status="timeout"), record(100.0, status="failed")])
    assert past.of(cell()) is None
    assert past.total([cell()]) is None


def test_total_counts_every_cell_and_not_every_setting():
    past = PastSeconds([record(1.0, size=8), record(10.0, size=32)])
    cells = [cell(seed=s, size=8) for s in range(6)] + [cell(seed=s, size=32) for s in range(2)]
    assert past.total(cells) == pytest.approx(6 * 1.0 + 2 * 10.0)


def test_cell_of_which_nothing_is_known_counts_as_the_average_of_the_others():
    past = PastSeconds([record(1.0, size=8), record(10.0, size=32)])
    cells = [cell(seed=s, size=8) for s in range(6)] + [cell(seed=s, size=32) for s in range(2)]
    unknown = [cell(seed=s, task="other") for s in range(4)]
    assert past.total([*cells, *unknown]) == pytest.approx(26.0 * 12 / 8)
    assert past.total(unknown) is None
    assert past.total([]) is None


def test_wall_time_is_that_of_cells_taken_in_turn_by_the_first_free_worker():
    past = PastSeconds([record(1.0, size=8), record(10.0, size=32), record(3.0, size=8, device="cuda")])
    small, large = [cell(seed=s, size=8) for s in range(4)], cell(size=32)
    assert past.wall(small, {"cpu": 1}) == pytest.approx(4.0)
    assert past.wall(small, {"cpu": 3}) == pytest.approx(2.0), "the fourth cell waits for a worker"
    assert past.wall([*small, large], {"cpu": 2}) == pytest.approx(12.0)
    assert past.wall([large, *small], {"cpu": 2}) == pytest.approx(10.0)
    assert past.wall(small, {"cpu": 2}, more=0.5) == pytest.approx(3.0)
    both = [*small, cell(size=8, device="cuda")]
    assert past.wall(both, {"cpu": 4, "cuda": 1}) == pytest.approx(3.0), "devices work at once"
    assert past.wall([], {"cpu": 2}) == 0.0
    assert past.wall([cell(size=8, task="other")], {"cpu": 2}) is None
