"""CoSENT's loss from sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from harness_plugins.peers.packages import import_from


def sentence_transformers_cosent(scale: float = 20.0) -> Callable[[Tensor, Tensor], Tensor]:
    """``CoSENTLoss`` of cosines [N] and labels [N]; the package's own starts from embeddings.

    Raises ImportError where the package is not installed.
    """
    package = "sentence_transformers"
    import_from(package, "sentence-transformers")
    # Before version 6 the losses were in the top package; importing them from there now gives a warning.
    submodule = f"{package}.sentence_transformer"
    losses = import_from(f"{submodule if find_spec(submodule) else package}.losses", "sentence-transformers")

    def similarity(cosine: Tensor, _: Tensor) -> Tensor:
        """The cosines, which are passed in place of embeddings."""
        return cosine

    # Without a model: the loss gets its embeddings as arguments.
    cosent: Any = losses.CoSENTLoss(None, scale=scale, similarity_fct=similarity)

    def loss(cosine: Tensor, label: Tensor) -> Tensor:
        value: Tensor = cosent.compute_loss_from_embeddings([cosine, cosine], label)
        return value

    return loss
