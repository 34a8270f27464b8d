"""Readers of labelled corpora, one for each format, from bytes to sentences with character offsets.

Every reader takes the file's content and a name for messages. A line that is not what it should be raises DatasetError
with the name, the line's number, what was found and what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from harness.errors import DatasetError
from harness_plugins.efficient_global_pointer.corpus import Entity, Sentence

#: A line's number, from 1, and its columns.
Row = tuple[int, list[str]]


def read_json_lines(content: bytes, name: str, types: Collection[str]) -> tuple[Sentence, ...]:
    """CLUENER's format: an object a line, {"text": ..., "label": {TYPE: {MENTION: [[first, last], ...]}}}.

    Offsets count characters, the last one included; each mention must be what stands there.
    """
    sentences = []
    for number, line in _lines(content, name):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
        sentences.append(_json_sentence(row, where, types))
    return _filled(sentences, name)


def read_bmes(content: bytes, name: str, types: Collection[str]) -> tuple[Sentence, ...]:
    """A character and its tag a line, a blank line after each sentence; tags B-, M-, E-, S-TYPE and O.

    An entity is B, any number of M, E of one type, or a single S. The text is the characters one after the other. An
    entity that a blank line cuts in two (the published train split has two) is none in either sentence.
    """
    sentences = []
    # The line and type of an entity that the last sentence ended in.
    cut: tuple[int, str] | None = None
    for rows in _blocks(content, name, columns=2, separator=" "):
        entities: list[Entity] = []
        begun: tuple[int, str] | None = None if cut is None else (-1, cut[1])
        for place, (number, (character, tag)) in enumerate(rows):
            where = f"{name}, line {number}"
            if len(character) != 1:
                raise DatasetError(f"{where}: found {character!r} in column 1, a single character is needed")
            kind, type_ = _tag(tag, where, "BMES", types)
            if begun is not None and (kind not in "ME" or type_ != begun[1]):
                raise DatasetError(f"{where}: found {tag} where M-{begun[1]} or E-{begun[1]} must follow")
            if begun is None and kind in "ME":
                raise DatasetError(
                    f"{where}: found {tag} where no {type_} has begun; B-{type_}, S-{type_} or O can stand"
                )
            if kind == "B":
                begun = (place, type_)
            elif kind == "S":
                entities.append(Entity(place, place, type_))
            elif kind == "E" and begun is not None:
                if begun[0] >= 0:
                    entities.append(Entity(begun[0], place, type_))
                begun = None
        cut = None if begun is None else (rows[-1][0], begun[1])
        sentences.append(Sentence("".join(row[1][0] for row in rows), tuple(entities)))
    if cut is not None:
        raise DatasetError(f"{name}, line {cut[0]}: the file ends inside of {cut[1]}, E-{cut[1]} is needed")
    return _filled(sentences, name)


def read_columns(content: bytes, name: str, types: Collection[str], layers: int = 1) -> tuple[Sentence, ...]:
    """A word and its tags a line, tab-separated, a blank line after each sentence; ``layers`` columns of IOB2 tags.

    B-TYPE begins an entity and I-TYPE goes on; each layer is a tagging of its own, so that entities of two layers
    may nest. The text is the words with one space between.
    """
    sentences = []
    for rows in _blocks(content, name, columns=1 + layers, separator="\t"):
        starts, at = [], 0
        for number, (word, *_) in rows:
            if not word or word.strip() != word:
                raise DatasetError(
                    f"{name}, line {number}: found {word!r} in column 1, a word without blanks around is needed"
                )
            starts.append(at)
            at += len(word) + 1
        found: list[Entity] = []
        for layer in range(1, layers + 1):
            open_ = False
            for place, (number, columns) in enumerate(rows):
                kind, type_ = _tag(columns[layer], f"{name}, line {number}", "BI", types)
                end = starts[place] + len(columns[0]) - 1
                if kind == "I":
                    if not open_ or found[-1].type != type_:
                        raise DatasetError(
                            f"{name}, line {number}: found I-{type_} in column {layer + 1} where no {type_} has begun; "
                            f"B-{type_} or O can stand"
                        )
                    found[-1] = found[-1]._replace(end=end)
                elif kind == "B":
                    found.append(Entity(starts[place], end, type_))
                open_ = kind != "O"
        text = " ".join(row[1][0] for row in rows)
        sentences.append(Sentence(text, tuple(sorted(set(found)))))
    return _filled(sentences, name)


def _json_sentence(row: Any, where: str, types: Collection[str]) -> Sentence:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise DatasetError(f'{where}: an object with "text" is needed')
    if not isinstance(row.get("label"), dict):
        raise DatasetError(f'{where}: "label" is missing; a test split without labels cannot be read as one with them')
    text = row["text"]
    entities = set()
    for type_, mentions in row["label"].items():
        if type_ not in types:
            raise DatasetError(f"{where}: found type {type_!r}, {', '.join(types)} are allowed")
        if not isinstance(mentions, dict):
            raise DatasetError(f"{where}: found {mentions!r} for type {type_}, an object of mentions is needed")
        for mention, places in mentions.items():
            for place in places if isinstance(places, list) else [places]:
                if not (isinstance(place, list) and len(place) == 2 and all(type(p) is int for p in place)):
                    raise DatasetError(f"{where}: found {place!r} as offsets of {mention!r}, [first, last] is needed")
                first, last = place
                if not 0 <= first <= last < len(text):
                    raise DatasetError(
                        f"{where}: {mention!r} is said to be at {first} to {last} of {len(text)} characters"
                    )
                if text[first : last + 1] != mention:
                    found = text[first : last + 1]
                    raise DatasetError(
                        f"{where}: {mention!r} is said to be at {first} to {last}, found {found!r} there"
                    )
                entities.add(Entity(first, last, type_))
    return Sentence(text, tuple(sorted(entities)))


def _tag(tag: str, where: str, kinds: str, types: Collection[str]) -> tuple[str, str]:
    """A tag's letter and type; the type of O is empty."""
    if tag == "O":
        return "O", ""
    kind, dash, type_ = tag.partition("-")
    if not dash or len(kind) != 1 or kind not in kinds:
        raise DatasetError(
            f"{where}: found tag {tag!r}, O or one of {', '.join(kinds)} with a dash and a type is needed"
        )
    if type_ not in types:
        raise DatasetError(f"{where}: found type {type_!r}, {', '.join(types)} are allowed")
    return kind, type_


def _lines(content: bytes, name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines. Only a line feed ends one: words may hold other characters that Python takes for one."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{name}, line {number}: byte {error.start + 1} is {line[error.start]:#04x}, which is not UTF-8"
            ) from None
        if text.startswith("\ufeff"):
            raise DatasetError(f"{name}, line {number}: begins with a byte order mark; UTF-8 without one is needed")
        yield number, text.removesuffix("\r")


def _blocks(content: bytes, name: str, columns: int, separator: str) -> Iterator[Sequence[Row]]:
    """Sentences as numbered rows of so many columns, split at lines that are blank."""
    block: list[Row] = []
    for number, line in _lines(content, name):
        if not line.strip():
            if block:
                yield block
            block = []
            continue
        cells = line.split(separator)
        if len(cells) != columns:
            raise DatasetError(f"{name}, line {number}: found {len(cells)} columns, {columns} are needed")
        block.append((number, cells))
    if block:
        yield block


def _filled(sentences: list[Sentence], name: str) -> tuple[Sentence, ...]:
    if not sentences:
        raise DatasetError(f"{name}: no sentence in it")
    return tuple(sentences)
