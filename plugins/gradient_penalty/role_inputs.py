"""Inputs of one call of a gradient penalty, the call, and a check of its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

LossOfRows = Callable[[Tensor, Tensor], Tensor]


def network_and_batch(
    generator: torch.Generator, device: torch.device, dtype: torch.dtype, rows: int
) -> tuple[nn.Module, Tensor, Tensor, LossOfRows]:
    """A network of two layers, rows [rows, 3], classes [rows] and the cross-entropy of each row.

    Drawn in float64 and then rounded: every dtype gets the same numbers.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, dtype)

    model = nn.Sequential(nn.Linear(3, 5, device="meta"), nn.Tanh(), nn.Linear(5, 4, device="meta"))
    model = model.to_empty(device=device).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(normal(*parameter.shape))
    x = normal(rows, 3)
    target = torch.randint(4, (rows,), generator=generator).to(device)
    return model, x, target, partial(F.cross_entropy, reduction="none")


def penalty_and_norms(penalty: Any, inputs: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """The penalty, and the norms that it is made of."""
    return penalty(*inputs), tuple(penalty.norms(*inputs))


def problem_of_result(inputs: Sequence[Any], returned: tuple[Any, tuple[Any, ...]]) -> str:
    """What is wrong with a penalty and its norms; empty if nothing is."""
    penalty, norms = returned
    rows = len(inputs[1])
    if not isinstance(penalty, Tensor) or penalty.dim() or not penalty.is_floating_point():
        return "returns no floating scalar tensor"
    if not penalty.isfinite():
        return f"returns {penalty.item()}, which is not finite"
    if len(norms) != 2:
        return (
            f".norms returns {len(norms)} values; the norms of the input's and the parameters' gradients are expected"
        )
    for norm in norms:
        if not isinstance(norm, Tensor) or tuple(norm.shape) != (rows,):
            return f".norms returns {getattr(norm, 'shape', type(norm).__name__)} for {rows} rows; [{rows}] is expected"
        if not norm.isfinite().all():
            return ".norms returns a number that is not finite"
    return ""
