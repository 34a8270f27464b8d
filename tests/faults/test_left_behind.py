"""What a cell leaves behind reaches no later cell: two probes after each fault give the bits of an undisturbed run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.cell import Cell
from harness.registry import load_registry
from harness.running.engines import Settings, local

PLANTED = Path(__file__).parent / "planted"
sys.path.insert(0, str(PLANTED.parent))
load_registry([str(PLANTED)])
LEFT_BEHIND = sys.modules["planted"].LEFT_BEHIND
HANDED_BACK = sys.modules["planted"].HANDED_BACK
sys.path.remove(str(PLANTED.parent))

#: A device that has no worker of its own here, so that nothing but the number of cells a worker runs differs.
DEVICES = {"cpu": "a process for each cell", "mps": "a process for several cells"}


def fault(name: str, device: str) -> Cell:
    return Cell("s", "one", "planted/fault", {"fault": name, "seconds": 0.0}, device, "float32", 0, name)


def probe(device: str, seed: int, after: str) -> Cell:
    return Cell("s", "one", "planted/probe", {}, device, "float32", seed, after)


def run(cells: list[Cell], device: str, **more: object):
    """The records of these cells, run one after the other."""
    slot = "cpu" if device == "cpu" else f"{device}:0"
    settings = Settings(plugins=(str(PLANTED),), slots=(slot,), jobs=1, **more)  # type: ignore[arg-type]
    return {cell.id: record for cell, record in local.run(cells, settings)}


@pytest.mark.parametrize("device", DEVICES)
def test_probes_after_each_fault_have_the_bits_of_an_undisturbed_run(device):
    alone = [probe(device, seed, "alone") for seed in (1, 2)]
    planned = [
        cell for name in LEFT_BEHIND for cell in (fault(name, device), *(probe(device, s, name) for s in (1, 2)))
    ]
    records = run([*alone, *planned], device)
    expected = [records[cell.id].metrics for cell in alone]
    assert all(expected), [records[cell.id].cause for cell in alone]
    for name in LEFT_BEHIND:
        for seed in (1, 2):
            record = records[probe(device, seed, name).id]
            assert record.status == "done", f"{name}: {record.cause}"
            assert record.metrics == expected[seed - 1], name


#: Status and a part of the cause in the record of each fault.
EXPECTED = {
    "curve_of_objects": ("failed", "the curve 'loss' is no list of (step, value)"),
    "curve_not_finite": ("failed", "the curve 'loss' is not finite at step 1"),
    "curve_is_text": ("failed", "the curve 'loss' is no list of (step, value)"),
    "curves_are_none": ("failed", "its run's curves are a NoneType, not a mapping of lists"),
    "finite_is_patched": ("failed", 'its process sent what is no record of a cell: \'{"outcome"'),
    "json_is_patched": ("failed", "its process sent what is no record of a cell: 'patched'"),
    "garbage_line": ("failed", "its process sent what is no record of a cell: 'garbage'"),
    "garbage_without_end": ("failed", "its process sent what is no record of a cell: "),
    "garbage_then_good": ("failed", 'its process sent what is no record of a cell: \'{"outcome"'),
    "deep_garbage": ("failed", "its process sent what is no record of a cell: '[[[["),
    "pipe_closed": ("crashed", "its process ended"),
    "keyboard_interrupt": ("failed", "KeyboardInterrupt (handed_back.py:"),
    "stdout_closed": ("done", ""),
    "exits_with_1": ("crashed", "its process ended with exit status 1"),
    "exits_with_255": ("crashed", "its process ended with exit status 255"),
    "exits_with_0": ("crashed", "its process ended before the task returned"),
    "exit_is_patched": ("done", ""),
    "progress_is_text": ("failed", "TypeError"),
    "items_good": ("done", ""),
    "items_of_floats": ("failed", "outcomes of total: shape [2] of float64; one row of booleans"),
    "items_not_finite": ("failed", "outcomes of total: shape [2] of float64; one row of booleans"),
    "items_nested": ("failed", "outcomes of total: no row of numbers: setting an array element"),
    "items_of_other_numbers": ("failed", "outcomes of total: 2 is among them; 0 and 1 are allowed"),
    "items_of_no_metric": ("failed", "unknown outcomes of planted/fault: metric 'totl'; did you mean 'total'?"),
    "items_with_another_mean": ("failed", "total = 1, and the mean of its outcomes is 0.5"),
    "items_twice": ("failed", "outcomes of total were handed over before"),
    "items_are_none": ("failed", "its run's items are a NoneType, not a mapping of bytes"),
    "items_are_text": ("failed", "the outcomes of total are no bytes that are 0 or 1"),
    "items_too_many": ("failed", "outcomes of total: a cell may hand over at most 10,000,000 items in all"),
    "items_unchecked": ("failed", 'its process sent what is no record of a cell: \'{"outcome"'),
    "items_unchecked_of_a_path": ("failed", 'its process sent what is no record of a cell: \'{"outcome"'),
}


@pytest.mark.parametrize("device", DEVICES)
def test_what_a_cell_hands_back_is_a_record_or_a_failure_with_its_cause(device):
    assert EXPECTED.keys() == HANDED_BACK.keys()
    planned = [cell for name in HANDED_BACK for cell in (fault(name, device), probe(device, 1, name))]
    records = run(planned, device, timeout=60.0)
    undisturbed = {str(records[probe(device, 1, name).id].metrics) for name in HANDED_BACK}
    assert len(undisturbed) == 1
    for name, (status, cause) in EXPECTED.items():
        record = records[fault(name, device).id]
        assert (record.status, record.lost) == (status, False), (name, record.cause)
        assert cause in (record.cause or ""), name


def test_faults_are_driven_through_the_command_line_too(planted):
    suite = planted.suite(*HANDED_BACK)
    result = planted.run(suite, "--jobs", "2", "--timeout", "60s")
    assert result.code == 1, result.err
    assert "Traceback" not in result.err
    records = planted.by_fault()
    assert {name: record["status"] for name, record in records.items()} == {n: s for n, (s, _) in EXPECTED.items()}
    assert planted.command_line("claims", "--help").code == 0
