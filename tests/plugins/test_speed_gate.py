"""A wrong kernel gets no time: each way of being wrong, or of looking fast, is planted once and found."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import harness
from harness.spec import Method, Workload
from harness_plugins.efficient_global_pointer.heads import EfficientGlobalPointer
from harness_plugins.speed import gate, repeats, timing
from harness_plugins.speed.gate import Family
from harness_plugins.speed.inputs import Inputs

DEVICE, DTYPE = torch.device("cpu"), torch.float32
SIZE = {"n": 2000}


def inputs(generator, device, dtype, n):
    first, second = torch.randn(2, n, generator=generator, dtype=torch.float64)
    return first.to(device, dtype).requires_grad_(), second.to(device, dtype).requires_grad_()


def huge(generator, device, dtype, n):
    return tuple((1e4 * t.detach()).requires_grad_() for t in inputs(generator, device, dtype, n))


def call(method, first, second):
    return method(first, second).sum()


WORKLOAD = Workload(
    name="planted/pairs",
    role="pair",
    sizes={"n": [1000, 2000]},
    inputs=inputs,
    extremes={"huge": huge},
    call=call,
    bytes=lambda itemsize, n: 4 * itemsize * n,
    flops=lambda n: 3 * n,
    baseline="right",
)


def right(first: Tensor, second: Tensor) -> Tensor:
    return torch.nn.functional.softplus(first) * second


REFERENCE = Method(name="right", role="pair", build=lambda: right)


class Formed(torch.autograd.Function):
    """The right value and gradients that a test may spoil."""

    factors = (1.0, 1.0)
    ignores_upstream = False

    @staticmethod
    def forward(ctx, first, second):
        ctx.save_for_backward(torch.sigmoid(first) * second, torch.nn.functional.softplus(first))
        return right(first, second)

    @staticmethod
    def backward(ctx, upstream):
        slope, value = ctx.saved_tensors
        upstream = torch.ones_like(upstream) if Formed.ignores_upstream else upstream
        return upstream * slope * Formed.factors[0], upstream * value * Formed.factors[1]


def off_by_a_factor(first, second):
    return 1.001 * right(first, second)


def off_in_one_element(first, second):
    output = right(first, second)
    return torch.cat([output[:-2], output[-1:], output[-2:-1]])


def wrong_at_one_size(first, second):
    return right(first, second) * (1.001 if len(first) == SIZE["n"] else 1)


def not_a_number_at_an_extreme(first, second):
    return torch.log1p(torch.exp(first)) * second


def writes_into_its_input(first, second):
    output = right(first, second)
    # Behind autograd's back, which would notice it.
    first.data[0] += 1e-3
    return output


def raises(*_):
    raise ValueError("cannot do that")


class ByAddress:
    """Stores its softplus of an input under the input's address."""

    def __init__(self):
        self.stored = {}

    def __call__(self, first, second):
        key = (first.data_ptr(), first._version)
        if key not in self.stored:
            self.stored[key] = torch.nn.functional.softplus(first).detach()
        return self.stored[key] * second + (right(first, second) - right(first.detach(), second))


class OnlyWithoutGradients:
    def __call__(self, first, second):
        return right(first, second) * (1 if torch.is_grad_enabled() else 1.01)


class SkipsRepeatedWork:
    """Right each time, and quick where it has seen these very numbers."""

    def __init__(self):
        self.seen = set()

    def __call__(self, first, second):
        key = hash(first.detach().numpy().tobytes())
        if key not in self.seen:
            self.seen.add(key)
            time.sleep(0.003)
        return right(first, second)


class LeavesWorkRunning:
    """Returns at once; a thread writes the result afterwards."""

    def __call__(self, first, second):
        output = right(first, second)
        result = output.detach().clone()
        output.data.zero_()
        threading.Timer(0.01, lambda: output.data.copy_(result)).start()
        return output


INPUTS = Inputs(WORKLOAD, SIZE, DEVICE, DTYPE)


def faults(build, size=SIZE, **more):
    method = Method(name="planted", role="pair", build=build, reference="right")
    examined = gate.examine_family(Family([method], REFERENCE, **more), replace(INPUTS, size=size))
    return examined.faults["planted"]


def race(methods, copy, controlled, direction="both", budget=0.02, inputs=INPUTS, truths=None, **more):
    contest = timing.Race(methods, controlled, copy, inputs, direction, budget, truths or {})
    return timing.time_methods(contest, **more)


def test_a_right_kernel_has_no_faults():
    assert faults(lambda: right, second_order=True) == []
    assert faults(lambda: Formed.apply) == []


@pytest.mark.parametrize(
    ("build", "check", "inputs"),
    [
        (lambda: off_by_a_factor, "value", "realistic"),
        (lambda: off_in_one_element, "output", "realistic"),
        (lambda: wrong_at_one_size, "value", "realistic"),
        (lambda: not_a_number_at_an_extreme, "value", "huge"),
        (lambda: writes_into_its_input, "changed-input", "realistic"),
        (lambda: raises, "raised", "realistic"),
        (ByAddress, "value", "realistic"),
        (OnlyWithoutGradients, "value", "realistic"),
        (SkipsRepeatedWork, "repeated", "realistic"),
        (LeavesWorkRunning, "unfinished", "realistic"),
    ],
)
def test_a_planted_fault_is_found(build, check, inputs):
    planted = faults(build)
    assert (check, inputs, True) in {(f.check, f.inputs, f.blocks) for f in planted}, planted


def test_a_busy_machine_makes_no_skipped_work_of_slow_first_calls(monkeypatch):
    def gain(*seconds: float) -> str | None:
        calls = itertools.cycle(seconds)
        monkeypatch.setattr(repeats, "_seconds", lambda *_: next(calls))
        return repeats.skips_repeated_work(right, INPUTS)

    disturbed = (9e-3, 1e-3) * 4 + (1e-3, 1e-3)
    assert gain(*disturbed) is None
    # The third comparison alone is undisturbed.
    assert gain(*((9e-3, 1e-3) * 10 + (1e-3, 1e-3) * 5)) is None
    assert "9 times as fast as a new one" in gain(9e-3, 1e-3)


def test_a_fault_at_one_size_is_found_at_that_size_alone():
    assert faults(lambda: wrong_at_one_size, {"n": 1000}) == []


def test_what_is_stored_by_address_is_right_at_first_and_found_when_the_memory_holds_something_else():
    stale = faults(ByAddress)
    assert stale and all("off by" in fault.found for fault in stale)
    kernel, (first, second) = ByAddress(), inputs(torch.Generator().manual_seed(0), DEVICE, DTYPE, 100)
    torch.testing.assert_close(kernel(first, second), right(first, second))


@pytest.mark.parametrize("position", [0, 1])
def test_a_wrong_gradient_of_any_input_is_found(monkeypatch, position):
    monkeypatch.setattr(Formed, "factors", tuple(1.001 if i == position else 1.0 for i in range(2)))
    wrong = faults(lambda: Formed.apply)
    assert {f.check for f in wrong} == {"gradient"}
    assert all(f"gradient of input {position} is off by 0.001" in f.found for f in wrong)


def test_a_backward_pass_that_ignores_what_comes_from_above_is_found(monkeypatch):
    monkeypatch.setattr(Formed, "ignores_upstream", True)
    assert {f.check for f in faults(lambda: Formed.apply)} == {"gradient"}


def test_a_second_derivative_that_is_wrong_without_an_error_is_a_note_and_blocks_nothing():
    (fault,) = faults(lambda: Formed.apply, second_order=True)
    assert (fault.check, fault.blocks) == ("second-order", False)
    once = type(
        "Once", (Formed,), {"backward": staticmethod(torch.autograd.function.once_differentiable(Formed.backward))}
    )
    assert faults(lambda: once.apply, second_order=True) == []


def test_a_method_the_workload_refuses_is_no_fault():
    def refuse(*_):
        raise harness.UsageError("only for others")

    with pytest.raises(gate.NotForThisWorkload, match="only for others"):
        faults(lambda: refuse)


def test_while_timed_a_result_that_is_not_what_it_was_drops_the_method_and_no_other():
    class Lazy:
        """Works for as long as it is examined, then stops."""

        calls = 0

        def __call__(self, first, second):
            Lazy.calls += 1
            return right(first, second) if Lazy.calls < 8 else torch.zeros_like(first) * second

    built = {"right": right, "lazy": Lazy()}
    times = race(built, right, "right")
    assert set(times.blocks) == {"right"}
    assert "where it gave" in times.dropped["lazy"].cause


def test_while_timed_work_that_is_left_running_is_noticed():
    class Late:
        """Finishes in time while it is examined, and later leaves the same work to a thread."""

        calls = 0

        def __call__(self, first, second):
            Late.calls += 1
            return right(first, second) if Late.calls < 8 else LeavesWorkRunning()(first, second)

    built = {"right": right, "late": Late()}
    times = race(built, right, "right", "forward")
    assert set(times.dropped) == {"late"}


class StaleSpans(EfficientGlobalPointer):
    """Stores its loss and the loss's slope under the address of the states."""

    def loss(self, hidden, mask, spans):
        stored = self.__dict__.setdefault("_stored", {})
        if hidden.data_ptr() not in stored:
            states = hidden.detach().clone().requires_grad_()
            with torch.enable_grad():
                value = super().loss(states, mask, spans)
            stored[hidden.data_ptr()] = value.detach(), *torch.autograd.grad(value, states)
        value, slope = stored[hidden.data_ptr()]
        return value + ((hidden - hidden.detach()) * slope).sum()


SPANS = replace(harness.workloads()["ner/spans"], extremes={})
SCORER = harness.methods()["efficient-global-pointer"]
TEXTS = {"batch": 2, "types": 3, "length": 8, "width": 16}


def test_what_a_span_scorer_that_the_workload_builds_stores_by_address_is_found():
    reference = harness.methods()[SCORER.reference]
    stale = gate.examine(replace(SCORER, build=StaleSpans), SPANS, TEXTS, DEVICE, DTYPE, 0, reference)
    assert any(f.blocks and "off by" in f.found for f in stale), stale


def test_a_race_compares_with_what_the_reference_gave_and_not_with_the_method_itself():
    reference = harness.methods()[SCORER.reference]
    inputs = Inputs(SPANS, TEXTS, DEVICE, DTYPE)
    examined = gate.examine_family(Family([SCORER], reference), inputs)
    assert examined.faults[SCORER.name] == []
    built = {"right": SCORER.create(), "stale": StaleSpans()}
    truths = dict.fromkeys(built, examined.truths)
    times = race(built, SCORER.create(), "right", budget=0.005, inputs=inputs, truths=truths)
    assert set(times.blocks) == {"right"}
    assert times.dropped["stale"].status == "wrong"
    assert "where the reference gives" in times.dropped["stale"].cause


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_gradient_or_value_that_is_not_the_references_is_dropped_from_a_race(monkeypatch, direction):
    monkeypatch.setattr(Formed, "factors", (1.0, 1.001))
    truths = gate.examine_family(Family([REFERENCE], REFERENCE), INPUTS).truths
    built = {"right": right, "slope": Formed.apply, "value": off_by_a_factor}
    times = race(built, right, "right", direction, budget=0.002, truths=dict.fromkeys(built, truths))
    assert set(times.dropped) == ({"slope", "value"} if direction == "both" else {"value"})


class Remembers:
    """Right each time, and quick from this sighting of the same numbers on."""

    def __init__(self, sighting):
        self.seen, self.sighting = Counter(), sighting

    def __call__(self, first, second):
        key = hash(first.detach().numpy().tobytes())
        self.seen[key] += 1
        if self.seen[key] < self.sighting:
            time.sleep(0.003)
        return right(first, second)


@pytest.mark.parametrize("sighting", [2, 3, 4, 5])
def test_work_that_is_skipped_from_some_sighting_on_is_found_by_new_inputs_after_the_race(sighting):
    slow = Remembers(10**9)
    built = {"slow": slow, "memo": Remembers(sighting)}
    times = race(built, slow, "slow", "forward")
    assert set(times.blocks) == {"slow"}
    assert "times as fast as new ones: its work is skipped" in times.dropped["memo"].cause


def test_a_method_that_fails_in_the_middle_of_a_race_costs_itself_alone():
    class Leaks:
        calls = 0

        def __call__(self, first, second):
            Leaks.calls += 1
            if Leaks.calls > 12:
                raise ValueError("no handles left")
            return right(first, second)

    built = {"right": right, "leaks": Leaks(), "formed": Formed.apply}
    started = []
    times = race(built, right, "right", started=started.append)
    assert set(times.blocks) == {"right", "formed"}
    assert times.dropped["leaks"].status == "raised"
    assert times.dropped["leaks"].cause.startswith("while timed: ValueError: no handles left")
    assert set(started) == set(built)
