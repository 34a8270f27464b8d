"""Training steps: Adam with warm-up and decay, gradient clipping, mixed precision; and paired dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class Optimizer:
    """Takes ``steps`` steps on ``parameters`` by the options ``harness_plugins.encoders.options.TRAINING``.

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
        self._learning_rate = options["learning_rate"]
        self._clip_norm = options.get("clip_norm", 0.0)
        self._warmup_steps = math.ceil(options.get("warmup", 0.0) * steps)
        self._decays = options.get("decay", "constant") == "linear"
        #: Steps in all, and steps taken.
        self.steps, self.done = steps, 0
        self._device = device
        self._precision = options.get("precision", "full")
        # float16 has few exponents: without scaling the loss up, small gradients round to zero.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._precision == "float16")
        adam = torch.optim.AdamW if options.get("optimizer") == "adamw" else torch.optim.Adam
        self._adam = adam(
            parameters,
            lr=self._learning_rate,
            weight_decay=options.get("weight_decay", 0.0),
            fused=device.type in ("cpu", "cuda"),
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of the forward pass: matrix products in the option's ``precision``."""
        if self._precision == "full":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=getattr(torch, self._precision))

    def rate(self) -> float:
        """Learning rate of the next step."""
        if self.done < self._warmup_steps:
            return float(self._learning_rate * (self.done + 1) / self._warmup_steps)
        if not self._decays:
            return float(self._learning_rate)
        return float(self._learning_rate * (self.steps - self.done) / max(1, self.steps - self._warmup_steps))

    def step(self, loss: Tensor) -> None:
        """Take one step down ``loss``. Raises FloatingPointError, naming the step, for a loss that is not finite."""
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {self.done} of {self.steps}")
        self._adam.param_groups[0]["lr"] = self.rate()
        self._adam.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        if self._clip_norm:
            self._scaler.unscale_(self._adam)
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._scaler.step(self._adam)
        self._scaler.update()
        self.done += 1


@contextmanager
def paired_dropout(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global generators with a number drawn from ``generator``, inside the block only.

    Dropout takes no generator. With each step in such a block, two methods that share an encoder drop the same
    activations in it, whatever else they draw.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
