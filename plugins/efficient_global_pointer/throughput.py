"""The task ner/throughput: how fast a scorer trains and predicts with its encoder, over a CRF on the same sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness_plugins.efficient_global_pointer.corpus import Entity, Sentence
from harness_plugins.efficient_global_pointer.model import EntityModel, read_batch
from harness_plugins.efficient_global_pointer.prediction import predict
from harness_plugins.efficient_global_pointer.spans import SpanScorer
from harness_plugins.efficient_global_pointer.taggers import ChainTagger
from harness_plugins.efficient_global_pointer.turns import time_in_turns
from harness_plugins.encoders.encoder import encoder_of
from harness_plugins.encoders.optimise import Optimizer

if TYPE_CHECKING:
    from harness.running.run import Run

#: Characters of a sentence, from and to: on average about CLUENER's 37.
LENGTHS = (25, 50)
#: Entities of a sentence, and characters of an entity at most.
ENTITIES, LONGEST = 2, 8
#: The first ideograph that sentences are drawn from, and the number of ideographs.
FIRST, IDEOGRAPHS = 0x4E00, 2000


@dataclass(frozen=True)
class Learner:
    """A model with its optimizer."""

    model: EntityModel
    optimizer: Optimizer
    types: Sequence[str]

    def train(self, batches: Sequence[Sequence[Sentence]]) -> None:
        """One step on each batch."""
        self.model.train()
        for sentences in batches:
            self.optimizer.step(self.model.loss(read_batch(sentences, self.model.encoder, self.types)))

    def predict(self, sentences: Sequence[Sentence]) -> None:
        """Predict, and drop the entities."""
        predict(self.model, sentences, self.types)


def throughput(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """Sentences a second in training and prediction, and the speed over that of a CRF: medians over turns.

    Scorer and CRF have the same encoder and the same random sentences.
    """
    types = tuple(str(number) for number in range(run.options["kinds"]))
    size, turns = run.options["batch_size"], run.options["blocks"]
    sentences = [_sentence(run.rng, types) for _ in range(size * run.options["block_batches"])]
    batches = [sentences[first : first + size] for first in range(0, len(sentences), size)]
    learners = []
    for head in (scorer, ChainTagger()):
        model = _model(head, sentences, types, run)
        optimizer = Optimizer(list(model.parameters()), run.options, 1 + turns * len(batches), run.device)
        learners.append(Learner(model, optimizer, types))
    learner, rival = learners

    def progress(number: int, done: int, of: int) -> None:
        run.progress(number * of + done, 2 * of)

    train = partial(learner.train, batches), partial(rival.train, batches)
    seconds_of_training = time_in_turns(train, turns, run.device, partial(progress, 0))
    predictions = partial(learner.predict, sentences), partial(rival.predict, sentences)
    seconds_of_prediction = time_in_turns(predictions, turns, run.device, partial(progress, 1))
    return {
        "train_sentences_per_second": len(sentences) / seconds_of_training.median,
        "train_over_crf": seconds_of_training.speedup,
        "predict_sentences_per_second": len(sentences) / seconds_of_prediction.median,
        "predict_over_crf": seconds_of_prediction.speedup,
    }


def _model(scorer: SpanScorer, rows: Sequence[Sentence], types: Sequence[str], run: Run) -> EntityModel:
    generator = torch.Generator().manual_seed(run.seed)
    encoder: Any = encoder_of(run.options, [row.text for row in rows], generator)
    return EntityModel(encoder, scorer.fresh(encoder.dimension, len(types), generator)).to(run.device, run.dtype)


def _sentence(rng: np.random.Generator, types: Sequence[str]) -> Sentence:
    """Random ideographs with entities that do not overlap."""
    length = int(rng.integers(*LENGTHS, endpoint=True))
    text = "".join(map(chr, FIRST + rng.integers(IDEOGRAPHS, size=length)))
    room = length // ENTITIES
    entities = []
    for number in range(ENTITIES):
        start = number * room + int(rng.integers(room))
        end = min(start + int(rng.integers(LONGEST)), (number + 1) * room - 1)
        entities.append(Entity(start, end, str(rng.choice(types))))
    return Sentence(text, tuple(entities))
