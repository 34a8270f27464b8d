"""A model of sentence pairs: an encoder, pooling, and the matcher on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness_plugins.cosent.matchers import matcher_of
from harness_plugins.cosent.readers import Pairs
from harness_plugins.encoders.encoder import encoder_of, make_encoder
from harness_plugins.encoders.scratch import Architecture
from harness_plugins.encoders.tokens import pool

if TYPE_CHECKING:
    from harness.running.run import Run

#: Pairs that are scored at once.
SCORED = 128

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingData:
    """What a model learns from, and what chooses its best epoch."""

    train: Pairs
    #: The greatest label of the set.
    highest: float
    #: The epoch with the best mean over these parts is chosen.
    valid: Sequence[Pairs]
    #: Batches of an epoch; 0 for one pass over ``train``.
    epoch_steps: int = 0

    def labels(self) -> Tensor:
        """Labels of ``train`` from 0 to 1, float32 [N]."""
        return torch.tensor(self.train.labels / self.highest, dtype=torch.float32)


@dataclass
class Model:
    """An encoder, the pooling of its hidden states, and a matcher."""

    encoder: Any
    matcher: Any
    pooling: str
    #: "one" hides from the encoder which text of a joint input a token belongs to, as the article's code does.
    segments: str
    #: Whether the method trains at all.
    trains: bool

    def vectors(self, pairs: Pairs) -> Tensor:
        """One vector for each text [2, N, D]; with a matcher of joint inputs, one for each pair [N, D]."""
        if self.matcher.joint:
            tokens = self.encoder.tokens(pairs.first, pairs.second)
            if self.segments == "one":
                tokens = replace(tokens, segments=torch.zeros_like(tokens.segments))
            return pool(self.encoder(tokens), tokens.mask, self.pooling)
        tokens = self.encoder.tokens([*pairs.first, *pairs.second])
        pooled = pool(self.encoder(tokens), tokens.mask, self.pooling)
        return pooled.view(2, len(pairs), -1)

    @torch.no_grad()
    def scores(self, pairs: Pairs) -> Numbers:
        """Similarity of the texts of each pair [N]. Raises FloatingPointError for a score that is not finite."""
        self.encoder.eval()
        order = np.argsort(pairs.lengths(), kind="stable")
        scores = np.empty(len(pairs))
        for rows in np.split(order, range(SCORED, len(order), SCORED)):
            scores[rows] = self.matcher.score(self.vectors(pairs.take(rows))).double().cpu().numpy()
        self.encoder.train()
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise FloatingPointError(f"the score of pair {row} of {len(scores)} is {scores[row]}")
        return scores

    def parameters(self) -> list[nn.Parameter]:
        """All trained parameters."""
        return [*self.encoder.parameters(), *self.matcher.parameters()]

    def weights(self) -> list[Tensor]:
        """A copy of all parameters."""
        return [parameter.detach().clone() for parameter in self.parameters()]

    @torch.no_grad()
    def restore(self, weights: list[Tensor]) -> None:
        """Set all parameters to a copy made by ``weights``."""
        for parameter, weight in zip(self.parameters(), weights, strict=True):
            parameter.copy_(weight)


def make_model(method: Any, run: Run, data: TrainingData, model: str = "") -> Model:
    """Make the encoder that the run's options name, or the data set ``model`` that is one, and the method's matcher."""
    options, train = run.options, data.train
    levels = torch.tensor(np.unique(train.labels) / data.highest, dtype=torch.float32)
    texts = [*train.first, *train.second]
    if model:
        architecture = Architecture(max_length=options["max_length"])
        encoder = make_encoder(f"hf:{run.data(model)['folder']}", texts, run.generator, architecture)
    else:
        encoder = encoder_of(options, texts, run.generator)
    encoder = encoder.to(run.device, run.dtype)
    head_generator = torch.Generator().manual_seed(run.seed ^ 1)
    matcher = matcher_of(method, encoder.dimension, levels, head_generator).to(run.device, run.dtype)
    return Model(encoder, matcher, options["pooling"], options["segments"], getattr(method, "trains", True))
