"""Importance weights in a stream: log-mean-exp over any number of samples in the memory of one chunk.

For weights w_1 ... w_K of one observation the estimate of its log density is log (1/K) sum w_i (arXiv 1509.00519,
equation 8). Its expectation L_K is a lower bound of log p(x) that rises with K; K = 1 is the ELBO.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness_plugins.vae_density.checks import require_positive

#: Draws ``count`` more samples for each of its n observations and gives their log weights [count, n].
Sampler = Callable[[int], Tensor]
#: Pixels computed at once, over all weights of a chunk. On a CPU they should stay in its cache (2 MB in float32);
#: elsewhere a chunk has to fill the device.
PIXELS_AT_ONCE = {"cpu": 2**19}
PIXELS_AT_ONCE_ELSEWHERE = 2**26


def weights_at_once(x: Tensor) -> int:
    """How many log weights of rows like ``x`` [N, D] are computed at once, at least one."""
    return max(1, PIXELS_AT_ONCE.get(x.device.type, PIXELS_AT_ONCE_ELSEWHERE) // x.shape[1])


@dataclass(frozen=True)
class ImportanceEstimate:
    """What a stream of log weights says of each of N observations; all [N] float64 (float32 on mps)."""

    #: log (1/K) sum w: the K-sample estimate of the log density, in nats. Biased downwards.
    log_mean: Tensor
    #: (1/K) sum log w: the K-sample average of the ELBO, in nats.
    mean_log: Tensor
    #: (sum w)^2 / sum w^2, from 1 to K: how many equal weights would be as good.
    effective_samples: Tensor


class Stream:
    """Running sums over log weights [k, n] that arrive in pieces of any k >= 1; holds four [n] tensors.

    The largest weight so far is taken out of the exponentials, and what was summed is scaled down when a larger
    one comes: no finite weight over- or underflows the sum.

    >>> stream = Stream()
    >>> stream.add(torch.tensor([[0.0], [-1000.0]]))
    >>> stream.add(torch.tensor([[1000.0]]))
    >>> stream.result().log_mean + math.log(3)
    tensor([1000.], dtype=torch.float64)
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, log_weights: Tensor) -> None:
        """Take in log weights [k, n]. Raises FloatingPointError naming the first observation with NaN or +inf.

        Minus infinity is a sample of weight zero.
        """
        # One float64 sum a chunk costs nothing beside the weights' own matrix products; float32 would add an
        # error that grows with the number of chunks.
        wide = log_weights.to(torch.float32 if log_weights.device.type == "mps" else torch.float64)
        largest = wide.amax(dim=0)
        if not (largest < torch.inf).all():
            row = int((~(largest < torch.inf)).nonzero()[0])
            raise FloatingPointError(
                f"log_weights of shape {list(log_weights.shape)}: observation {row} has a weight of {largest[row]:g}"
            )
        if not self.count:
            self._top = torch.full_like(largest, -torch.inf)
            self._sum, self._squares, self._logs = (torch.zeros_like(largest) for _ in range(3))
        top = torch.maximum(self._top, largest)
        # Where all weights are zero so far the shift is irrelevant, but -inf - -inf is not a number.
        shift = top.clamp_min(torch.finfo(top.dtype).min)
        scale = torch.exp(self._top - shift)
        weights = torch.exp(wide - shift)
        self._sum = self._sum * scale + weights.sum(dim=0)
        self._squares = self._squares * scale.square() + weights.square().sum(dim=0)
        self._logs = self._logs + wide.sum(dim=0)
        self._top = top
        self.count += len(wide)

    def result(self) -> ImportanceEstimate:
        """The estimates from all that came in. Raises ValueError if nothing did."""
        require_positive(self.count, "number of importance samples")
        nothing = self._sum == 0
        return ImportanceEstimate(
            log_mean=self._top + torch.log(self._sum) - math.log(self.count),
            mean_log=self._logs / self.count,
            effective_samples=torch.where(nothing, 0.0, self._sum.square() / self._squares.where(~nothing, 1.0)),
        )


@torch.no_grad()
def stream_estimates(
    sampler_of: Callable[[Tensor], Sampler], x: Tensor, samples: tuple[int, ...], at_once: int | None = None
) -> tuple[ImportanceEstimate, ...]:
    """Estimates for observations ``x`` [N, D] after each number of ``samples``, rising, from one stream.

    ``sampler_of(rows)`` makes the sampler of some rows; it is called once for each group of rows, so that what
    depends on the rows alone (the encoder) is computed once. At most ``at_once`` weights exist at a time (but one
    sample of one row at the least), so memory depends on neither N nor the number of samples, but for the
    results.

    >>> unit = lambda rows: lambda count: rows[:, 0].expand(count, -1)
    >>> stream_estimates(unit, torch.tensor([[-2.0], [3.0]]), (7,))[0].log_mean
    tensor([-2.,  3.], dtype=torch.float64)
    """
    for number in samples:
        require_positive(number, "number of importance samples")
    if list(samples) != sorted(set(samples)):
        raise ValueError(f"samples = {samples}: rising numbers are needed")
    at_once = at_once or weights_at_once(x)
    rows_at_once = max(1, at_once // samples[-1])
    parts: list[list[ImportanceEstimate]] = [[] for _ in samples]
    for rows in torch.split(x, rows_at_once):
        sampler, stream = sampler_of(rows), Stream()
        most = max(1, at_once // len(rows))
        for part, until in zip(parts, samples, strict=True):
            while stream.count < until:
                stream.add(sampler(min(most, until - stream.count)))
            part.append(stream.result())
    return tuple(
        ImportanceEstimate(
            *(torch.cat([getattr(one, f) for one in part]) for f in ("log_mean", "mean_log", "effective_samples"))
        )
        for part in parts
    )


def bounded_log_weights(
    log_weights: Callable[..., Tensor], noise: Tensor, rows: tuple[Tensor, ...], parameters: Iterable[Tensor]
) -> Tensor:
    """Log weights [K, N] that can be differentiated, of which only one chunk's intermediate results ever exist.

    ``log_weights(noise, *rows)`` gives them for ``noise`` [k, N, L]; the first of ``rows`` is x [N, D]. A gradient
    reaches the noise, the rows and those ``parameters`` that ``log_weights`` uses. A weight depends on no noise but
    its own, so that its slope there is found on the way forward, chunk by chunk, and kept instead of activations: as
    many numbers as the noise has. Only for a gradient of rows or parameters is each chunk computed again on the way
    back. More than one chunk can be differentiated once.
    """
    most = max(1, weights_at_once(rows[0]) // len(rows[0]))
    if len(noise) <= most:
        return log_weights(noise, *rows)
    sloped = torch.is_grad_enabled() and noise.requires_grad
    values: list[Tensor] = []
    slopes: list[Tensor] = []
    for part in torch.split(noise.detach(), most):
        with torch.set_grad_enabled(sloped):
            value = log_weights(part.requires_grad_(sloped), *rows)
        values.append(value.detach())
        if sloped:
            slopes += torch.autograd.grad(value.sum(), part)
    weights: Tensor = _AtRows.apply(torch.cat(values), log_weights, most, noise.detach(), len(rows), *rows, *parameters)  # type: ignore[no-untyped-call]
    if sloped:
        weights = _AtNoise.apply(weights, torch.cat(slopes), noise)  # type: ignore[no-untyped-call]
    return weights


class _AtNoise(torch.autograd.Function):
    """Hands weights [K, N] on; a gradient goes back to them, and by the known ``slopes`` [K, N, L] to the noise.

    It is apart from ``_AtRows`` for autograd to leave that one out where the noise's gradient alone is asked for.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, slopes: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(slopes)
        return weights.view_as(weights)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _require_first_derivative()
        (slopes,) = ctx.saved_tensors
        return upstream, None, upstream[..., None] * slopes


class _AtRows(torch.autograd.Function):
    """Hands weights [K, N] on; chunks of them are computed again for the gradient of rows and parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        log_weights: Callable[..., Tensor],
        most: int,
        noise: Tensor,
        count: int,
        *inputs: Tensor,
    ) -> Tensor:
        ctx.log_weights, ctx.most, ctx.count = log_weights, most, count
        ctx.save_for_backward(noise, *inputs)
        return weights.view_as(weights)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _require_first_derivative()
        noise, *inputs = ctx.saved_tensors
        needs = ctx.needs_input_grad[-len(inputs) :]
        rows = [row.detach().requires_grad_(need) for row, need in zip(inputs[: ctx.count], needs, strict=False)]
        inputs[: ctx.count] = rows
        wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
        total: list[Tensor | None] = [None] * len(wanted)
        for part, share in zip(torch.split(noise, ctx.most), torch.split(upstream, ctx.most), strict=True):
            with torch.enable_grad():
                value = ctx.log_weights(part, *rows)
            found = torch.autograd.grad(value, wanted, share, allow_unused=True)
            total = [new if old is None else old.add_(new) for old, new in zip(total, found, strict=True)]
        gradients = iter(total)
        return None, None, None, None, None, *(next(gradients) if need else None for need in needs)


def _require_first_derivative() -> None:
    # torch's once_differentiable lets a second derivative pass as zero where the incoming gradient is a constant.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "log weights in chunks cannot be differentiated twice (create_graph=True): take fewer samples or rows"
        )
