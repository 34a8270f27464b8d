"""The small convolutional encoder and its projection head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Width of the features, the inputs of the probes.
FEATURES = 64
#: Width of the projections, the inputs of the loss.
PROJECTIONS = 32


class Encoder(nn.Module):
    """Images [N, 1, H, W] to features [N, 64] (``features``) and on to projections [N, 32] (calling it).

    Two convolutions and a linear layer, then SimCLR's head of two layers (arXiv 2002.05709, section 2.1), which
    only training uses. There is no batch normalisation: its statistics depend on the batch size, which the
    claims vary. Weights come from ``generator`` alone: they are the same for every loss, dtype and device.

    >>> net = Encoder(side=8, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 32])
    """

    def __init__(self, side: int, generator: torch.Generator) -> None:
        super().__init__()
        # 28 x 28 pixels become 7 x 7 patches, 8 x 8 pixels become 4 x 4: similar numbers.
        patch = 4 if side >= 16 else 2
        cells = math.ceil(side // patch / 2) ** 2
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, patch, stride=patch),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * cells, FEATURES),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, PROJECTIONS))
        for layer in (*self.body, *self.head):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> Tensor:
        """Inputs of the probes: ``images`` [N, 1, H, W] to [N, 64]."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Inputs of the loss: ``images`` [N, 1, H, W] to [N, 32], not normalised."""
        projections: Tensor = self.head(self.body(images))
        return projections
