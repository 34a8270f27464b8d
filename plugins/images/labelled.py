"""Inputs and labels of a data set as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from harness_plugins.images.readers import redrawn

if TYPE_CHECKING:
    from harness.running.run import Run


@dataclass(frozen=True)
class Labelled:
    """Inputs [N, ...] and labels [N] of the same rows, on one device.

    >>> len(Labelled(torch.zeros(5, 2), torch.zeros(5))[1:3])
    2
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> Labelled:
        return Labelled(self.inputs[index], self.labels[index])


def images_of(run: Run, dataset: str) -> Mapping[str, Any]:
    """An image data set with the split that the run's option ``split`` names."""
    data: Mapping[str, Any] = run.data(dataset)
    return redrawn(data, run.seed) if run.options["split"] == "redraw" else data


def labelled_images(
    data: Mapping[str, Any], part: Literal["train", "test"], device: torch.device, dtype: torch.dtype
) -> Labelled:
    """Images [N, 1, H, W] and labels (int64 [N]) of one part of an image data set.

    >>> import numpy as np
    >>> data = {"test_images": np.zeros((5, 1, 8, 8), np.float32), "test_labels": np.arange(5)}
    >>> labelled_images(data, "test", torch.device("cpu"), torch.float64).inputs.dtype
    torch.float64
    """
    images = torch.tensor(data[f"{part}_images"], device=device, dtype=dtype)
    return Labelled(images, torch.tensor(data[f"{part}_labels"], device=device))
