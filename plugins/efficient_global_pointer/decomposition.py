"""The task ner/type-ranks: what the types of a span scorer share, by the rank of differences of score matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness_plugins.efficient_global_pointer.spans import SpanScorer

if TYPE_CHECKING:
    from harness.running.run import Run

#: Singular values below this share of the largest are rounding, in float64.
NEGLIGIBLE = 1e-10


@torch.no_grad()
def difference_rank(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """The largest rank of s_a - s_b over all pairs of types, for random states and weights.

    Scores are taken before the mask (``scores(hidden)``), so that the matrices are full. Efficient GlobalPointer has
    one extraction score for all types: the difference is a column plus a row, whose rank is at most 2. Computed in
    float64, whatever the run's dtype: in float32 the rounding errors alone have a rank above 2.
    """
    length, types = run.options["length"], run.options["kinds"]
    hidden = torch.randn(1, length, scorer.width, generator=run.generator, dtype=torch.float64)
    fresh = scorer.fresh(scorer.width, types, run.generator)
    head = fresh.to(run.device, torch.float64)  # type: ignore[attr-defined]
    (scores,) = head.scores(hidden.to(run.device)).cpu()
    first, second = torch.triu_indices(types, types, offset=1)
    return {
        "difference_rank": max(_rank(scores[a] - scores[b]) for a, b in zip(first, second, strict=True)),
        "type_rank": max(_rank(matrix) for matrix in scores),
    }


def _rank(matrix: torch.Tensor) -> int:
    values = torch.linalg.svdvals(matrix)
    return int((values > NEGLIGIBLE * values[0]).sum())
