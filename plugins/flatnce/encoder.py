"""The small convolutional encoder and its projection head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Width of the features that the probes see.
FEATURES = 64
#: Width of the projections that the loss sees.
PROJECTIONS = 32


class Encoder(nn.Module):
    """Images [N, 1, H, W] to features [N, 64] (``features``) and on to projections [N, 32] (calling it).

    Two convolutions and a linear layer, then SimCLR's head of two layers (arXiv 2002.05709, section 2.1) that
    only training sees. There is no batch normalisation: its statistics depend on the batch size, which is
    what the claims vary. Weights come from ``generator`` alone, so they are the same whatever the loss, dtype
    or device.

    >>> net = Encoder(side=8, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 32])
    """

    def __init__(self, side: int, generator: torch.Generator) -> None:
        super().__init__()
        # 28 x 28 pixels become 7 x 7 patches, 8 x 8 become 4 x 4: about as many on either.
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
        """What the probes see of ``images`` [N, 1, H, W]: [N, 64]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """What the loss sees of ``images`` [N, 1, H, W]: [N, 32], not normalised."""
        out: Tensor = self.head(self.body(images))
        return out
