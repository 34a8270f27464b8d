"""Streams of importance weights: log-mean-exp over any number of samples in the memory of one chunk.

For weights w_1 ... w_K of one observation the estimate of its log density is log (1/K) sum w_i (arXiv 1509.00519,
equation 8). Its expectation L_K is a lower bound of log p(x) that rises with K; L_1 is the ELBO.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness_plugins.vae_density.arguments import require_positive

#: Draws ``count`` more samples for each of its n observations and returns their log weights [count, n].
Sampler = Callable[[int], Tensor]
#: Largest number of pixels in one chunk, over all its weights. On a CPU they should fit into its cache (2 MB in
#: float32); elsewhere a chunk has to fill the device.
PIXELS_AT_ONCE = {"cpu": 2**19}
PIXELS_AT_ONCE_ELSEWHERE = 2**26


def weights_at_once(x: Tensor) -> int:
    """Number of log weights in one chunk, at least one, for rows like ``x`` [N, D]."""
    return max(1, PIXELS_AT_ONCE.get(x.device.type, PIXELS_AT_ONCE_ELSEWHERE) // x.shape[1])


@dataclass(frozen=True)
class ImportanceEstimate:
    """Estimates from a stream of log weights for each of N observations; all [N] float64 (float32 on mps)."""

    #: log (1/K) sum w: the K-sample estimate of the log density, in nats. Biased downwards.
    log_mean: Tensor
    #: (1/K) sum log w: the K-sample average of the ELBO, in nats.
    mean_log: Tensor
    #: (sum w)^2 / sum w^2, from 1 to K: the number of equal weights that would be as informative.
    effective_samples: Tensor


class Stream:
    """Running sums over log weights [k, n] that arrive in pieces of any k >= 1; four tensors [n] in memory.

    The exponentials are relative to the largest weight so far, and the sums are scaled down when a larger one
    arrives: no finite weight makes the sum overflow or underflow.

    >>> stream = Stream()
    >>> stream.add(torch.tensor([[0.0], [-1000.0]]))
    >>> stream.add(torch.tensor([[1000.0]]))
    >>> stream.result().log_mean + math.log(3)
    tensor([1000.], dtype=torch.float64)
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, log_weights: Tensor) -> None:
        """Add log weights [k, n]; minus infinity is a sample of weight zero.

        Raises FloatingPointError naming the first observation with NaN or +inf.
        """
        # A float64 sum for each chunk costs nothing compared with the matrix products of the weights; float32 would
        # add an error that grows with the number of chunks.
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
        # If all weights so far are zero, any finite shift will do, but -inf - -inf would be NaN.
        shift = top.clamp_min(torch.finfo(top.dtype).min)
        scale = torch.exp(self._top - shift)
        weights = torch.exp(wide - shift)
        self._sum = self._sum * scale + weights.sum(dim=0)
        self._squares = self._squares * scale.square() + weights.square().sum(dim=0)
        self._logs = self._logs + wide.sum(dim=0)
        self._top = top
        self.count += len(wide)

    def result(self) -> ImportanceEstimate:
        """The estimates from all weights so far. Raises ValueError if there are none."""
        require_positive(self.count, "number of importance samples")
        all_zero = self._sum == 0
        return ImportanceEstimate(
            log_mean=self._top + torch.log(self._sum) - math.log(self.count),
            mean_log=self._logs / self.count,
            effective_samples=torch.where(all_zero, 0.0, self._sum.square() / self._squares.where(~all_zero, 1.0)),
        )


@torch.no_grad()
def stream_estimates(
    sampler_of: Callable[[Tensor], Sampler], x: Tensor, samples: tuple[int, ...], at_once: int | None = None
) -> tuple[ImportanceEstimate, ...]:
    """Estimates for observations ``x`` [N, D] after each of the ascending numbers of ``samples``, from one stream.

    ``sampler_of(rows)`` builds the sampler of some rows. It is called once for each group of rows, so that the
    encoder, which depends on the rows alone, runs once. At most ``at_once`` weights (and at least one) are in memory
    at a time, so that except for the results memory depends on neither N nor the number of samples.

    >>> unit = lambda rows: lambda count: rows[:, 0].expand(count, -1)
    >>> stream_estimates(unit, torch.tensor([[-2.0], [3.0]]), (7,))[0].log_mean
    tensor([-2.,  3.], dtype=torch.float64)
    """
    for number in samples:
        require_positive(number, "number of importance samples")
    if list(samples) != sorted(set(samples)):
        raise ValueError(f"samples = {samples}: ascending numbers are needed")
    at_once = at_once or weights_at_once(x)
    rows_at_once = max(1, at_once // samples[-1])
    parts: list[list[ImportanceEstimate]] = [[] for _ in samples]
    for rows in torch.split(x, rows_at_once):
        sampler, stream = sampler_of(rows), Stream()
        chunk = max(1, at_once // len(rows))
        for part, target in zip(parts, samples, strict=True):
            while stream.count < target:
                stream.add(sampler(min(chunk, target - stream.count)))
            part.append(stream.result())
    return tuple(map(_joined, parts))


def _joined(estimates: list[ImportanceEstimate]) -> ImportanceEstimate:
    """The estimates of all groups of rows as one."""
    return ImportanceEstimate(
        log_mean=torch.cat([estimate.log_mean for estimate in estimates]),
        mean_log=torch.cat([estimate.mean_log for estimate in estimates]),
        effective_samples=torch.cat([estimate.effective_samples for estimate in estimates]),
    )


def bounded_log_weights(
    log_weights: Callable[..., Tensor], noise: Tensor, rows: tuple[Tensor, ...], parameters: Iterable[Tensor]
) -> Tensor:
    """Log weights [K, N] that can be differentiated, with the intermediate results of one chunk in memory.

    ``log_weights(noise, *rows)`` computes them for ``noise`` [k, N, L]; the first of ``rows`` is x [N, D]. Gradients
    reach the noise, the rows and the ``parameters`` that ``log_weights`` uses. A weight depends on its own noise
    alone, so its derivative by the noise is computed in the forward pass, chunk by chunk, and saved instead of
    activations: as many numbers as the noise has. The backward pass computes each chunk again only for a gradient of
    rows or parameters. Two or more chunks can be differentiated only once.
    """
    chunk = max(1, weights_at_once(rows[0]) // len(rows[0]))
    if len(noise) <= chunk:
        return log_weights(noise, *rows)
    noise_gradient = torch.is_grad_enabled() and noise.requires_grad
    values: list[Tensor] = []
    slopes: list[Tensor] = []
    for part in torch.split(noise.detach(), chunk):
        with torch.set_grad_enabled(noise_gradient):
            value = log_weights(part.requires_grad_(noise_gradient), *rows)
        values.append(value.detach())
        if noise_gradient:
            slopes += torch.autograd.grad(value.sum(), part)
    arguments = (torch.cat(values), log_weights, chunk, noise.detach(), len(rows), *rows, *parameters)
    weights: Tensor = _GradientOfRows.apply(*arguments)  # type: ignore[no-untyped-call]
    if noise_gradient:
        weights = _GradientOfNoise.apply(weights, torch.cat(slopes), noise)  # type: ignore[no-untyped-call]
    return weights


class _GradientOfNoise(torch.autograd.Function):
    """Identity of weights [K, N], with a gradient by the saved ``slopes`` [K, N, L] for the noise.

    It is apart from ``_GradientOfRows``, so that autograd omits that one when only the noise's gradient is needed.
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


class _GradientOfRows(torch.autograd.Function):
    """Identity of weights [K, N]; the backward pass computes them again in chunks for rows and parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        log_weights: Callable[..., Tensor],
        chunk: int,
        noise: Tensor,
        row_count: int,
        *inputs: Tensor,
    ) -> Tensor:
        # autograd passes everything a Function needs as arguments of its own.
        ctx.log_weights, ctx.chunk, ctx.row_count = log_weights, chunk, row_count
        ctx.save_for_backward(noise, *inputs)
        return weights.view_as(weights)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _require_first_derivative()
        noise, *inputs = ctx.saved_tensors
        needs = ctx.needs_input_grad[-len(inputs) :]
        rows = [row.detach().requires_grad_(need) for row, need in zip(inputs[: ctx.row_count], needs, strict=False)]
        inputs[: ctx.row_count] = rows
        targets = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
        totals: list[Tensor | None] = [None] * len(targets)
        for part, part_upstream in zip(torch.split(noise, ctx.chunk), torch.split(upstream, ctx.chunk), strict=True):
            with torch.enable_grad():
                value = ctx.log_weights(part, *rows)
            terms = torch.autograd.grad(value, targets, part_upstream, allow_unused=True)
            totals = [term if total is None else total.add_(term) for total, term in zip(totals, terms, strict=True)]
        gradients = iter(totals)
        return None, None, None, None, None, *(next(gradients) if need else None for need in needs)


def _require_first_derivative() -> None:
    # torch's once_differentiable would give zero for a second derivative if the incoming gradient is a constant.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "log weights in chunks cannot be differentiated twice (create_graph=True): use fewer samples or rows"
        )
