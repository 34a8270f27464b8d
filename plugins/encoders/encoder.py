"""Making an encoder by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from harness.errors import UnknownName
from harness_plugins.encoders.scratch import char_cnn, char_transformer
from harness_plugins.encoders.tokens import Tokens, pool

__all__ = ["Encoder", "Tokens", "encoder_of", "make_encoder", "pool"]

_SCRATCH = {"char-cnn": char_cnn, "char-transformer": char_transformer}


class Encoder(Protocol):
    """What every encoder does; each is an ``nn.Module`` as well."""

    #: Width of its hidden states.
    dimension: int

    def tokens(self, first: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """The texts, or pairs of texts in one input each, as tokens on the encoder's device."""

    def __call__(self, tokens: Tokens) -> Tensor:
        """Hidden states [B, L, dimension]."""

    def parameters(self) -> Any:
        """Its weights."""

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""


def make_encoder(
    name: str,
    texts: Sequence[str],
    *,
    generator: torch.Generator,
    dimension: int = 128,
    layers: int = 2,
    vocabulary: int = 8192,
    dropout: float = 0.1,
    max_length: int = 64,
) -> Any:
    """An encoder by its name: ``char-cnn``, ``char-transformer``, or ``hf:`` and a folder or a cached model's name.

    ``texts``, of the training split, are what a vocabulary is made of. The sizes are those of the encoders that are
    trained from scratch; a Hugging Face model has its own, and reads at most ``max_length`` tokens as they do.
    Raises UnknownName for another name, UsageError for a model that is not there or is none.

    >>> encoder = make_encoder("char-cnn", ["a cat", "a dog"], generator=torch.Generator().manual_seed(0), dimension=8)
    >>> tokens = encoder.tokens(["a cat sat", "dogs"])
    >>> tokens.spans[0], encoder(tokens).shape
    ([(0, 0, 1), (0, 2, 5), (0, 6, 9)], torch.Size([2, 3, 8]))
    """
    if name.startswith("hf:"):
        from harness_plugins.encoders.hugging_face import HuggingFaceEncoder

        return HuggingFaceEncoder(name.removeprefix("hf:"), max_length=max_length)
    if name not in _SCRATCH:
        raise UnknownName("encoder", name, [*_SCRATCH, "hf:NAME"])
    return _SCRATCH[name](
        texts,
        generator=generator,
        dimension=dimension,
        layers=layers,
        vocabulary=vocabulary,
        dropout=dropout,
        max_length=max_length,
    )


def encoder_of(options: Mapping[str, Any], texts: Sequence[str], generator: torch.Generator) -> nn.Module:
    """The encoder that a task's options (``harness_plugins.encoders.ENCODER``) ask for.

    Raises UsageError for ``hf:FOLDER``, where the cell's key would not see that the folder's weights have changed.
    """
    from harness_plugins.encoders.hugging_face import chosen

    sizes = ("dimension", "layers", "vocabulary", "dropout", "max_length")
    made: nn.Module = make_encoder(
        chosen(options["encoder"], options["model"]), texts, generator=generator, **{k: options[k] for k in sizes}
    )
    return made
