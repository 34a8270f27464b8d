"""Matchers: how the vectors of two texts give a score and a loss.

``CosineMatcher`` serves every loss of cosines. Methods that are not functions of cosines and labels (a classifier on
both vectors, a model that reads both texts at once, a loss of angles) bring their own (docs/roles.md,
pair-ranking-loss).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from harness.errors import UsageError
from harness_plugins.cosent.losses import check, mean
from harness_plugins.cosent.ranking import ranking_loss

#: Largest score that the published code for joint inputs lets through (bojone/CoSENT, interact_cosent.py).
GREATEST_SCORE = 1e6

#: A loss of cosines [N] and labels [N].
PairLoss = Callable[[Tensor, Tensor], Tensor]


class Matcher(Protocol):
    """A head and its loss, an ``nn.Module``. ``vectors`` are the pooled hidden states of the inputs."""

    #: Whether both texts of a pair are one input, so that ``vectors`` are [N, D] and not [2, N, D].
    joint: bool

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        """The loss for labels [N] from 0 to 1, a scalar."""

    def score(self, vectors: Tensor) -> Tensor:
        """Similarity of the texts of each pair [N]; only the order counts."""

    def parameters(self) -> Any:
        """Its weights."""


def matcher_of(method: Any, dimension: int, levels: Tensor, generator: torch.Generator) -> Any:
    """The method's own matcher, or that of cosines if it has none.

    ``levels`` are the different labels from 0 to 1 in ascending order; ``generator`` draws the head's weights.
    """
    if hasattr(method, "matcher"):
        return method.matcher(dimension, levels, generator)
    return CosineMatcher(method)


class CosineMatcher(nn.Module):
    """Scores by cosine, with any loss of cosines."""

    joint = False

    def __init__(self, pair_loss: PairLoss) -> None:
        super().__init__()
        self._pair_loss = pair_loss

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        return self._pair_loss(cosines(vectors), label)

    def score(self, vectors: Tensor) -> Tensor:
        return cosines(vectors)


def cosines(vectors: Tensor) -> Tensor:
    """Cosines [N] of ``vectors`` [2, N, D], in float32 at least."""
    first, second = _wide(vectors)
    return cosine_similarity(first, second, dim=-1)


@dataclass(frozen=True)
class SentenceBert:
    """A softmax classifier on both vectors, trained by cross-entropy. Scores are cosines; the classifier is dropped.

    Sentence-BERT (arXiv 1908.10084, section 3). With ``classes = two``, labels above one half are one class, as in the
    code of the article on CoSENT (bojone/CoSENT, sbert.py: grades above 2.5 of 5 are positive); with ``grades``, each
    of up to six rounded grades is a class. As a loss of cosines and labels, without vectors, it is binary
    cross-entropy with the cosine as log odds.
    """

    features: str = "[u, v, |u-v|]"
    classes: str = "two"

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Classified:
        """A classifier with ``dimension`` inputs for each part of its features."""
        parts = {"[u, v, |u-v|]": 3, "[u, v]": 2, "[|u-v|]": 1}[self.features]
        cuts = class_bounds(levels, self.classes)
        return _Classified(_linear(parts * dimension, len(cuts) + 1, generator), self.features, cuts)

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        return odds_loss(cosine, label)


class _Classified(nn.Module):
    joint = False
    cuts: Tensor

    def __init__(self, head: nn.Linear, features: str, cuts: Tensor) -> None:
        super().__init__()
        self.head = head
        self._features = features
        self.register_buffer("cuts", cuts)

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        first, second = vectors
        difference = (first - second).abs()
        parts = {
            "[u, v, |u-v|]": (first, second, difference),
            "[u, v]": (first, second),
            "[|u-v|]": (difference,),
        }[self._features]
        return cross_entropy(_wide(self.head(torch.cat(parts, dim=-1))), classes_of(label, self.cuts))

    def score(self, vectors: Tensor) -> Tensor:
        return cosines(vectors)


@dataclass(frozen=True)
class Interaction:
    """A softmax classifier on the vector of a joint input, trained by cross-entropy.

    The score is the expected class; of two classes it is the log odds, which give the same order. As a loss of scores
    and labels, without joint inputs, it is binary cross-entropy with the score as log odds.
    """

    classes: str = "two"

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Interacting:
        """A head for joint inputs."""
        cuts = class_bounds(levels, self.classes)
        return _Interacting(_linear(dimension, len(cuts) + 1, generator), cuts)

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        return odds_loss(cosine, label)


class _Interacting(nn.Module):
    joint = True
    cuts: Tensor

    def __init__(self, head: nn.Linear, cuts: Tensor) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("cuts", cuts)

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(_wide(self.head(vectors)), classes_of(label, self.cuts))

    def score(self, vectors: Tensor) -> Tensor:
        logits = _wide(self.head(vectors))
        if logits.shape[1] == 2:
            # Not the probability: beyond log odds of 17 float32 rounds it to 1, and the order is lost.
            return logits[:, 1] - logits[:, 0]
        return logits.softmax(dim=1) @ torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)


@dataclass(frozen=True)
class InteractionCosent:
    """One number for each joint input, trained by CoSENT's loss with scale 1.

    kexue.fm/archives/9341: any score may take the place of the cosine.
    """

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Scored:  # noqa: ARG002
        """A head for joint inputs with one output."""
        return _Scored(_linear(dimension, 1, generator))

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        limit = min(GREATEST_SCORE, torch.finfo(cosine.dtype).max)
        return ranking_loss(cosine.clamp(-limit, limit), label, 1.0)


class _Scored(nn.Module):
    joint = True

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        return InteractionCosent()(self.score(vectors), label)

    def score(self, vectors: Tensor) -> Tensor:
        return _wide(self.head(vectors)).squeeze(-1)


@dataclass(frozen=True)
class Angle:
    """AnglE (arXiv 2309.12871): CoSENT's loss of cosines plus that of angles between vectors read as complex numbers.

    The published scales (cosine_tau = 20 and angle_tau = 1 in the notebooks of SeanLee97/AnglE) are the defaults. Its
    third part, other pairs of the batch as negatives, is left out: it needs more than a score for each pair. As a loss
    of cosines and labels, without vectors, it is CoSENT.
    """

    scale: float = 20.0
    angle_scale: float = 1.0
    angle_weight: float = 1.0

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Angled:  # noqa: ARG002
        """A matcher without weights."""
        if dimension % 2:
            raise UsageError(f"angle halves the vectors: an even dimension is needed, found {dimension}")
        return _Angled(self)

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        return ranking_loss(cosine, label, self.scale)


class _Angled(nn.Module):
    joint = False

    def __init__(self, method: Angle) -> None:
        super().__init__()
        self._method = method

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        angle_loss = ranking_loss(angles(vectors), label, self._method.angle_scale)
        return self._method(cosines(vectors), label) + self._method.angle_weight * angle_loss

    def score(self, vectors: Tensor) -> Tensor:
        return cosines(vectors)


def angles(vectors: Tensor) -> Tensor:
    """AnglE's similarity [N] of ``vectors`` [2, N, D], whose halves are real and imaginary parts.

    |Re + Im| of the sum over dimensions of z / w, with lengths divided out. The real part of that sum is the cosine.

    >>> u = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    >>> angles(torch.stack([u, u]))
    tensor([1.0000])
    """
    first, second = _wide(vectors)
    real_z, imaginary_z = first.chunk(2, dim=-1)
    real_w, imaginary_w = second.chunk(2, dim=-1)
    lengths: Tensor = (first.norm(dim=-1) * second.norm(dim=-1)).clamp(min=1e-8)
    imaginary: Tensor = (imaginary_z * real_w - real_z * imaginary_w).sum(dim=-1)
    similarity: Tensor = ((first * second).sum(dim=-1) + imaginary) / lengths
    return similarity.abs()


def _wide(values: Tensor) -> Tensor:
    """The values in float32 at least: half precision has only about a thousand different cosines."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def class_bounds(levels: Tensor, classes: str) -> Tensor:
    """Bounds between the classes: one half, or halfway between up to six evenly spaced grades.

    >>> class_bounds(torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), "grades")
    tensor([0.1000, 0.3000, 0.5000, 0.7000, 0.9000])
    """
    grades = min(len(levels), 6) if classes == "grades" else 2
    return (torch.arange(grades - 1, device=levels.device) + 0.5).to(torch.float32) / (grades - 1)


def classes_of(label: Tensor, cuts: Tensor) -> Tensor:
    """Class number of each label [N]: how many of the bounds ``cuts`` lie below it."""
    above: Tensor = label.to(cuts.dtype)[:, None] > cuts
    return above.sum(dim=1)


def odds_loss(cosine: Tensor, label: Tensor) -> Tensor:
    """Mean binary cross-entropy with ``cosine`` [N] as log odds: a classifier without its head."""
    check(cosine, label)
    terms = nn.functional.binary_cross_entropy_with_logits(cosine, label.to(cosine.dtype), reduction="none")
    return mean(terms)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights from the generator, initialised as Keras' Dense layers are."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
