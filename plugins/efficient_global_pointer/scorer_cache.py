"""Scorers made anew for other sizes, dtypes and devices: each one once, so that a timed call does not make it."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch

_CACHE: WeakKeyDictionary[Any, dict[tuple[object, ...], Any]] = WeakKeyDictionary()


def scorer_for(scorer: Any, width: int, types: int, dtype: torch.dtype, device: torch.device) -> Any:
    """A scorer of the same kind and settings. The weights are always drawn from the same seed."""
    scorers = _CACHE.setdefault(scorer, {})
    key = (width, types, dtype, device)
    if key not in scorers:
        scorers[key] = scorer.fresh(width, types, torch.Generator().manual_seed(0)).to(device, dtype)
    return scorers[key]
