"""Make an encoder by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from harness.errors import UnknownName
from harness_plugins.encoders.hugging_face import HuggingFaceEncoder, encoder_name
from harness_plugins.encoders.scratch import Architecture, char_cnn, char_transformer
from harness_plugins.encoders.tokens import Tokens

_SCRATCH = {"char-cnn": char_cnn, "char-transformer": char_transformer}


class Encoder(Protocol):
    """The interface of every encoder. Each is an ``nn.Module`` as well."""

    #: Width of its hidden states.
    dimension: int

    def tokens(self, first: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """Tokens, on the encoder's device, of the texts, or of pairs of texts with both texts in one input."""

    def __call__(self, tokens: Tokens) -> Tensor:
        """Hidden states [B, L, dimension]."""

    def parameters(self) -> Any:
        """Its weights."""

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""


def make_encoder(
    name: str, texts: Sequence[str], generator: torch.Generator, architecture: Architecture | None = None
) -> Any:
    """Make an encoder by its name: ``char-cnn``, ``char-transformer``, or ``hf:`` with a folder or a cached model.

    An encoder trained from scratch takes its vocabulary from ``texts``, those of the training split. A Hugging Face
    model reads at most ``architecture.max_length`` tokens and has its own sizes otherwise. Raises UnknownName for
    another name, UsageError or CannotRunHere if the model cannot be loaded.

    >>> small = Architecture(dimension=8)
    >>> encoder = make_encoder("char-cnn", ["a cat", "a dog"], torch.Generator().manual_seed(0), small)
    >>> tokens = encoder.tokens(["a cat sat", "dogs"])
    >>> tokens.spans[0], encoder(tokens).shape
    ([(0, 0, 1), (0, 2, 5), (0, 6, 9)], torch.Size([2, 3, 8]))
    """
    architecture = architecture or Architecture()
    if name.startswith("hf:"):
        return HuggingFaceEncoder(name.removeprefix("hf:"), max_length=architecture.max_length)
    if name not in _SCRATCH:
        raise UnknownName("encoder", name, [*_SCRATCH, "hf:NAME"])
    return _SCRATCH[name](texts, architecture, generator)


def encoder_of(options: Mapping[str, Any], texts: Sequence[str], generator: torch.Generator) -> nn.Module:
    """Make the encoder that a task's options (``harness_plugins.encoders.options.ENCODER``) name.

    Raises UsageError for ``hf:FOLDER``: the cell's key would not change with the folder's weights.
    """
    architecture = Architecture(**{field.name: options[field.name] for field in fields(Architecture)})
    encoder: nn.Module = make_encoder(
        encoder_name(options["encoder"], options["model"]), texts, generator, architecture
    )
    return encoder
