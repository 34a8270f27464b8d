"""The task ner/parameter-counts: parameters of span scorers, alone and with BERT-base Chinese; nothing is allocated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness_plugins.efficient_global_pointer.spans import SpanScorer

if TYPE_CHECKING:
    from harness.running.run import Run

#: BERT-base Chinese: pieces, positions, segments, layers, and the width of feed-forward layers over that of states.
PIECES, POSITIONS, SEGMENTS, LAYERS, WIDER = 21128, 512, 2, 12, 4


def parameter_counts(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """Count parameters of scorers on states of ``width``, alone and with the encoder.

    One scorer finds entities of ``kinds`` types. With ``relations``, two more find their heads and their tails, each
    with as many types as there are relations (GPLinker, kexue.fm/archives/8888).
    """
    width, relations = run.options["width"], run.options["relations"]
    types_of_heads = [run.options["kinds"], *[relations] * 2] if relations else [run.options["kinds"]]
    with torch.device("meta"):
        heads = [scorer.fresh(width, types) for types in types_of_heads]
        one_type_more = scorer.fresh(width, types_of_heads[0] + 1)
        encoder = bert(width)
    parameters, weights = sum(map(_parameters, heads)), sum(map(_weights, heads))
    return {
        "head_parameters": parameters,
        "head_weights": weights,
        "type_parameters": _parameters(one_type_more) - _parameters(heads[0]),
        "type_weights": _weights(one_type_more) - _weights(heads[0]),
        "model_parameters": parameters + _parameters(encoder),
    }


def bert(width: int) -> nn.ModuleList:
    """The parameters of BERT-base with Chinese pieces, without the pooler (arXiv 1810.04805), as bare layers.

    >>> sum(p.numel() for p in bert(768).parameters())
    101677056
    """
    embeddings = [nn.Embedding(count, width, device="meta") for count in (PIECES, POSITIONS, SEGMENTS)]
    layers: list[nn.Module] = [*embeddings, nn.LayerNorm(width, device="meta")]
    for _ in range(LAYERS):
        # Query, key, value and output; the two feed-forward layers; a norm after each of these groups.
        layers += [nn.Linear(width, width, device="meta") for _ in range(4)]
        layers += [nn.Linear(width, WIDER * width, device="meta"), nn.Linear(WIDER * width, width, device="meta")]
        layers += [nn.LayerNorm(width, device="meta") for _ in range(2)]
    return nn.ModuleList(layers)


def _parameters(module: Any) -> int:
    return sum(int(p.numel()) for p in module.parameters())


def _weights(module: Any) -> int:
    """Entries of the weight matrices."""
    return sum(int(m.weight.numel()) for m in module.modules() if isinstance(m, nn.Linear))
