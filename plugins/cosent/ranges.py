"""Threshold searches on scores of many ranges: how much accuracy and F1 each loses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness_plugins.cosent.scoring import accuracy, f1
from harness_plugins.cosent.thresholds import ExactThreshold

if TYPE_CHECKING:
    from harness.running.run import Run

Numbers = NDArray[np.float64]

#: Maps similarities from 0 to 1 to scores: usual cosines, and scores of other models and units.
RANGES: dict[str, Callable[[Numbers], Numbers]] = {
    "cosines": lambda x: 0.2 + 0.8 * x,
    "narrow": lambda x: 0.98 + 0.02 * x,
    "negative": lambda x: -1 + 0.4 * x,
    "log-odds": lambda x: 30 * (2 * x - 1),
    "distances": lambda x: -100 * (1 - x),
    "tiny": lambda x: 1e-6 * x,
    "grades": lambda x: np.round(5 * x),
}


def search_ranges(search: Callable[[Numbers, Numbers], float], run: Run) -> dict[str, float]:
    """The metrics of ``matching/thresholds``: what the search loses against the best threshold, on the same pairs.

    The similarities of each label are normally distributed and clipped to 0 and 1; the two distributions overlap. With
    ``shape = two-peaks``, part of the pairs labelled 0 lies above all others, so that accuracy has two peaks.
    """
    options, rng = run.options, run.rng
    labels = (rng.random(options["pairs"]) < options["positive"]).astype(np.float64)
    similarity = rng.normal(np.where(labels == 1, 0.65, 0.45), 0.12)
    if options["shape"] == "two-peaks":
        misleading = (labels == 0) & (rng.random(len(labels)) < 0.3)
        similarity[misleading] = rng.normal(0.9, 0.02, misleading.sum())
    scores = RANGES[options["range"]](similarity.clip(0, 1))
    threshold = float(search(scores, labels))
    best_accuracy = accuracy(scores, labels, ExactThreshold("accuracy")(scores, labels))
    best_f1 = f1(scores, labels, ExactThreshold("f1")(scores, labels))
    return {
        "accuracy": accuracy(scores, labels, threshold),
        "accuracy_lost": best_accuracy - accuracy(scores, labels, threshold),
        "f1_lost": best_f1 - f1(scores, labels, threshold),
    }
