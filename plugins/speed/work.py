"""What runs in processes of its own: the machine's rates, one method's cost, a family's check, a size's race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from harness.errors import UsageError
from harness.registry import load_registry
from harness.running.memory import keep_freed_blocks
from harness.spec import Code, Method, Workload, resolve
from harness_plugins.speed.apart import Send
from harness_plugins.speed.evaluation import Size, draw
from harness_plugins.speed.gate import Bound, NotForThisWorkload, examine_all
from harness_plugins.speed.machine import measure_rates
from harness_plugins.speed.peak import LEAST_KEPT, MOST_KEPT, measure_cost
from harness_plugins.speed.settings import Settings, configured
from harness_plugins.speed.stopwatch import Direction
from harness_plugins.speed.timing import time_methods


@dataclass(frozen=True, slots=True)
class Place:
    """Where and on what something is measured; everything a process needs to know."""

    workload: str
    #: (dimension, value) pairs.
    size: tuple[tuple[str, int], ...]
    #: A slot: cpu, cuda, cuda:1.
    device: str
    dtype: str
    threads: int
    #: Plugins that were named by hand.
    plugins: tuple[str, ...] = ()
    seed: int = 0
    #: Options that methods are built with.
    settings: Settings = ()
    #: Whether anything is differentiated.
    backward: bool = True

    @property
    def directions(self) -> tuple[Direction, ...]:
        """What is timed; the last is what a method is ranked by."""
        return ("forward", "both") if self.backward else ("forward",)

    @property
    def dimensions(self) -> Size:
        """The size as a mapping."""
        return dict(self.size)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of floating-point inputs."""
        found = getattr(torch, self.dtype)
        assert isinstance(found, torch.dtype)
        return found


def rates(send: Send, device: str, threads: int) -> None:
    """Sends the machine's Rates."""
    torch.set_num_threads(threads)
    send(measure_rates(torch.device(device)))


def cost(send: Send, place: Place, method: str) -> None:
    """Sends the Cost of one method."""
    # Before there is a large block to be freed.
    keep_freed_blocks(LEAST_KEPT)
    workload, methods = _begin(place)
    built = methods[method].create()
    tensors = draw(workload.inputs, place.dimensions, torch.device(place.device), place.torch_dtype, place.seed)
    try:
        send(measure_cost(built, workload, tensors, place.device))
    except UsageError as error:
        raise NotForThisWorkload(str(error)) from error


def check(send: Send, place: Place, methods: Sequence[str], reference: str, second_order: bool) -> None:
    """Sends the name of each method before it runs, "" for the reference, and at last what came of it, Examined."""
    workload, known = _begin(place)
    found = examine_all(
        [known[name] for name in methods],
        workload,
        place.dimensions,
        torch.device(place.device),
        place.torch_dtype,
        place.seed,
        known[reference],
        second_order=second_order,
        began=send,
    )
    send(found)


def race(
    send: Send,
    place: Place,
    methods: Sequence[str],
    controlled: str,
    direction: Direction,
    budget: float,
    truths: Mapping[str, Sequence[Sequence[Bound]]],
) -> None:
    """Sends the name of each method before it runs, and at last the Times of one direction."""
    # As in a process that has been at work for a while: else the first method to free a large block would decide it.
    keep_freed_blocks(MOST_KEPT)
    workload, known = _begin(place)
    built = {name: known[name].create() for name in methods}
    twin, device = known[controlled].create(), torch.device(place.device)
    found = time_methods(
        built,
        twin,
        controlled,
        workload,
        place.dimensions,
        device,
        place.torch_dtype,
        direction,
        budget,
        place.seed,
        truths,
        began=send,
    )
    send(found)


def _begin(place: Place) -> tuple[Workload, dict[str, Method]]:
    """The workload and the methods of its role."""
    torch.set_num_threads(place.threads)
    # The server that this process was forked from may be an engine's, which asks for slower kernels.
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)
    registry = load_registry(place.plugins)
    workload = registry.workloads[place.workload]
    if not place.backward:
        inputs, extremes = _constant(workload.inputs), {name: _constant(c) for name, c in workload.extremes.items()}
        workload = replace(workload, inputs=inputs, extremes=extremes)
    mine = [method for method in registry.methods.values() if method.role == workload.role]
    return workload, {method.name: configured(method, place.settings) for method in mine}


def _constant(code: Code) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The same inputs, none of which wants a gradient."""
    drawn = resolve(code)
    return lambda *arguments, **size: tuple(tensor.detach() for tensor in drawn(*arguments, **size))
