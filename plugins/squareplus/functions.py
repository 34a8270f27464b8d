"""SquarePlus in a form that is exact in both tails, its published form, and the activations it is compared with.

squareplus(x; b) = (x + sqrt(x^2 + b)) / 2 (Barron, arXiv 2112.11687, equation 1). Its distance above ReLU is

    excess(|x|; b) = (sqrt(x^2 + b) - |x|) / 2 = (b / 2) / (|x| + sqrt(x^2 + b)).

The second form adds only positive numbers; it is the one that is computed here.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from harness_plugins.squareplus.passes import SquarePlusPasses

#: The least b with which squareplus is nowhere below softplus: 4 log(2)^2.
BOUNDING_B = 4 * math.log(2) ** 2
#: The b whose largest distance from softplus is least. The task activation/constants proves its digits.
MINIMAX_B = 1.5238210325187507
#: b is 0 or between these: then every member is right up to rounding in float32 and float64.
LEAST_B, GREATEST_B = 1e-30, 1e30


class SquarePlus(nn.Module):
    """x [any shape, floating] to relu(x) + (b / 2) / (|x| + sqrt(x^2 + b)), of the same shape and dtype.

    Right to a few units in the last place over the whole range of float16, bfloat16, float32 and float64,
    forward and backward: nothing cancels for negative x, and x^2 never overflows. The backward pass needs only the
    output, which the next layer usually stores anyway. May be differentiated twice; b = 0 is ReLU.
    Raises ValueError for b that is negative, not finite, or positive beyond 1e-30 to 1e30.

    >>> SquarePlus()(torch.tensor([-1e4, 0.0, 1.5]))
    tensor([1.0000e-04, 1.0000e+00, 2.0000e+00])
    """

    #: Whether large tensors go through ``torch.compile``.
    compiled = False

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = checked(b)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise TypeError(f"x {list(x.shape)} has dtype {x.dtype}: squareplus needs a floating-point tensor")
        if self.b == 0:
            return torch.relu(x)
        return SquarePlusPasses.apply(x, self.b, self.compiled)  # type: ignore[no-any-return,no-untyped-call]

    def at(self, b: float) -> SquarePlus:
        """The member of the family with another b. A larger b gives larger values."""
        return SquarePlus(b)

    def excess(self, t: Any, arithmetic: Any) -> Any:
        """squareplus(x) - relu(x) at |x| = ``t``, in an arithmetic with ``mpf`` and ``sqrt``, such as mpmath's.

        >>> import mpmath
        >>> SquarePlus(4.0).excess(mpmath.mpf(1.5), mpmath.mp)
        mpf('0.5')
        """
        b = arithmetic.mpf(self.b)
        return b / 2 / (t + arithmetic.sqrt(t * t + b))

    def log_slope(self, t: Any, arithmetic: Any) -> Any:
        """Derivative of log ``excess`` at |x| = ``t``: -1 / sqrt(t^2 + b)."""
        return -1 / arithmetic.sqrt(t * t + arithmetic.mpf(self.b))

    def extra_repr(self) -> str:
        return f"b={self.b}"


class CompiledSquarePlus(SquarePlus):
    """SquarePlus through ``torch.compile`` from 100,000 elements on: one pass over memory each way.

    The first such call for a dtype and device takes tens of seconds, for compiling. Without a C++ compiler it warns
    once and computes as ``SquarePlus`` does.

    >>> CompiledSquarePlus()(torch.tensor([-1e4, 0.0, 1.5]))  # too few to compile
    tensor([1.0000e-04, 1.0000e+00, 2.0000e+00])
    """

    compiled = True


class PlainSquarePlus(nn.Module):
    """(x + sqrt(x^2 + b)) / 2 exactly as published, with automatic differentiation.

    The sum cancels for x far below -sqrt(b); x^2 overflows where |x| is above the root of the dtype's largest number.

    >>> PlainSquarePlus()(torch.tensor([-1e4, 0.0, 1.5]))
    tensor([0., 1., 2.])
    """

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = checked(b)
        self.truth = SquarePlus(b)

    def forward(self, x: Tensor) -> Tensor:
        return (x + torch.sqrt(torch.square(x) + self.b)) / 2


class HypotSquarePlus(nn.Module):
    """(x + r) / 2 from 0 on and (b / 2) / (r - x) below it, r = hypot(x, sqrt(b)), by automatic differentiation.

    Nothing cancels on either side. It shares no code with ``SquarePlus``, which is checked against it. b = 0 is ReLU.

    >>> HypotSquarePlus()(torch.tensor([-1e4, 0.0, 1.5]))
    tensor([1.0000e-04, 1.0000e+00, 2.0000e+00])
    """

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = checked(b)

    def forward(self, x: Tensor) -> Tensor:
        if self.b == 0:
            return torch.relu(x)
        # Each form gets only its own side: on the other side it may be infinite or NaN, and so may its derivative.
        left, right = x.clamp(max=0), x.clamp(min=0)
        root = x.new_full((), math.sqrt(self.b))
        below = self.b / 4 / (torch.hypot(left, root) / 2 - left / 2)
        return torch.where(x < 0, below, right / 2 + torch.hypot(right, root) / 2)


class NaiveSoftplus(nn.Module):
    """log1p(exp(x)), exactly as written: infinite where exp(x) is.

    >>> NaiveSoftplus()(torch.tensor([-1.0, 100.0]))
    tensor([0.3133,    inf])
    """

    def __init__(self) -> None:
        super().__init__()
        self.truth = nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(torch.exp(x))


class Rectifier(nn.ReLU):
    """max(x, 0), with its excess over ReLU, which is 0.

    >>> Rectifier()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def excess(self, t: Any, arithmetic: Any) -> Any:
        """0 for every ``t``."""
        return arithmetic.mpf(0) * (1 / (1 + t))

    def log_slope(self, t: Any, arithmetic: Any) -> Any:
        """0 by convention."""
        return self.excess(t, arithmetic)


class Gelu(nn.GELU):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415), as torch computes it.

    >>> Gelu()(torch.tensor([1.0]))
    tensor([0.8413])
    """

    def truth(self, x: Tensor) -> Tensor:
        """The same function through erfc, which keeps its accuracy in the left tail."""
        return x * torch.erfc(-x / math.sqrt(2)) / 2


def checked(b: float) -> float:
    """b itself. Raises ValueError for a b without a squareplus.

    >>> checked(-1.0)
    Traceback (most recent call last):
    ValueError: b = -1.0: 0 or a number from 1e-30 to 1e+30 is needed
    """
    if not (b == 0 or LEAST_B <= b <= GREATEST_B):
        raise ValueError(f"b = {b!r}: 0 or a number from {LEAST_B:g} to {GREATEST_B:g} is needed")
    return float(b)


def bounding() -> SquarePlus:
    """The member with the least b that is nowhere below softplus."""
    return SquarePlus(BOUNDING_B)


def minimax() -> SquarePlus:
    """The member whose largest distance from softplus is least."""
    return SquarePlus(MINIMAX_B)
