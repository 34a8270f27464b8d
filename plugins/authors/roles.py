"""What each known role promises: inputs of a few rows, how a built method is called with them, what must come back.

The same as docs/roles.md, as code. A role that does not stand here is checked through its workload, if it has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from harness.registry import Registry
from harness.spec import Option, Scalar, Workload, resolve

#: Rows of an ordinary batch.
ROWS = 6
#: Draws the inputs: (generator, device, dtype, rows).
Draw = Callable[[torch.Generator, torch.device, torch.dtype, int], Sequence[Any]]


@dataclass(frozen=True)
class Protocol:
    """How the methods of one role are called, and what they promise."""

    draw: Draw
    #: (built method, inputs) -> what the method returned.
    call: Callable[[Any, Sequence[Any]], Any]
    #: (inputs, returned) -> what is wrong with it, empty where the promise is kept.
    promise: Callable[[Sequence[Any], Any], str]
    #: Whether the inputs may have any number of rows, none included.
    any_rows: bool = True
    #: Whether float16 and bfloat16 are asked of it too.
    any_dtype: bool = True
    #: Whether a call trains something: whole-number options are then set to their lower bounds.
    trains: bool = False


def protocol_of(role: str, registry: Registry) -> Protocol | None:
    """The protocol of a role: a known one, else one made of a workload of the role; None where there is neither."""
    if role in KNOWN:
        return KNOWN[role]
    workload = next((w for w in registry.workloads.values() if w.role == role), None)
    return None if workload is None else _of_workload(workload)


def lowest(options: Mapping[str, Option]) -> dict[str, Scalar]:
    """Whole numbers that are at least one, set to the least that is allowed.

    >>> lowest({"epochs": Option(100, low=1), "rate": Option(0.1, low=0)})
    {'epochs': 1}
    """
    return {
        name: int(option.low)
        for name, option in options.items()
        if type(option.default) is int and option.low is not None and option.low >= 1
    }


def tensors_of(found: Any) -> Iterator[Tensor]:
    """Every tensor in inputs or in a result: arrays, parameters of modules and nested sequences included."""
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, np.ndarray):
        yield torch.from_numpy(found)
    elif isinstance(found, nn.Module):
        yield from (p.detach() for p in (*found.parameters(), *found.buffers()))
    elif isinstance(found, Mapping):
        yield from (t for value in found.values() for t in tensors_of(value))
    elif isinstance(found, (list, tuple)):
        yield from (t for value in found for t in tensors_of(value))


def strided(inputs: Sequence[Any]) -> list[Any]:
    """The same inputs, every tensor and array of them lying otherwise in memory: column by column, or with gaps."""

    def apart(one: Any) -> Any:
        if isinstance(one, Tensor) and one.dim():
            plain = one.detach()
            copy = plain.mT.contiguous().mT if one.dim() > 1 else torch.stack([plain, plain], dim=-1)[..., 0]
            return copy.requires_grad_(one.requires_grad)
        return np.asfortranarray(one) if isinstance(one, np.ndarray) else one

    return [apart(one) for one in inputs]


def _of_workload(workload: Workload) -> Protocol:
    size = {name: min(values) for name, values in workload.sizes.items()}
    make, call = resolve(workload.inputs), resolve(workload.call)

    def draw(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
        assert rows == ROWS
        inputs: Sequence[Any] = make(generator, device, dtype, **size)
        return inputs

    return Protocol(draw, lambda built, inputs: call(built, *inputs), _scalar, any_rows=False)


def _normal(generator: torch.Generator, device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    """Drawn in float64, so that every dtype gets the same numbers, rounded."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, dtype)


def _apply(built: Any, inputs: Sequence[Any]) -> Any:
    return built(*inputs)


# What comes back ---------------------------------------------------------------------------------------------


def _finite(returned: Any) -> str:
    wrong = [t for t in tensors_of(returned) if t.is_floating_point() and not t.isfinite().all()]
    return f"gives {_shown(wrong[0])}, which is not finite" if wrong else ""


def _shown(tensor: Tensor) -> str:
    values = tensor.detach().flatten()
    return str(values[~values.isfinite()][0].item())


def _scalar(inputs: Sequence[Any], returned: Any) -> str:  # noqa: ARG001  every promise is asked alike
    if not isinstance(returned, Tensor) or returned.dim() or not returned.is_floating_point():
        return f"gives {_kind(returned)}; a floating scalar tensor is promised"
    return _finite(returned)


def _same_shape(inputs: Sequence[Any], returned: Any) -> str:
    wanted = inputs[0]
    if not isinstance(returned, Tensor) or (returned.shape, returned.dtype) != (wanted.shape, wanted.dtype):
        return f"gives {_kind(returned)} for {_kind(wanted)}; the same shape and dtype are promised"
    return _finite(returned)


def _one_a_row(inputs: Sequence[Any], returned: Any) -> str:
    rows = len(inputs[0])
    if not isinstance(returned, (Tensor, np.ndarray)) or tuple(returned.shape) != (rows,):
        return f"gives {_kind(returned)} for {rows} rows; [{rows}] is promised"
    return _finite(returned)


def _penalty_and_norms(inputs: Sequence[Any], returned: Any) -> str:
    penalty, norms = returned
    if wrong := _scalar(inputs, penalty):
        return wrong
    if len(norms) != 2:
        return f".norms gives {len(norms)} things; the input's and the parameters' norms are promised"
    return next((f".norms {wrong}" for norm in norms if (wrong := _one_a_row(inputs[1:], norm))), "")


def _kind(found: Any) -> str:
    if isinstance(found, (Tensor, np.ndarray)):
        return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
    return type(found).__name__


# Inputs and calls --------------------------------------------------------------------------------------------


def _views(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    first = _normal(generator, device, dtype, rows, 5)
    second = first + 0.5 * _normal(generator, device, dtype, rows, 5)
    return first.requires_grad_(), second.requires_grad_()


def _logits(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    logits = _normal(generator, device, dtype, rows, 4).requires_grad_()
    return logits, torch.randint(4, (rows,), generator=generator).to(device)


def _many_labels(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    logits = _normal(generator, device, dtype, rows, 4).requires_grad_()
    return logits, (torch.rand(rows, 4, generator=generator) < 0.4).to(device)


def _pairs(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    cosine = _normal(generator, device, dtype, rows).tanh().requires_grad_()
    return cosine, torch.randint(3, (rows,), generator=generator).to(device, dtype)


def _elements(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    return ((3 * _normal(generator, device, dtype, rows, 4)).requires_grad_(),)


def _rows_and_prior(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    drawn = (2 * torch.randn(rows, 3, generator=generator, dtype=torch.float64)).softmax(dim=1)
    # One row that is sure of its class, which some refiners need.
    drawn[:1] = torch.tensor([0.98, 0.01, 0.01], dtype=torch.float64)
    return drawn.to(device, dtype), prior.to(device, dtype)


def _refine(built: Any, inputs: Sequence[Any]) -> Any:
    rows, prior = inputs
    if hasattr(built, "fit") and len(rows):
        built = built.fit(rows, rows.argmax(dim=1), prior)
    return built(rows, prior)


def _pixels(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    return (torch.rand(rows, 5, generator=generator, dtype=torch.float64).to(device, dtype),)


def _fit(built: Any, inputs: Sequence[Any]) -> Any:
    """Fit, then give the log densities of the same rows; pixels of 0 and 1 for those that give a mass."""
    (x,) = inputs
    if getattr(built, "measure", None) == "mass":
        x = (x > 0.5).to(x.dtype)
    generator = torch.Generator().manual_seed(1)
    _with_generator(built.fit, x, generator)
    return _with_generator(built.log_density, x, generator)


def _with_generator(function: Callable[..., Any], x: Tensor, generator: torch.Generator) -> Any:
    named = "generator" in inspect.signature(function).parameters
    return function(x, generator=generator) if named else function(x)


def _network(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:
    model = nn.Sequential(nn.Linear(3, 5, device="meta"), nn.Tanh(), nn.Linear(5, 4, device="meta"))
    model = model.to_empty(device=device).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(_normal(generator, device, dtype, *parameter.shape))
    x = _normal(generator, device, dtype, rows, 3)
    return model, x, torch.randint(4, (rows,), generator=generator).to(device)


def _penalise(built: Any, inputs: Sequence[Any]) -> Any:
    arguments = (*inputs, partial(F.cross_entropy, reduction="none"))
    return built(*arguments), tuple(built.norms(*arguments))


def _scores(generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int) -> Sequence[Any]:  # noqa: ARG001
    return ((50 + 10 * torch.randn(rows, 4, generator=generator, dtype=torch.float64)).numpy(),)


KNOWN: Mapping[str, Protocol] = {
    "activation": Protocol(_elements, _apply, _same_shape),
    "classification-loss": Protocol(_logits, _apply, _scalar),
    "contrastive-loss": Protocol(_views, _apply, _scalar),
    "density-estimator": Protocol(_pixels, _fit, _one_a_row, any_dtype=False, trains=True),
    "gradient-penalty": Protocol(_network, _penalise, _penalty_and_norms, any_dtype=False),
    "multilabel-loss": Protocol(_many_labels, _apply, _scalar),
    "pair-ranking-loss": Protocol(_pairs, _apply, _scalar),
    "probability-refiner": Protocol(_rows_and_prior, _refine, _same_shape),
    "score-aggregate": Protocol(_scores, _apply, _one_a_row, any_dtype=False),
}
