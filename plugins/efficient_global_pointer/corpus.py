"""What a labelled corpus is: texts with entities by character offsets, in three splits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: Seed of the rows that are held out for validation if a corpus has no split for it.
SPLIT_SEED = 20220125


class Entity(NamedTuple):
    """A span of a text by its first and last character, the last included."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Sentence:
    """A text and its entities in order of their offsets; they may overlap."""

    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class Corpus(Mapping[str, tuple[Sentence, ...]]):
    """A corpus in three splits, and its types of entities. ``valid`` chooses the best epoch and threshold.

    >>> sentences = (Sentence("Ada", (Entity(0, 2, "person"),)),)
    >>> len(Corpus(train=sentences, valid=sentences, test=sentences, types=("person",))["test"])
    1
    """

    train: tuple[Sentence, ...]
    valid: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    types: tuple[str, ...]

    def __getitem__(self, split: str) -> tuple[Sentence, ...]:
        if split not in self:
            raise KeyError(split)
        sentences: tuple[Sentence, ...] = getattr(self, split)
        return sentences

    def __iter__(self) -> Iterator[str]:
        return iter(("train", "valid", "test"))

    def __contains__(self, split: object) -> bool:
        return split in tuple(self)

    def __len__(self) -> int:
        return 3


def hold_out(rows: tuple[Sentence, ...], share: float = 0.1) -> tuple[tuple[Sentence, ...], tuple[Sentence, ...]]:
    """Split off a fixed random ``share`` of the rows (rounded up): the other rows, and those held out.

    >>> rest, held_out = hold_out(tuple(Sentence(str(n), ()) for n in range(20)))
    >>> len(rest), len(held_out)
    (18, 2)
    """
    count = int(np.ceil(share * len(rows)))
    chosen = set(np.random.default_rng(SPLIT_SEED).permutation(len(rows))[:count].tolist())
    rest = tuple(row for number, row in enumerate(rows) if number not in chosen)
    return rest, tuple(rows[number] for number in sorted(chosen))


def nested(entities: Collection[Entity]) -> set[Entity]:
    """The entities that lie inside another one or contain one; two with equal offsets do both.

    >>> sorted(e.type for e in nested([Entity(0, 5, "a"), Entity(2, 3, "b"), Entity(5, 7, "c")]))
    ['a', 'b']
    """
    result: set[Entity] = set()
    for inner in entities:
        for outer in entities:
            if inner != outer and outer.start <= inner.start and inner.end <= outer.end:
                result |= {inner, outer}
    return result
