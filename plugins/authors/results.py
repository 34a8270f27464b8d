"""What methods return: the tensors in a result, whether two are equal, and whether one keeps its role's promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.spec import Role, resolve


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor in inputs or in a result, arrays and the parameters of modules included."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield torch.from_numpy(value)
    elif isinstance(value, nn.Module):
        yield from (tensor.detach() for tensor in (*value.parameters(), *value.buffers()))
    elif isinstance(value, Mapping):
        yield from (tensor for item in value.values() for tensor in tensors_of(item))
    elif isinstance(value, (list, tuple)):
        yield from (tensor for item in value for tensor in tensors_of(item))


def same_bits(first: Any, second: Any) -> bool:
    """Whether two results hold the same bits, with NaN in the same places."""
    tensors, others = list(tensors_of(first)), list(tensors_of(second))
    return len(tensors) == len(others) and all(map(_equal, tensors, others))


def _equal(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())


def problem_of_result(role: Role, inputs: Sequence[Any], returned: Any) -> str:
    """What is wrong with the result of a call; empty if the role's promise (``Role.returns``) is kept.

    >>> role = Role(name="kernel", help="", signature="", inputs="my.role:points")
    >>> problem_of_result(role, [torch.zeros(2)], torch.zeros(2))
    'returns float32 [2]; a floating scalar tensor is expected'
    """
    if callable(role.returns):
        return str(role.returns(inputs, returned))
    promise = _PROMISES.get(role.returns)
    return promise(inputs, returned) if promise else str(resolve(role.returns)(inputs, returned))


def _scalar(inputs: Sequence[Any], returned: Any) -> str:  # noqa: ARG001  all promises have one signature
    if not isinstance(returned, Tensor) or returned.dim() or not returned.is_floating_point():
        return f"returns {_kind(returned)}; a floating scalar tensor is expected"
    return _not_finite(returned)


def _like_first(inputs: Sequence[Any], returned: Any) -> str:
    first = inputs[0]
    if not isinstance(returned, Tensor) or (returned.shape, returned.dtype) != (first.shape, first.dtype):
        return f"returns {_kind(returned)} for {_kind(first)}; the same shape and dtype are expected"
    return _not_finite(returned)


def _one_per_row(inputs: Sequence[Any], returned: Any) -> str:
    rows = len(inputs[0])
    if not isinstance(returned, (Tensor, np.ndarray)) or tuple(returned.shape) != (rows,):
        return f"returns {_kind(returned)} for {rows} rows; [{rows}] is expected"
    return _not_finite(returned)


#: By the word in ``Role.returns``.
_PROMISES: Mapping[str, Callable[[Sequence[Any], Any], str]] = {
    "scalar": _scalar,
    "like-first": _like_first,
    "one-per-row": _one_per_row,
}
#: The words that ``Role.returns`` may be instead of code.
RETURN_WORDS = tuple(_PROMISES)


def _not_finite(returned: Tensor | np.ndarray[Any, Any]) -> str:
    for tensor in tensors_of(returned):
        values = tensor.detach().flatten()
        if tensor.is_floating_point() and not (finite := values.isfinite()).all():
            return f"returns {values[~finite][0].item()}, which is not finite"
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__
