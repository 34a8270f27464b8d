"""The conditions of a measurement: all that a process needs to know to make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from harness_plugins.speed.option_values import OptionValues
from harness_plugins.speed.stopwatch import Direction


@dataclass(frozen=True, slots=True)
class Conditions:
    """One workload at one size, on one device, in one type of numbers."""

    workload: str
    #: (dimension, value) pairs.
    size: tuple[tuple[str, int], ...]
    #: A slot: cpu, cuda, cuda:1.
    device: str
    dtype: str
    threads: int
    #: Plugins named with ``-p``.
    plugins: tuple[str, ...] = ()
    seed: int = 0
    #: Options that methods are built with.
    options: OptionValues = ()
    #: Whether gradients are checked and timed as well.
    backward: bool = True

    @property
    def directions(self) -> tuple[Direction, ...]:
        """What is timed; methods are ranked by the last."""
        return ("forward", "both") if self.backward else ("forward",)

    @property
    def dimensions(self) -> Mapping[str, int]:
        """The size as a mapping."""
        return dict(self.size)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of floating-point inputs."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype
