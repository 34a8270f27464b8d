"""How many parameters a span scorer costs on BERT-base Chinese, to the unit. Nothing is allocated or computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness_plugins.efficient_global_pointer.spans import SpanScorer

if TYPE_CHECKING:
    from harness.running.run import Run

#: BERT-base Chinese: pieces, positions, segments, layers, and the width of the feed-forward layers over that of states.
PIECES, POSITIONS, SEGMENTS, LAYERS, WIDER = 21128, 512, 2, 12, 4


def parameter_counts(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """Count parameters of scorers on states of ``width``, alone and with the encoder.

    One scorer finds entities of ``kinds`` types. Where there are ``relations``, one more finds their heads and one
    their tails, each with as many types as there are relations (GPLinker, kexue.fm/archives/8888).
    """
    width, relations = run.options["width"], run.options["relations"]
    sets = [run.options["kinds"], *[relations] * 2] if relations else [run.options["kinds"]]
    with torch.device("meta"):
        heads = [scorer.fresh(width, types) for types in sets]
        more = scorer.fresh(width, sets[0] + 1)
        encoder = bert(width)
    head, weights = sum(map(_all, heads)), sum(map(_weights, heads))
    return {
        "head_parameters": head,
        "head_weights": weights,
        "type_parameters": _all(more) - _all(heads[0]),
        "type_weights": _weights(more) - _weights(heads[0]),
        "model_parameters": head + _all(encoder),
    }


def bert(width: int) -> nn.ModuleList:
    """The parameters of BERT-base with Chinese pieces, without the pooler (arXiv 1810.04805), as bare layers.

    >>> sum(p.numel() for p in bert(768).parameters())
    101677056
    """
    embeddings = [nn.Embedding(count, width, device="meta") for count in (PIECES, POSITIONS, SEGMENTS)]
    layers: list[nn.Module] = [*embeddings, nn.LayerNorm(width, device="meta")]
    for _ in range(LAYERS):
        # Query, key, value and output; then the two of the feed-forward layer; a norm after each.
        layers += [nn.Linear(width, width, device="meta") for _ in range(4)]
        layers += [nn.Linear(width, WIDER * width, device="meta"), nn.Linear(WIDER * width, width, device="meta")]
        layers += [nn.LayerNorm(width, device="meta") for _ in range(2)]
    return nn.ModuleList(layers)


def _all(module: Any) -> int:
    return sum(int(p.numel()) for p in module.parameters())


def _weights(module: Any) -> int:
    """Entries of the matrices that states, queries or keys are multiplied with."""
    return sum(int(m.weight.numel()) for m in module.modules() if isinstance(m, nn.Linear))
