"""Words and their pieces: how the encoders that are trained from scratch read a text.

A token is a run of letters and digits, one ideograph, kana or hangul syllable, or any other character that is not
blank. Its pieces are the token itself, its character 3-grams with the token's ends marked, and its shape, as in
fastText (arXiv 1607.04606, section 3.2). An unseen word thus has a meaning if its pieces have one. All pieces but the
shape are in lower case; the shape distinguishes capitals, small letters and digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

#: Numbers of the special pieces: padding, a word without known pieces, and the separator of two texts.
NONE, UNKNOWN, SEPARATOR = range(3)
_SPECIAL = 3
#: Longest prefix of a word that its 3-grams are taken from, in characters.
READ_CHARACTERS = 32

# Scripts without blanks: each character is a token.
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_SINGLE}]|[^\W{_SINGLE}]+|[^\w\s]|_")


def split(text: str) -> list[tuple[int, int]]:
    """Where each token of ``text`` begins and ends, in characters, the end exclusive.

    >>> text = "Don't 打开App2!"
    >>> [text[start:end] for start, end in split(text)]
    ['Don', "'", 't', '打', '开', 'App2', '!']
    """
    return [match.span() for match in _TOKEN.finditer(text)]


def pieces(word: str) -> list[str]:
    """The pieces of a token; the token itself comes first.

    >>> pieces("Cats")
    ['<cats>', '<ca', 'cat', 'ats', 'ts>', 'Aa']
    >>> pieces("我")
    ['<我>']
    """
    marked = f"<{word.lower()}>"
    parts = [marked]
    if len(marked) > 3:
        prefix = marked[: READ_CHARACTERS + 1]
        parts += [prefix[start : start + 3] for start in range(len(prefix) - 2)]
    if (shape := _shape(word)) not in ("a", "x"):
        parts.append(shape)
    return parts


def _shape(word: str) -> str:
    """A for capitals, a for small letters, 0 for digits, x for anything else; each run once."""
    kinds = ["A" if c.isupper() else "0" if c.isdigit() else "a" if c.islower() else "x" for c in word]
    return "".join(kind for kind, _ in groupby(kinds))


class Vocabulary:
    """Numbers for the ``size`` most frequent pieces of ``texts``; of equally frequent ones the lesser comes first."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        word_counts: Counter[str] = Counter()
        for text in texts:
            word_counts.update(text[start:end] for start, end in split(text))
        piece_counts: Counter[str] = Counter()
        for word, count in word_counts.items():
            for piece in pieces(word):
                piece_counts[piece] += count
        ranked = sorted(piece_counts, key=lambda piece: (-piece_counts[piece], piece))[:size]
        self._numbers = {piece: number for number, piece in enumerate(ranked, start=_SPECIAL)}
        self._cache: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._numbers) + _SPECIAL

    def numbers(self, word: str) -> tuple[int, ...]:
        """The numbers of a token's known pieces; ``(UNKNOWN,)`` if it has none."""
        numbers = self._cache.get(word)
        if numbers is None:
            known = tuple(self._numbers[piece] for piece in pieces(word) if piece in self._numbers)
            numbers = self._cache[word] = known or (UNKNOWN,)
        return numbers

    def number(self, word: str) -> int:
        """The number of the whole token, or UNKNOWN."""
        return self._numbers.get(f"<{word.lower()}>", UNKNOWN)
