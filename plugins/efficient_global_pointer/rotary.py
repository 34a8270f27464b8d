"""Rotary position embedding: the positions of two rotated vectors enter their dot product by their distance alone."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def rotate(vectors: Tensor) -> Tensor:
    """Rotate each vector by angles proportional to its position: [B, L, ..., d] of even d to the same shape and dtype.

    The plane of entries 2i and 2i+1 of the vector at position m is rotated by m * 10000^(-2i/d) (RoFormer, arXiv
    2104.09864, equation 34).

    >>> a, b = torch.randn(2, 1, 1, 8, dtype=torch.float64)  # two vectors, each at six positions
    >>> q, k = rotate(a.expand(1, 6, 8)), rotate(b.expand(1, 6, 8))
    >>> torch.allclose((q[0, 1] * k[0, 3]).sum(), (q[0, 3] * k[0, 5]).sum())
    True
    """
    length, size = vectors.shape[1], vectors.shape[-1]
    if size % 2:
        raise ValueError(f"rotate: vectors of shape {tuple(vectors.shape)}: an even last dimension is needed")
    shape = (1, length, *[1] * (vectors.dim() - 3), size // 2)
    cosine, sine = (table.view(shape) for table in _tables(length, size, vectors.dtype, vectors.device))
    if vectors.dtype in (torch.float32, torch.float64):
        # Rotating a plane is one complex product: one pass over memory forward, and one backward.
        planes = torch.view_as_complex(vectors.reshape(*vectors.shape[:-1], size // 2, 2).contiguous())
        return torch.view_as_real(planes * torch.complex(cosine, sine)).flatten(-2)
    even, odd = vectors[..., ::2], vectors[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


@lru_cache(maxsize=64)
def _tables(length: int, size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [L, d / 2].

    Angles are computed in float64: at position 500 those of a fast plane would be off by 3e-5 in float32, and by whole
    turns in half precision.
    """
    # A first call in inference mode would cache tensors that no later call could train with.
    with torch.inference_mode(False):
        exponents = torch.arange(0, size, 2, dtype=torch.float64) / size
        angles = torch.arange(length, dtype=torch.float64)[:, None] * 10000.0**-exponents
        return angles.cos().to(device, dtype), angles.sin().to(device, dtype)
