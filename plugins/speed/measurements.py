"""Work for processes of their own: the machine's rates, a method's cost, a family's check, the times of a size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from harness.errors import UsageError
from harness.registry import load_registry
from harness.running.memory import keep_freed_blocks
from harness.spec import Code, Method, Workload, resolve
from harness_plugins.speed.comparison import Bound
from harness_plugins.speed.conditions import Conditions
from harness_plugins.speed.gate import Family, NotForThisWorkload, examine_family
from harness_plugins.speed.inputs import Inputs
from harness_plugins.speed.machine import measure_rates
from harness_plugins.speed.option_values import with_values
from harness_plugins.speed.own_process import Send
from harness_plugins.speed.peak import LEAST_KEPT, MOST_KEPT, measure_cost
from harness_plugins.speed.stopwatch import Direction
from harness_plugins.speed.timing import Race, time_methods


@dataclass(frozen=True, slots=True)
class Check:
    """Which methods are checked against which reference."""

    methods: tuple[str, ...]
    reference: str
    #: Whether second derivatives are checked as well.
    second_order: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """Which methods are timed, and which of them a second time."""

    methods: tuple[str, ...]
    controlled: str
    direction: Direction
    #: Seconds for each method, about.
    budget: float
    #: What each method must give, by name (``gate.Examined.truths``).
    truths: Mapping[str, Sequence[Sequence[Bound]]]


def send_rates(send: Send, device: str, threads: int) -> None:
    """Send the machine's Rates."""
    torch.set_num_threads(threads)
    send(measure_rates(torch.device(device)))


def send_cost(send: Send, conditions: Conditions, method: str) -> None:
    """Send the Cost of one method."""
    # Before there is a large block to be freed.
    keep_freed_blocks(LEAST_KEPT)
    inputs, methods = _set_up(conditions)
    built, tensors = methods[method].create(), inputs.draw()
    try:
        send(measure_cost(built, inputs.call, tensors, conditions.device))
    except UsageError as error:
        raise NotForThisWorkload(str(error)) from error


def send_faults(send: Send, conditions: Conditions, check: Check) -> None:
    """Send the name of each method before it runs, "" for the reference, and Examined at the end."""
    inputs, methods = _set_up(conditions)
    checked = [methods[name] for name in check.methods]
    family = Family(checked, methods[check.reference], second_order=check.second_order)
    send(examine_family(family, inputs, started=send))


def send_times(send: Send, conditions: Conditions, timing: Timing) -> None:
    """Send the name of each method before it runs, and Times at the end."""
    # As in a process that has been at work for a while: else the first method to free a large block would decide it.
    keep_freed_blocks(MOST_KEPT)
    inputs, methods = _set_up(conditions)
    race = Race(
        methods={name: methods[name].create() for name in timing.methods},
        controlled=timing.controlled,
        copy=methods[timing.controlled].create(),
        inputs=inputs,
        direction=timing.direction,
        budget=timing.budget,
        truths=timing.truths,
    )
    send(time_methods(race, started=send))


def _set_up(conditions: Conditions) -> tuple[Inputs, dict[str, Method]]:
    """Set the number of threads; give the workload's inputs and the methods of its role, options set."""
    torch.set_num_threads(conditions.threads)
    # The server that this process was forked from may be an engine's, which asks for slower kernels.
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)
    registry = load_registry(conditions.plugins)
    workload = registry.workloads[conditions.workload]
    methods = [method for method in registry.methods.values() if method.role == workload.role]
    inputs = Inputs(
        workload if conditions.backward else _without_gradients(workload),
        conditions.dimensions,
        torch.device(conditions.device),
        conditions.torch_dtype,
        conditions.seed,
    )
    return inputs, {method.name: with_values(method, conditions.options) for method in methods}


def _without_gradients(workload: Workload) -> Workload:
    extremes = {name: _detached(code) for name, code in workload.extremes.items()}
    return replace(workload, inputs=_detached(workload.inputs), extremes=extremes)


def _detached(code: Code) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The same inputs, of which none requires a gradient."""
    draw = resolve(code)
    return lambda *arguments, **size: tuple(tensor.detach() for tensor in draw(*arguments, **size))
