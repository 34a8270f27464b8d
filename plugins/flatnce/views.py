"""Two random views of every image of a batch, rendered for all images together."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

#: Largest rotation to either side, in radians.
ROTATION = math.radians(15)
#: Least and greatest side of the crop, as a share of the image's side; a share above 1 adds a border.
CROP = (0.6, 1.1)
#: Largest shift to either side, as a share of the image's side.
SHIFT = 0.1
#: Least and greatest factor on the brightness.
BRIGHTNESS = (0.6, 1.4)
#: Standard deviation of the noise added to every pixel.
NOISE = 0.05


def two_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Two independent views of each image: [N, 1, H, W] float32 in [0, 1] to [2, N, 1, H, W].

    One affine map rotates, crops, scales and shifts a view. Then its brightness changes, it is blurred by a random
    amount, and noise is added; all in the spirit of SimCLR (arXiv 2002.05709, section 3). The random numbers come
    from ``generator``, which lives on the CPU, so that every device sees the same views up to rounding.

    >>> two_views(torch.rand(3, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 1, 8, 8])
    """
    count = 2 * len(images)
    both = torch.cat([images, images])
    angle, shift_x, shift_y, crop, brightness, blur = torch.rand(count, 6, generator=generator).to(images.device).T
    noise = torch.randn(both.shape, generator=generator).to(images.device)

    angle = ROTATION * (2 * angle - 1)
    side = _between(CROP, crop)
    # Coordinates run from -1 to 1: the side is 2, and a shift by the share s of it is 2 s.
    across, down = 2 * SHIFT * (2 * shift_x - 1), 2 * SHIFT * (2 * shift_y - 1)
    cosine, sine = side * torch.cos(angle), side * torch.sin(angle)
    maps = torch.stack([cosine, -sine, across, sine, cosine, down], dim=1).view(count, 2, 3)
    grid = F.affine_grid(maps, list(both.shape), align_corners=False)
    views = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    views = views * _per_image(_between(BRIGHTNESS, brightness))
    views = torch.lerp(views, F.avg_pool2d(views, 3, stride=1, padding=1), _per_image(blur))
    return (views + NOISE * noise).view(2, *images.shape)


def _between(limits: tuple[float, float], uniform: Tensor) -> Tensor:
    low, high = limits
    return low + (high - low) * uniform


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
