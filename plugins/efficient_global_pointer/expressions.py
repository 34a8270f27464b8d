"""The task ner/expressions: a random corpus of arithmetic expressions whose parts nest, with exact labels.

Drawn anew for each seed. An entity is a part of an expression with more than one token: a ``sum`` or ``product`` of
all its operands, a ``group`` with its brackets, a ``call`` with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness_plugins.efficient_global_pointer.corpus import Corpus, Entity, Sentence
from harness_plugins.efficient_global_pointer.entity_types import EXPRESSION_TYPES
from harness_plugins.efficient_global_pointer.training import train_and_score

if TYPE_CHECKING:
    from harness.running.run import Run
    from harness_plugins.efficient_global_pointer.spans import SpanScorer

#: Most levels of brackets.
DEPTH = 2
#: Most characters of an expression. Longer ones, and those without parts, are drawn again.
LONGEST = 100

_FUNCTIONS = ("max", "min", "mean")
_NAMES = ("x", "y", "z", "rate", "cost")


def on_expressions(scorer: SpanScorer, run: Run) -> dict[str, float]:
    """Train and score on expressions drawn from ``run.rng``."""
    sizes = (run.options["expressions"], run.options["expressions"] // 4, run.options["expressions"] // 2)
    train, valid, test = (tuple(expression(run.rng) for _ in range(size)) for size in sizes)
    return train_and_score(scorer, run, Corpus(train, valid, test, EXPRESSION_TYPES), nested=True)


def expression(rng: np.random.Generator) -> Sentence:
    """A random expression with its parts.

    >>> row = expression(np.random.default_rng(2))
    >>> [(row.text[e.start : e.end + 1], e.type) for e in row.entities]
    [('30+(60-cost*88)-66', 'sum'), ('(60-cost*88)', 'group'), ('60-cost*88', 'sum'), ('cost*88', 'product')]
    """
    text, entities = _sum(rng, DEPTH)
    while not entities or len(text) > LONGEST:
        text, entities = _sum(rng, DEPTH)
    return Sentence(text, tuple(sorted(entities, key=lambda e: (e.start, -e.end, e.type))))


#: A piece of text and its entities, with offsets from the begin of the piece.
_Part = tuple[str, list[Entity]]


def _sum(rng: np.random.Generator, depth: int) -> _Part:
    count = int(rng.choice([1, 2, 2, 3]))
    return _joined(rng, [_product(rng, depth) for _ in range(count)], "+-", "sum")


def _product(rng: np.random.Generator, depth: int) -> _Part:
    count = int(rng.choice([1, 1, 1, 2, 2, 3]))
    return _joined(rng, [_factor(rng, depth) for _ in range(count)], "*/", "product")


def _factor(rng: np.random.Generator, depth: int) -> _Part:
    kind = rng.integers(0, 8) if depth else rng.integers(0, 6)
    if kind < 3:
        return str(rng.integers(1, 100)), []
    if kind < 6:
        return str(rng.choice(_NAMES)), []
    if kind == 6:
        text, entities = _bracketed("", [_sum(rng, depth - 1)])
        return text, [*entities, Entity(0, len(text) - 1, "group")]
    name = str(rng.choice(_FUNCTIONS))
    text, entities = _bracketed(name, [_sum(rng, depth - 1) for _ in range(int(rng.integers(1, 3)))])
    return text, [*entities, Entity(0, len(text) - 1, "call")]


def _bracketed(name: str, parts: list[_Part]) -> _Part:
    return _concatenate([(f"{name}(", []), *_interleave(parts, ","), (")", [])])


def _joined(rng: np.random.Generator, parts: list[_Part], signs: str, type_: str) -> _Part:
    if len(parts) == 1:
        return parts[0]
    pieces = parts[:1]
    for part in parts[1:]:
        pieces += [(str(rng.choice(list(signs))), []), part]
    text, entities = _concatenate(pieces)
    return text, [*entities, Entity(0, len(text) - 1, type_)]


def _interleave(parts: list[_Part], separator: str) -> list[_Part]:
    return [piece for part in parts for piece in ((separator, []), part)][1:]


def _concatenate(parts: list[_Part]) -> _Part:
    """The parts one after another, with the offsets of their entities shifted."""
    text, entities = "", []
    for part_text, part_entities in parts:
        entities += [Entity(e.start + len(text), e.end + len(text), e.type) for e in part_entities]
        text += part_text
    return text, entities
