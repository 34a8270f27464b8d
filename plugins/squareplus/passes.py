"""The forward and backward passes of squareplus: in pieces that fit into the cache, on whole tensors, or compiled.

With h = |x| / 2 and c = b / 4,

    y = m where x >= 0, otherwise c / m,  m = h + sqrt(h^2 + c);    dy/dx = y^2 / (y^2 + c),

both without a difference. The second needs only y, which the next layer usually stores anyway.
"""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from typing import Any, Literal

import torch
from torch import Tensor

#: Elements of a piece per thread: a few such arrays fill its second-level cache.
PIECE = 2**15
#: Tensors with fewer elements are not divided: they fit into the cache.
WORTH_DIVIDING = 2**18
#: Tensors with fewer elements are not worth a compiled call.
WORTH_COMPILING = 100_000
#: Above this h, h^2 might overflow; b / h^2 is then smaller than a rounding error.
LARGEST_SQUARED = {torch.float32: 1e19, torch.float64: 1e150}
#: Where y is at least this many times sqrt(b) / 2, the slope rounds to 1 in float64. Its square fits into float32.
STEEPEST = 2.0**30


class SquarePlusPasses(torch.autograd.Function):
    """Forward, and backward from the output only. Half precisions are computed in float32 and rounded once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, b: float, compiled: bool) -> Tensor:
        if compiled and (result := _by_compiler("value", x, b / 4)) is not None:
            return result
        if not _may_read(x):
            return value(x, b / 4)
        wide = _wide_dtype(x.dtype)
        if not _worth_dividing(x):
            widened = x.to(wide)
            return _in_few_passes(widened, b / 4, torch.empty_like(widened), torch.empty_like(widened)).to(x.dtype)
        y, size = torch.empty_like(x), _piece_size()
        space, half_precision = torch.empty(3, size, dtype=wide), x.dtype != wide
        for piece, out in zip(*(torch.split(t.view(-1), size) for t in (x, y)), strict=True):
            denominator, total, widened = space[:, : len(piece)]
            if half_precision:
                # The sum is computed in the wide dtype and rounded once.
                out.copy_(_in_few_passes(widened.copy_(piece), b / 4, denominator, total))
            else:
                _in_few_passes(piece, b / 4, denominator, out)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, bool], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)
        _, ctx.b, ctx.compiled = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        factor = 2 / math.sqrt(ctx.b)
        if torch.is_grad_enabled():
            return times_slope(gradient, y, factor), None, None
        if ctx.compiled and (result := _by_compiler("times_slope", gradient, y.detach(), factor)) is not None:
            return result, None, None
        if not _may_read(y) or _inside_transform(gradient):
            return times_slope(gradient, y, factor), None, None
        if not _worth_dividing(y):
            wide = _wide_dtype(y.dtype)
            slope = _slope_in_place(torch.mul(y.detach().to(wide), factor))
            return slope.mul_(gradient.to(wide)).to(y.dtype), None, None
        return _times_slope_in_pieces(gradient, y, factor), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (y,) = ctx.saved_tensors
        return times_slope(tangent, y, 2 / math.sqrt(ctx.b))


# torch reads the signature in every call; inspecting it takes as long as a pass over 30,000 numbers.
SquarePlusPasses.forward.__signature__ = inspect.signature(SquarePlusPasses.forward)  # type: ignore[attr-defined]


def _in_few_passes(x: Tensor, quarter: float, denominator: Tensor, out: Tensor) -> Tensor:
    """``value`` of a tensor whose numbers may be read, written to ``out``; ``denominator`` is memory for that."""
    torch.abs(x, out=out)
    # "not <=" and not ">": true for NaN as well.
    if x.numel() and not out.amax() <= LARGEST_SQUARED[x.dtype]:
        return out.copy_(value(x, quarter))
    numerator = x.new_full((), quarter)
    torch.addcmul(numerator, x, x, value=0.25, out=denominator).sqrt_().add_(out, alpha=0.5)
    return torch.clamp(x, min=0, out=out).addcdiv_(numerator, denominator)


def value(x: Tensor, quarter: float) -> Tensor:
    """squareplus of a whole tensor, with ``quarter`` = b / 4."""
    wide = _widened(x)
    # Halved before the addition: |x| + sqrt(x^2 + b) overflows at the end of the range.
    half = (wide * 0.5).abs()
    # When compiled, torch.where takes half the time of a clamp or a maximum.
    m = torch.where(half > LARGEST_SQUARED[wide.dtype], half, (half.square() + quarter).sqrt()) + half
    # torch computes a number over a tensor by the reciprocal, which may underflow where the quotient does not.
    return torch.where(wide >= 0, m, torch.div(m.new_full((), quarter), m)).to(x.dtype)


def times_slope(gradient: Tensor, y: Tensor, factor: float) -> Tensor:
    """``gradient`` times the slope at outputs ``y``, with ``factor`` = 2 / sqrt(b); may be differentiated again."""
    steep = _widened(y) * factor
    squared = torch.where(steep > STEEPEST, STEEPEST, steep).square()
    return (squared / (squared + 1) * gradient).to(y.dtype)


def _times_slope_in_pieces(gradient: Tensor, y: Tensor, factor: float) -> Tensor:
    """``times_slope`` piece by piece, for large contiguous outputs ``y`` on a CPU."""
    wide = _wide_dtype(y.dtype)
    result, size = torch.empty_like(y), _piece_size()
    space, half_precision = torch.empty(2, size, dtype=wide), y.dtype != wide
    pieces = zip(*(torch.split(t, size) for t in (_flat(gradient), y.view(-1), result.view(-1))), strict=True)
    for upstream, piece, out in pieces:
        squared, spare = space[:, : len(piece)]
        widened = spare.copy_(piece) if half_precision else piece
        slope = _slope_in_place(torch.mul(widened, factor, out=squared), spare)
        if half_precision:
            out.copy_(slope.mul_(spare.copy_(upstream)))
        else:
            torch.mul(slope, upstream, out=out)
    return result


def _slope_in_place(steep: Tensor, spare: Tensor | None = None) -> Tensor:
    """Turn outputs times 2 / sqrt(b) into slopes; ``spare`` is memory for as many numbers."""
    squared = steep.clamp_(max=STEEPEST).square_()
    return squared.div_(torch.add(squared, 1, out=spare))


def _by_compiler(function: Literal["value", "times_slope"], tensor: Tensor, *rest: Any) -> Tensor | None:
    """``value`` or ``times_slope`` compiled; None where that is not worth it or fails."""
    if tensor.numel() < WORTH_COMPILING or _inside_transform(tensor) or _compilers.broken:
        return None
    try:
        result: Tensor = _compilers.functions[function](tensor, *rest)
    except torch._dynamo.exc.TorchDynamoException as error:
        _compilers.broken = True
        lines = str(error).strip().splitlines()
        warnings.warn(
            f"squareplus is not compiled, torch.compile fails here: {lines[0] if lines else error!r}", stacklevel=2
        )
        return None
    return result


class _Compilers:
    """Both passes. Their first call compiles them for tens of seconds; torch then stores them on disk."""

    #: Whether torch.compile has failed.
    broken = False

    @functools.cached_property
    def functions(self) -> dict[str, Any]:
        # dynamic: one compilation for all sizes.
        return {function.__name__: torch.compile(function, dynamic=True) for function in (value, times_slope)}


_compilers = _Compilers()


def _may_read(x: Tensor) -> bool:
    """Whether Python may read numbers of ``x``: on a CPU, which need not wait for them, and outside of tracing."""
    return x.device.type == "cpu" and not _inside_transform(x)


def _worth_dividing(x: Tensor) -> bool:
    """Whether to compute piece by piece: large contiguous tensors on a CPU."""
    return _may_read(x) and x.numel() > WORTH_DIVIDING and x.is_contiguous()


def _inside_transform(x: Tensor) -> bool:
    """Whether torch.func or torch.compile is tracing."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)


def _flat(gradient: Tensor) -> Tensor:
    """All its elements, [N]; not copied where all are one number in memory, as in the gradient of a sum or a mean."""
    if not any(gradient.stride()):
        return gradient.as_strided((gradient.numel(),), (0,))
    return gradient.reshape(-1)


def _piece_size() -> int:
    """Elements of a piece, which all threads share."""
    return PIECE * torch.get_num_threads()


def _wide_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _widened(x: Tensor) -> Tensor:
    return x.to(_wide_dtype(x.dtype))
