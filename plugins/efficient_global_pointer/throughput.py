"""How fast a scorer trains and predicts with its encoder, measured in turns with a CRF on the same sentences."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from harness_plugins.efficient_global_pointer.corpus import Entity, Sentence
from harness_plugins.efficient_global_pointer.spans import SpanScorer
from harness_plugins.efficient_global_pointer.taggers import ChainTagger
from harness_plugins.efficient_global_pointer.training import halves, predict, read
from harness_plugins.encoders.encoder import encoder_of
from harness_plugins.encoders.optimise import Optimizer

if TYPE_CHECKING:
    from harness.running.run import Run

#: Characters of a sentence, from and to: about as many on average as CLUENER's 37.
LENGTHS = (25, 50)
#: Entities of a sentence, and characters of an entity at most.
ENTITIES, LONGEST = 2, 8
#: First of the ideographs that sentences are drawn from, and how many.
FIRST, IDEOGRAPHS = 0x4E00, 2000


def throughput(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """Sentences a second in training and prediction, and the ratio to a CRF's: the median over blocks taken in turns.

    Both have the same encoder and the same drawn sentences. On a CPU the time is the processor's, so that other work
    on the machine counts little; elsewhere it is the clock's, with the device waited for.
    """
    types = tuple(str(number) for number in range(run.options["kinds"]))
    size, blocks = run.options["batch_size"], run.options["blocks"]
    sentences = [_sentence(run.rng, types) for _ in range(size * run.options["block_batches"])]
    parts = [sentences[first : first + size] for first in range(0, len(sentences), size)]
    models = [_model(one, sentences, types, run) for one in (scorer, ChainTagger())]
    steppers = [Optimizer(list(m.parameters()), run.options, 1 + blocks * len(parts), run.device) for m in models]

    def train(which: int) -> None:
        encoder, head = halves(models[which])
        models[which].train()
        for part in parts:
            batch = read(part, encoder, types)
            steppers[which].step(head.loss(encoder(batch.tokens), batch.mask, batch.spans))

    def tell(which: int) -> None:
        predict(models[which], sentences, types, candidates=False)

    metrics: dict[str, float] = {}
    for number, (name, work) in enumerate((("train", train), ("predict", tell))):
        seconds = _in_turns(work, blocks, run, number)
        metrics[f"{name}_sentences_per_second"] = len(sentences) / statistics.median(seconds[0])
        metrics[f"{name}_over_crf"] = statistics.median(theirs / ours for ours, theirs in zip(*seconds, strict=True))
    return metrics


def _in_turns(work: Callable[[int], None], blocks: int, run: Run, number: int) -> tuple[list[float], list[float]]:
    """Seconds of each block of the scorer and of the CRF, after one block each that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for block in range(blocks + 1):
        # Who goes first changes, so that a drift of the machine favours neither.
        for which in (0, 1) if block % 2 else (1, 0):
            taken = _seconds(partial(work, which), run.device)
            if block:
                seconds[which].append(taken)
        run.progress(number * (blocks + 1) + block + 1, 2 * (blocks + 1))
    return seconds


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cpu":
        begin = time.process_time()
        work()
        return time.process_time() - begin
    torch.accelerator.synchronize()
    begin = time.perf_counter()
    work()
    torch.accelerator.synchronize()
    return time.perf_counter() - begin


def _model(scorer: SpanScorer, rows: list[Sentence], types: tuple[str, ...], run: Run) -> nn.ModuleList:
    weights = torch.Generator().manual_seed(run.seed)
    encoder: Any = encoder_of(run.options, [row.text for row in rows], weights)
    head: Any = scorer.fresh(encoder.dimension, len(types), weights)
    return nn.ModuleList([encoder, head]).to(run.device, run.dtype)


def _sentence(rng: np.random.Generator, types: tuple[str, ...]) -> Sentence:
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
