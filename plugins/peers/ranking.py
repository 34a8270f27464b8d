"""CoSENT's loss as sentence-transformers has it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from harness_plugins.peers.packages import imported


def sentence_transformers_cosent(scale: float = 20.0) -> Callable[[Tensor, Tensor], Tensor]:
    """``CoSENTLoss`` of given cosines [N] and labels [N]; the package's own starts from embeddings.

    Raises ImportError where the package is not installed.
    """
    package = "sentence_transformers"
    imported(package, "sentence-transformers")
    # Before 6 the losses stood at the top; there they still are, with a warning.
    place = f"{package}.sentence_transformer"
    losses = imported(f"{place if find_spec(place) else package}.losses", "sentence-transformers")

    def given(cosine: Tensor, _: Tensor) -> Tensor:
        """The similarity of embeddings that are similarities already."""
        return cosine

    # No model: the embeddings are what the loss is given.
    own: Any = losses.CoSENTLoss(None, scale=scale, similarity_fct=given)

    def loss(cosine: Tensor, label: Tensor) -> Tensor:
        value: Tensor = own.compute_loss_from_embeddings([cosine, cosine], label)
        return value

    return loss
