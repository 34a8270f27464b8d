"""The two passes of squareplus: in pieces that stay in the processor's cache, as whole tensors, or compiled.

With h = |x| / 2 and c = b / 4,

    y = relu(x) + c / (h + sqrt(h^2 + c)),    dy/dx = y^2 / (y^2 + c),

both without a difference. The second needs y alone, which the next layer mostly keeps anyway.
"""

from __future__ import annotations

import functools
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
        if compiled and (found := _by_compiler(0, x, b / 4, _limit(x))) is not None:
            return found
        if not _divisible(x):
            return value(x, b / 4, _limit(x))
        y, size = torch.empty_like(x), _size()
        space, rounded = torch.empty(3, size, dtype=_wide(x.dtype)), x.dtype != _wide(x.dtype)
        for piece, out in zip(*(torch.split(t.view(-1), size) for t in (x, y)), strict=True):
            half, mean, raised = space[:, : len(piece)]
            given = raised.copy_(piece) if rounded else piece
            torch.mul(given, 0.5, out=half).abs_()
            torch.clamp(half, max=_limit(x), out=mean).square_().add_(b / 4).sqrt_()
            torch.maximum(mean, half, out=mean).add_(half)
            torch.div(mean.new_full((), b / 4), mean, out=mean)
            # In the wide type: the sum is rounded once.
            total = torch.clamp(given, min=0, out=half if rounded else out).add_(mean)
            if rounded:
                out.copy_(total)
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
        if not _divisible(y) or _inside_transform(gradient):
            return sloped(gradient, y, factor), None, None
        result, size = torch.empty_like(y), _size()
        space, rounded = torch.empty(2, size, dtype=_wide(y.dtype)), y.dtype != _wide(y.dtype)
        pieces = zip(*(torch.split(t, size) for t in (_in_a_row(gradient), y.view(-1), result.view(-1))), strict=True)
        for upstream, piece, out in pieces:
            squared, more = space[:, : len(piece)]
            given = more.copy_(piece) if rounded else piece
            torch.mul(given, factor, out=squared).clamp_(max=STEEPEST).square_()
            squared.div_(torch.add(squared, 1, out=more))
            if rounded:
                out.copy_(squared.mul_(more.copy_(upstream)))
            else:
                torch.mul(squared, upstream, out=out)
        return result, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (y,) = ctx.saved_tensors
        return sloped(tangent, y, 2 / math.sqrt(ctx.b))


def value(x: Tensor, quarter: float, limit: float) -> Tensor:
    """squareplus of a whole tensor, with ``quarter`` = b / 4; h^2 is not formed above ``limit``."""
    wide = _widened(x)
    # Halved before anything is added: |x| + sqrt(x^2 + b) itself overflows at the end of the range.
    half = (wide * 0.5).abs()
    root = (half.clamp(max=limit).square() + quarter).sqrt()
    mean = torch.maximum(root, half) + half
    # A number over a tensor would be the number times a reciprocal, which may underflow where the quotient does not.
    return (torch.relu(wide) + torch.div(mean.new_full((), quarter), mean)).to(x.dtype)


def sloped(gradient: Tensor, y: Tensor, factor: float) -> Tensor:
    """``gradient`` times the slope at outputs ``y``, with ``factor`` = 2 / sqrt(b); may be differentiated again."""
    squared = (_widened(y) * factor).clamp(max=STEEPEST).square()
    return (squared / (squared + 1) * gradient).to(y.dtype)


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


def _divisible(x: Tensor) -> bool:
    """Whether to go piece by piece: where there is a cache to stay in, and nobody traces what is done."""
    return x.device.type == "cpu" and x.numel() > WORTH_DIVIDING and x.is_contiguous() and not _inside_transform(x)


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


def _limit(x: Tensor) -> float:
    return LARGEST_SQUARED[_wide(x.dtype)]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _widened(x: Tensor) -> Tensor:
    return x.to(_wide(x.dtype))
