"""The two passes of squareplus: in pieces that stay in the processor's cache, as whole tensors, or compiled.

With h = |x| / 2 and c = b / 4,

    y = m where x >= 0, otherwise c / m,  m = h + sqrt(h^2 + c);    dy/dx = y^2 / (y^2 + c),

both without a difference. The second needs y alone, which the next layer mostly keeps anyway.
"""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from typing import Any

import torch
from torch import Tensor

#: Elements of a piece for each thread: a few of them fill its second-level cache.
PIECE = 2**15
#: Fewer elements than this are done as a whole: their passes stay in the cache as it is.
WORTH_DIVIDING = 2**18
#: Fewer elements than this are not worth a compiled call.
WORTH_COMPILING = 100_000
#: h from which on h^2 might not fit into the dtype; b / h^2 is then below its rounding.
LARGEST_SQUARED = {torch.float32: 1e19, torch.float64: 1e150}
#: From this many sqrt(b)/2 on, the slope is 1 in float64; its square still fits into float32.
STEEPEST = 2.0**30


class SquarePlusPasses(torch.autograd.Function):
    """Forward, and backward from the output alone. Half precisions are computed in float32 and rounded once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, b: float, compiled: bool) -> Tensor:
        if compiled and (found := _by_compiler(0, x, b / 4)) is not None:
            return found
        if not _looked_at(x):
            return value(x, b / 4)
        wide = _wide(x.dtype)
        if not _divisible(x):
            taken = x.to(wide)
            return _in_few_passes(taken, b / 4, torch.empty_like(taken), torch.empty_like(taken)).to(x.dtype)
        y, size = torch.empty_like(x), _size()
        space, rounded = torch.empty(3, size, dtype=wide), x.dtype != wide
        for piece, out in zip(*(torch.split(t.view(-1), size) for t in (x, y)), strict=True):
            mean, total, raised = space[:, : len(piece)]
            if rounded:
                # In the wide type: the sum is rounded once.
                out.copy_(_in_few_passes(raised.copy_(piece), b / 4, mean, total))
            else:
                _in_few_passes(piece, b / 4, mean, out)
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
            return sloped(gradient, y, factor), None, None
        if ctx.compiled and (found := _by_compiler(1, gradient, y.detach(), factor)) is not None:
            return found, None, None
        if not _looked_at(y) or _inside_transform(gradient):
            return sloped(gradient, y, factor), None, None
        wide = _wide(y.dtype)
        if not _divisible(y):
            slope = _slope_in_place(torch.mul(y.detach().to(wide), factor))
            return slope.mul_(gradient.to(wide)).to(y.dtype), None, None
        result, size = torch.empty_like(y), _size()
        space, rounded = torch.empty(2, size, dtype=wide), y.dtype != wide
        pieces = zip(*(torch.split(t, size) for t in (_in_a_row(gradient), y.view(-1), result.view(-1))), strict=True)
        for upstream, piece, out in pieces:
            squared, more = space[:, : len(piece)]
            given = more.copy_(piece) if rounded else piece
            slope = _slope_in_place(torch.mul(given, factor, out=squared), more)
            if rounded:
                out.copy_(slope.mul_(more.copy_(upstream)))
            else:
                torch.mul(slope, upstream, out=out)
        return result, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (y,) = ctx.saved_tensors
        return sloped(tangent, y, 2 / math.sqrt(ctx.b))


# Each call asks for it; to find it anew takes as long as a pass over 30,000 numbers.
SquarePlusPasses.forward.__signature__ = inspect.signature(SquarePlusPasses.forward)  # type: ignore[attr-defined]


def _in_few_passes(x: Tensor, quarter: float, mean: Tensor, out: Tensor) -> Tensor:
    """``value`` of a tensor whose numbers can be looked at, into ``out``; ``mean`` is room for the denominator."""
    torch.abs(x, out=out)
    # Not a number is not below it either.
    if x.numel() and not out.amax() <= LARGEST_SQUARED[x.dtype]:
        return out.copy_(value(x, quarter))
    over = x.new_full((), quarter)
    torch.addcmul(over, x, x, value=0.25, out=mean).sqrt_().add_(out, alpha=0.5)
    return torch.clamp(x, min=0, out=out).addcdiv_(over, mean)


def value(x: Tensor, quarter: float) -> Tensor:
    """squareplus of a whole tensor, with ``quarter`` = b / 4."""
    wide = _widened(x)
    # Halved before anything is added: |x| + sqrt(x^2 + b) itself overflows at the end of the range.
    half = (wide * 0.5).abs()
    # Compiled, a choice takes half the time of a clamp or a maximum.
    mean = torch.where(half > LARGEST_SQUARED[wide.dtype], half, (half.square() + quarter).sqrt()) + half
    # A number over a tensor would be the number times a reciprocal, which may underflow where the quotient does not.
    return torch.where(wide >= 0, mean, torch.div(mean.new_full((), quarter), mean)).to(x.dtype)


def sloped(gradient: Tensor, y: Tensor, factor: float) -> Tensor:
    """``gradient`` times the slope at outputs ``y``, with ``factor`` = 2 / sqrt(b); may be differentiated again."""
    steep = _widened(y) * factor
    squared = torch.where(steep > STEEPEST, STEEPEST, steep).square()
    return (squared / (squared + 1) * gradient).to(y.dtype)


def _slope_in_place(steep: Tensor, more: Tensor | None = None) -> Tensor:
    """Turn outputs times 2 / sqrt(b) into slopes; ``more`` is room for as many numbers."""
    squared = steep.clamp_(max=STEEPEST).square_()
    return squared.div_(torch.add(squared, 1, out=more))


def _by_compiler(which: int, tensor: Tensor, *rest: Any) -> Tensor | None:
    """``value`` or ``sloped`` compiled; None where that is not worth it or not possible here."""
    if tensor.numel() < WORTH_COMPILING or _inside_transform(tensor) or _compilers.broken:
        return None
    try:
        result: Tensor = _compilers.functions[which](tensor, *rest)
    except torch._dynamo.exc.TorchDynamoException as error:
        _compilers.broken = True
        told = str(error).strip().splitlines()
        warnings.warn(
            f"squareplus is not compiled, torch.compile fails here: {told[0] if told else error!r}", stacklevel=2
        )
        return None
    return result


class _Compilers:
    """Both passes, compiled when they are first called: tens of seconds, then kept on disk by torch."""

    broken = False

    @functools.cached_property
    def functions(self) -> tuple[Any, Any]:
        # One compilation for all sizes.
        return torch.compile(value, dynamic=True), torch.compile(sloped, dynamic=True)


_compilers = _Compilers()


def _looked_at(x: Tensor) -> bool:
    """Whether numbers may be looked at on the way: on a CPU, which need not wait for them, and where nobody traces."""
    return x.device.type == "cpu" and not _inside_transform(x)


def _divisible(x: Tensor) -> bool:
    """Whether to go piece by piece: where there is a cache to stay in."""
    return _looked_at(x) and x.numel() > WORTH_DIVIDING and x.is_contiguous()


def _inside_transform(x: Tensor) -> bool:
    """Whether torch.func or torch.compile looks on."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)


def _in_a_row(gradient: Tensor) -> Tensor:
    """All its elements, [N]; not copied where they are one number, as a sum's or a mean's gradient is."""
    if not any(gradient.stride()):
        return gradient.as_strided((gradient.numel(),), (0,))
    return gradient.reshape(-1)


def _size() -> int:
    """Elements of a piece that all threads share."""
    return PIECE * torch.get_num_threads()


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _widened(x: Tensor) -> Tensor:
    return x.to(_wide(x.dtype))
