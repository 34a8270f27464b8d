"""Is it right? A method against the float64 reference: values, gradients, and tricks that only look fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.errors import UsageError
from harness.running.execute import explain
from harness.running.memory import ran_out
from harness.spec import Code, Method, Workload
from harness_plugins.speed.comparison import Bound, Fault, allowance, bounds, compare
from harness_plugins.speed.evaluation import NoScalar, Result, Unfinished, evaluate, weighted
from harness_plugins.speed.inputs import Inputs, in_float64, shapes
from harness_plugins.speed.repeats import skips_repeated_work
from harness_plugins.speed.second_order import second_order_fault

__all__ = ["DRAWS", "Bound", "Examined", "Family", "Fault", "NotForThisWorkload", "examine", "examine_family"]

#: Realistic draws that are examined; a race uses the same ones.
DRAWS = 3


class NotForThisWorkload(UsageError):
    """The workload refuses this method of its role on ordinary inputs, in its own words."""


@dataclass(frozen=True, slots=True)
class Family:
    """Methods that share a reference, whose results are computed once for all of them."""

    methods: Sequence[Method]
    reference: Method
    #: Whether extreme inputs and second derivatives are examined as well.
    extremes: bool = True
    second_order: bool = False


@dataclass(frozen=True, slots=True)
class Examined:
    """The outcome of an examination."""

    #: Faults by method.
    faults: dict[str, list[Fault]]
    #: For each realistic draw what a call without weights must return: the value, then the 2-norm of each gradient.
    truths: tuple[tuple[Bound, ...], ...]


def examine(
    method: Method,
    workload: Workload,
    size: Mapping[str, int],
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    reference: Method | None = None,
) -> list[Fault]:
    """Everything wrong with a method at one size; empty for a method that is right.

    ``reference`` is the method itself if left out. Raises NotForThisWorkload, and ImportError if the method's package
    is not installed.
    """
    # Seven parameters, so that other plugins and asv can call it without the other rooms of this plugin.
    inputs = Inputs(workload, size, device, dtype, seed)
    return examine_family(Family([method], reference or method), inputs).faults[method.name]


def examine_family(family: Family, inputs: Inputs, started: Callable[[str], None] = lambda name: None) -> Examined:
    """The faults of several methods.

    Inputs: two realistic draws in the same memory, which expose a method that knows an input by its address, a third
    in fresh memory, and each extreme. ``started`` is called with the name of the method that is run next, with "" for
    the reference: where the process ends, that method was the cause.
    """
    return _Examination(family, inputs, started).run()


@dataclass(frozen=True, slots=True)
class _Draw:
    number: int
    #: "realistic" or the name of an extreme.
    kind: str
    tensors: tuple[Tensor, ...]


class _Examination:
    def __init__(self, family: Family, inputs: Inputs, started: Callable[[str], None]) -> None:
        self.family, self.inputs, self.started = family, inputs, started
        self.call = inputs.call
        self.faults: dict[str, list[Fault]] = {method.name: [] for method in family.methods}
        self.truths: list[tuple[Bound, ...]] = []
        self.built: dict[str, Any] = {}
        self.weighted: dict[str, Any] = {}

    def run(self) -> Examined:
        for method in self.family.methods:
            self.started(method.name)
            self.built[method.name] = method.create()
            self.weighted[method.name] = weighted(self.built[method.name], self.inputs.seed)
        for draw in self._draws():
            self.started("")
            truth = self._truth(draw)
            for method in self._unblocked():
                self.started(method.name)
                self.faults[method.name] += self._faults(method, draw, truth)
        for method in self._unblocked():
            self.started(method.name)
            self.faults[method.name] += self._tricks(method)
        return Examined(self.faults, tuple(self.truths))

    def _draws(self) -> Iterator[_Draw]:
        sets: list[tuple[str, Code]] = [("realistic", self.inputs.workload.inputs)] * DRAWS
        if self.family.extremes:
            sets += self.inputs.workload.extremes.items()
        previous: tuple[Tensor, ...] = ()
        for number, (kind, code) in enumerate(sets):
            tensors = self.inputs.draw(number, code)
            if number == 1 and shapes(previous) == shapes(tensors):
                # Behind autograd's back: not even the tensors' version counters change.
                for old, new in zip(previous, tensors, strict=True):
                    old.data.copy_(new.data)
                tensors = previous
            previous = tensors
            yield _Draw(number, kind, tensors)

    def _unblocked(self) -> Iterator[Method]:
        """The methods without a fault that blocks them."""
        for method in self.family.methods:
            if not any(fault.blocks for fault in self.faults[method.name]):
                yield method

    def _truth(self, draw: _Draw) -> Result:
        """The reference's result; its bounds for a call without weights are appended to ``truths``."""
        tensors, reference = in_float64(draw.tensors), self.family.reference
        try:
            truth = evaluate(self.call, weighted(reference.create(), self.inputs.seed), tensors)
            if draw.number < DRAWS:
                plain = truth if truth.output is None else evaluate(self.call, reference.create(), tensors)
                self.truths.append(bounds(plain, allowance(plain, draw.tensors, self.inputs)))
        except UsageError as error:
            raise NotForThisWorkload(str(error)) from error
        return truth

    def _faults(self, method: Method, draw: _Draw, truth: Result) -> list[Fault]:
        """The faults on one draw, exceptions included. Raises those that say that memory ran out."""
        try:
            return list(self._compared(method, draw, truth))
        except UsageError as error:
            if draw.number == 0:
                raise NotForThisWorkload(str(error)) from error
            return [Fault("raised", draw.kind, str(error))]
        except Exception as error:
            if ran_out(error):
                raise
            return [Fault("raised", draw.kind, explain(error))]

    def _compared(self, method: Method, draw: _Draw, truth: Result) -> Iterator[Fault]:
        built, tensors, kind = self.weighted[method.name], draw.tensors, draw.kind
        before = [t.detach().clone() for t in tensors]
        try:
            result = evaluate(self.call, built, tensors, wait=draw.number == 0)
            # Inference may take another path than training.
            with torch.no_grad():
                inference = evaluate(self.call, built, tensors)
        except Unfinished:
            yield Fault("unfinished", kind, "its result changed after it had been returned: work was left running")
            return
        except NoScalar as error:
            yield Fault("value", kind, str(error))
            return
        if not all(torch.equal(t, b) for t, b in zip(tensors, before, strict=True)):
            yield Fault("changed-input", kind, "it writes into its inputs")
        yield from compare(kind, result, inference, truth, allowance(truth, tensors, self.inputs))

    def _tricks(self, method: Method) -> Iterator[Fault]:
        if problem := skips_repeated_work(self.built[method.name], self.inputs):
            yield Fault("repeated", "realistic", problem)
        if self.family.second_order and (problem := second_order_fault(method, self.family.reference, self.inputs)):
            yield Fault("second-order", "realistic", problem, blocks=False)
