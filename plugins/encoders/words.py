"""Words and their pieces: how the encoders that are trained from scratch read a text.

A token is a run of letters and digits, one ideograph, kana or hangul syllable, or one other character that is
no blank. It is read by its pieces: itself, its character 3-grams with its ends marked, and its shape, as fastText
reads words (arXiv 1607.04606, section 3.2). So a word that was never seen still has a meaning if its parts have.
Letters are lower-cased in all pieces but the shape, which tells capitals and digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

#: Numbers of the special pieces: none, a word of which no piece is known, and what stands between two texts.
NONE, UNKNOWN, SEPARATOR = range(3)
_SPECIAL = 3
#: Characters of a very long word that its 3-grams are taken from.
READ_CHARACTERS = 32

# Scripts that do without blanks: one token each.
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_SINGLE}]|[^\W{_SINGLE}]+|[^\w\s]|_")


def split(text: str) -> list[tuple[int, int]]:
    """Where the tokens of ``text`` begin and end, in characters, end exclusive.

    >>> text = "Don't 打开App2!"
    >>> [text[start:end] for start, end in split(text)]
    ['Don', "'", 't', '打', '开', 'App2', '!']
    """
    return [match.span() for match in _TOKEN.finditer(text)]


def pieces(word: str) -> list[str]:
    """The pieces of a token, itself first.

    >>> pieces("Cats")
    ['<cats>', '<ca', 'cat', 'ats', 'ts>', 'Aa']
    >>> pieces("我")
    ['<我>']
    """
    marked = f"<{word.lower()}>"
    found = [marked]
    read = marked[: READ_CHARACTERS + 1]
    if len(marked) > 3:
        found += [read[start : start + 3] for start in range(len(read) - 2)]
    if (shape := _shape(word)) not in ("a", "x"):
        found.append(shape)
    return found


def _shape(word: str) -> str:
    """Capitals, small letters and digits in their order, each run once; x for anything else."""
    kinds = ["A" if c.isupper() else "0" if c.isdigit() else "a" if c.islower() else "x" for c in word]
    return "".join(kind for kind, _ in groupby(kinds))


class Vocabulary:
    """The numbers of the ``size`` most frequent pieces of ``texts``; ties go to the lesser piece."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts: Counter[str] = Counter()
        words: Counter[str] = Counter()
        for text in texts:
            words.update(text[start:end] for start, end in split(text))
        for word, count in words.items():
            for piece in pieces(word):
                counts[piece] += count
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))[:size]
        self._numbers = {piece: number for number, piece in enumerate(ranked, start=_SPECIAL)}
        self._words: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._numbers) + _SPECIAL

    def numbers(self, word: str) -> tuple[int, ...]:
        """The numbers of a token's known pieces; ``(UNKNOWN,)`` where none is known."""
        found = self._words.get(word)
        if found is None:
            known = tuple(self._numbers[piece] for piece in pieces(word) if piece in self._numbers)
            found = self._words[word] = known or (UNKNOWN,)
        return found

    def number(self, word: str) -> int:
        """The number of the token as a whole, or UNKNOWN."""
        return self._numbers.get(f"<{word.lower()}>", UNKNOWN)
