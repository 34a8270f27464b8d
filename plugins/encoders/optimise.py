"""Steps of training: Adam with warm-up and decay, gradient clipping, mixed precision, and dropout that is paired."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class Optimizer:
    """Steps over ``parameters`` by the options ``harness_plugins.encoders.TRAINING``, ``steps`` of them in all.

    >>> weight = nn.Parameter(torch.ones(1))
    >>> optimizer = Optimizer([weight], {"learning_rate": 0.1}, steps=10, device=torch.device("cpu"))
    >>> optimizer.step((weight**2).sum())
    >>> weight
    Parameter containing:
    tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self, parameters: list[nn.Parameter], options: Mapping[str, Any], steps: int, device: torch.device
    ) -> None:
        self._parameters = parameters
        self._rate = options["learning_rate"]
        self._clip = options.get("clip_norm", 0.0)
        self._warm = math.ceil(options.get("warmup", 0.0) * steps)
        self._falls = options.get("decay", "constant") == "linear"
        self._steps, self._done = steps, 0
        self._device = device
        self._precision = options.get("precision", "full")
        # float16 has few exponents: small gradients are lost unless the loss is scaled up.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._precision == "float16")
        kind = torch.optim.AdamW if options.get("optimizer") == "adamw" else torch.optim.Adam
        self._adam = kind(
            parameters,
            lr=self._rate,
            weight_decay=options.get("weight_decay", 0.0),
            fused=device.type in ("cpu", "cuda"),
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Where the forward pass belongs: matrix products in the lower precision, if one was asked for."""
        if self._precision == "full":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=getattr(torch, self._precision))

    def rate(self) -> float:
        """The learning rate of the next step."""
        if self._done < self._warm:
            return float(self._rate * (self._done + 1) / self._warm)
        if not self._falls:
            return float(self._rate)
        return float(self._rate * (self._steps - self._done) / max(1, self._steps - self._warm))

    def step(self, loss: Tensor) -> None:
        """One step down ``loss``. Raises FloatingPointError naming the step where it is not finite."""
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {self._done} of {self._steps}")
        self._adam.param_groups[0]["lr"] = self.rate()
        self._adam.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        if self._clip:
            self._scaler.unscale_(self._adam)
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self._adam)
        self._scaler.update()
        self._done += 1


@contextmanager
def paired_dropout(generator: torch.Generator) -> Iterator[None]:
    """A block in which torch's global generators start from a number drawn from ``generator``.

    Dropout knows no generator of its own. Where each step runs in such a block, two methods that share the
    encoder drop the same activations in it, whatever else they have drawn.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
