"""The statistics of races, on clocks whose truth is known."""

from __future__ import annotations

import contextlib
import math
import random
import types

import pytest
import torch

from harness_plugins.speed import clock
from harness_plugins.speed.blocks import LEAST_BLOCKS, MOST_BLOCKS, interleave
from harness_plugins.speed.growth import exponents
from harness_plugins.speed.ratios import Ratio, no_difference, ratio


class Machine:
    """Calls take their time, times noise of their own and a slowness that all share and that wanders."""

    def __init__(self, seed: int, noise: float = 0.05, drift: float = 0.05) -> None:
        self.random, self.noise, self.drift, self.slowness = random.Random(seed), noise, drift, 0.0

    def call(self, seconds: float):
        def run() -> float:
            self.slowness += self.random.gauss(0, self.drift)
            return seconds * math.exp(self.slowness + abs(self.random.gauss(0, self.noise)))

        return run


@pytest.mark.parametrize("truth", [0.5, 1.0, 1.1, 20.0])
def test_a_known_ratio_is_covered_as_often_as_the_interval_says(truth):
    covered = 0
    for seed in range(200):
        machine = Machine(seed)
        blocks = interleave({"base": machine.call(1e-3 * truth), "method": machine.call(1e-3)}, 0.03, seed=seed)
        estimate = ratio(blocks["base"], blocks["method"])
        covered += estimate.low <= truth <= estimate.high
    # 180 are expected; 165 or fewer happens once in 500 such tests.
    assert covered >= 165


def test_the_same_thing_twice_is_rarely_called_different():
    outcomes = []
    for seed in range(200):
        machine = Machine(seed)
        blocks = interleave({"base": machine.call(1e-3), "again": machine.call(1e-3)}, 0.03, seed=seed)
        outcomes.append(ratio(blocks["base"], blocks["again"]).outcome)
    assert outcomes.count("no difference") >= 165


def test_a_noisy_machine_fails_the_control_and_a_quiet_one_passes_it():
    def passes(noise: float) -> int:
        count = 0
        for seed in range(50):
            machine = Machine(seed, noise, drift=0)
            blocks = interleave({"base": machine.call(0.1), "again": machine.call(0.1)}, 1.0, seed=seed)
            count += no_difference(blocks["base"], blocks["again"])
        return count

    assert passes(0.005) == 50
    assert passes(0.5) <= 5


def test_a_constant_bias_of_more_than_the_margin_fails_the_control():
    assert no_difference([1.0, 1.0, 1.0], [1.04, 1.04, 1.04])
    assert not no_difference([1.0, 1.0, 1.0], [1.06, 1.06, 1.06])


def test_blocks_follow_the_budget_and_double_where_they_settle_nothing():
    def count(seconds: float, settled: bool = True) -> int:
        return len(interleave({"one": lambda: seconds}, 0.4, lambda blocks: settled)["one"])

    assert count(10.0) == LEAST_BLOCKS
    assert count(1e-4) == MOST_BLOCKS
    assert count(10.0, settled=False) == 2 * LEAST_BLOCKS


def test_ratios_say_faster_only_where_the_interval_does():
    assert [Ratio(*x).outcome for x in ((2, 1.5, 3), (0.5, 0.4, 0.9), (1.2, 0.9, 1.5))] == [
        "faster",
        "slower",
        "no difference",
    ]


def test_exponents_of_two_dimensions_are_recovered_and_undetermined_ones_left_out():
    sizes = [{"n": n, "d": d} for n in (10, 100, 1000) for d in (4, 16)]
    fitted = exponents(sizes, [3e-6 * size["n"] ** 2 * size["d"] ** 0.5 for size in sizes])
    assert fitted == pytest.approx({"n": 2.0, "d": 0.5})
    assert exponents([{"n": 10, "d": 4}, {"n": 20, "d": 8}, {"n": 40, "d": 16}], [1, 2, 4]) == {}
    assert exponents([{"n": 10}, {"n": 20}], [1.0, 0.0]) == {}


class Device:
    """A stand-in for a GPU: logs its calls in order, on a clock that they advance."""

    def __init__(self, monkeypatch, left_running: float = 0.0):
        self.log, self.now, self.left_running = [], 0.0, left_running
        device, cuda = self, torch.cuda

        class Event:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self):
                device.log.append("event")
                self.at = device.now

            def synchronize(self):
                device.log.append("wait for event")

            def elapsed_time(self, end):
                return 1e3 * (end.at - self.at)

        def wait(_):
            device.log.append("wait")
            device.now += device.left_running if "call" in device.log else 0.0

        def empty(count, dtype, device):
            self.log.append(f"{count * dtype.itemsize} bytes on {device}")
            return types.SimpleNamespace(zero_=lambda: self.log.append("clear"))

        properties = types.SimpleNamespace(L2_cache_size=50_000_000)
        for name, stand_in in (
            ("Event", Event),
            ("synchronize", wait),
            ("get_device_properties", lambda _: properties),
            ("device", lambda _: contextlib.nullcontext()),
        ):
            monkeypatch.setattr(cuda, name, stand_in)
        monkeypatch.setattr(torch, "empty", empty)
        monkeypatch.setattr(clock.time, "perf_counter", lambda: device.now)
        clock._larger_than_cache.cache_clear()

    def work(self):
        self.log.append("call")
        self.now += 0.25
        return "result"


def test_on_cuda_events_time_a_call_whose_cache_was_cleared_outside_of_them(monkeypatch):
    device = Device(monkeypatch)
    slot = torch.device("cuda:1")
    assert clock.timed(slot, device.work) == (0.25, "result")
    once = ["clear", "wait", "event", "call", "event", "wait for event", "wait"]
    assert device.log == ["100000000 bytes on cuda:1", *once]
    clock.timed(slot, device.work)
    assert device.log[8:] == once
    clock._larger_than_cache.cache_clear()


def test_on_cuda_what_is_left_on_another_stream_counts(monkeypatch):
    device = Device(monkeypatch, left_running=0.5)
    seconds, _ = clock.timed(torch.device("cuda"), device.work)
    assert seconds == 0.75
    clock._larger_than_cache.cache_clear()
