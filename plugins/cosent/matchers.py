"""What is trained beside the encoder: how two texts get a score, and what is made small.

A loss of cosines needs nothing more than ``CosineMatcher``. Methods that are no function of cosines and labels
(a classifier on both vectors, a model that reads both texts at once, a loss of angles) bring a matcher of their own
(docs/roles.md, pair-ranking-loss).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from harness.errors import UsageError
from harness_plugins.cosent.losses import GREATEST_SCORE, check, mean
from harness_plugins.cosent.ranking import ranking_loss

#: A loss of cosines [N] and labels [N].
PairLoss = Callable[[Tensor, Tensor], Tensor]


class Matcher(Protocol):
    """A head and its loss, an ``nn.Module``. ``vectors`` are the pooled hidden states of the inputs.

    Each text is an input of its own, ``vectors`` [2, N, D]; with ``joint`` both texts of a pair are one, [N, D].
    """

    joint: bool

    def loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        """A scalar, for labels [N] from 0 to 1."""

    def score(self, vectors: Tensor) -> Tensor:
        """How alike the texts of each pair are [N]; only the order counts."""

    def parameters(self) -> Any:
        """Its weights."""


def matcher_of(method: Any, dimension: int, levels: Tensor, generator: torch.Generator) -> Any:
    """The matcher that a built method of the role asks for, or that of cosines.

    ``levels`` are the labels that there are, in their order, from 0 to 1; ``generator`` is for the head's weights.
    """
    if hasattr(method, "matcher"):
        return method.matcher(dimension, levels, generator)
    return CosineMatcher(method)


class CosineMatcher(nn.Module):
    """Cosines, and any loss of them."""

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
    """A softmax classifier on both vectors, trained by cross-entropy and dropped afterwards: cosines are the scores.

    Sentence-BERT (arXiv 1908.10084, section 3). ``classes``: with ``two`` labels above one half are one class and the
    others the other, as in the code of the article on CoSENT (bojone/CoSENT, sbert.py, where grades above 2.5 of 5
    are positive); with ``grades`` each of up to six rounded grades is one. Without vectors, as a loss of cosines and
    labels, it is cross-entropy with the cosine as log odds.
    """

    features: str = "[u, v, |u-v|]"
    classes: str = "two"

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Classified:
        """The head with ``dimension`` inputs for each part of its features."""
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
        apart = (first - second).abs()
        parts = {
            "[u, v, |u-v|]": (first, second, apart),
            "[u, v]": (first, second),
            "[|u-v|]": (apart,),
        }[self._features]
        return cross_entropy(_wide(self.head(torch.cat(parts, dim=-1))), classes_of(label, self.cuts))

    def score(self, vectors: Tensor) -> Tensor:
        return cosines(vectors)


@dataclass(frozen=True)
class Interaction:
    """Both texts in one input, and a softmax classifier on what the encoder makes of it, by cross-entropy.

    The score is the expected class, which orders two classes as their log odds do. As a loss of scores and labels,
    where there is no joint input, it is binary cross-entropy with the score as log odds.
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
            # Not the probability: beyond log odds of 17 float32 rounds it to 1 and all order is lost.
            return logits[:, 1] - logits[:, 0]
        return logits.softmax(dim=1) @ torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)


@dataclass(frozen=True)
class InteractionCosent:
    """Both texts in one input, one number from it, and CoSENT's loss of these numbers without its factor.

    kexue.fm/archives/9341: any score may stand where the cosine stood.
    """

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Scored:  # noqa: ARG002
        """A head for joint inputs with one output."""
        return _Scored(_linear(dimension, 1, generator))

    def __call__(self, cosine: Tensor, label: Tensor) -> Tensor:
        most = min(GREATEST_SCORE, torch.finfo(cosine.dtype).max)
        return ranking_loss(cosine.clamp(-most, most), label, 1.0)


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
    """AnglE (arXiv 2309.12871): CoSENT's loss of cosines and of angles between halves read as complex numbers.

    Its published scales (cosine_tau = 20 and angle_tau = 1 in the notebooks of SeanLee97/AnglE) are the defaults.
    Without its third part, other pairs of the batch as negatives, which needs more than a score for each pair.
    Without vectors, as a loss of cosines and labels, it is CoSENT's.
    """

    scale: float = 20.0
    angle_scale: float = 1.0
    angle_weight: float = 1.0

    def matcher(self, dimension: int, levels: Tensor, generator: torch.Generator) -> _Angled:  # noqa: ARG002
        """No head: the angles are the encoder's own."""
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
        by_angle = ranking_loss(angles(vectors), label, self._method.angle_scale)
        return self._method(cosines(vectors), label) + self._method.angle_weight * by_angle

    def score(self, vectors: Tensor) -> Tensor:
        return cosines(vectors)


def angles(vectors: Tensor) -> Tensor:
    """AnglE's likeness [N] of ``vectors`` [2, N, D], whose halves are real and imaginary parts.

    |Re + Im| of the sum over dimensions of z / w, with lengths divided out. As the real part of that sum is the
    cosine, it is |cosine + the imaginary part|.

    >>> u = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    >>> angles(torch.stack([u, u]))
    tensor([1.0000])
    """
    first, second = _wide(vectors)
    real_z, imaginary_z = first.chunk(2, dim=-1)
    real_w, imaginary_w = second.chunk(2, dim=-1)
    lengths: Tensor = (first.norm(dim=-1) * second.norm(dim=-1)).clamp(min=1e-8)
    turned: Tensor = (imaginary_z * real_w - real_z * imaginary_w).sum(dim=-1)
    likeness: Tensor = ((first * second).sum(dim=-1) + turned) / lengths
    return likeness.abs()


def _wide(values: Tensor) -> Tensor:
    """In float32 at least: half precision has but a thousand different cosines."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def class_bounds(levels: Tensor, classes: str) -> Tensor:
    """Labels that part the classes: one half, or halfway between up to six even grades.

    >>> class_bounds(torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), "grades")
    tensor([0.1000, 0.3000, 0.5000, 0.7000, 0.9000])
    """
    grades = min(len(levels), 6) if classes == "grades" else 2
    return (torch.arange(grades - 1, device=levels.device) + 0.5).to(torch.float32) / (grades - 1)


def classes_of(label: Tensor, cuts: Tensor) -> Tensor:
    """Class numbers [N] of labels [N]: how many of the bounds lie below each."""
    above: Tensor = label.to(cuts.dtype)[:, None] > cuts
    return above.sum(dim=1)


def odds_loss(cosine: Tensor, label: Tensor) -> Tensor:
    """Mean binary cross-entropy with ``cosine`` [N] as log odds: what is left of a classifier without its head."""
    check(cosine, label)
    terms = nn.functional.binary_cross_entropy_with_logits(cosine, label.to(cosine.dtype), reduction="none")
    return mean(terms)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer whose weights are the generator's, with the spread that Keras' Dense layers start with."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
