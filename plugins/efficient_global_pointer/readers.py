"""Readers of labelled corpora, one for each format, from bytes to sentences with character offsets.

Every reader takes the file's content and its name for messages. A bad line raises DatasetError with the name, the
line's number, what was found and what is needed.
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

    Offsets count characters, the last one included; the text there must be the mention.
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
    return _not_empty(sentences, name)


def _json_sentence(row: Any, where: str, types: Collection[str]) -> Sentence:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise DatasetError(f'{where}: an object with "text" is needed')
    if not isinstance(row.get("label"), dict):
        raise DatasetError(f'{where}: "label" is missing; is this a test split without labels?')
    entities = set()
    for type_, mentions in row["label"].items():
        if type_ not in types:
            raise DatasetError(f"{where}: found type {type_!r}, {', '.join(types)} are allowed")
        if not isinstance(mentions, dict):
            raise DatasetError(f"{where}: found {mentions!r} for type {type_}, an object of mentions is needed")
        for mention, places in mentions.items():
            for offsets in places if isinstance(places, list) else [places]:
                first, last = _offsets(offsets, mention, row["text"], where)
                entities.add(Entity(first, last, type_))
    return Sentence(row["text"], tuple(sorted(entities)))


def _offsets(offsets: Any, mention: str, text: str, where: str) -> tuple[int, int]:
    """First and last character of a mention, which must stand there in the text."""
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)):
        raise DatasetError(f"{where}: found {offsets!r} as offsets of {mention!r}, [first, last] is needed")
    first, last = offsets
    if not 0 <= first <= last < len(text):
        raise DatasetError(f"{where}: {mention!r} has offsets {first} to {last} in a text of {len(text)} characters")
    if text[first : last + 1] != mention:
        raise DatasetError(
            f"{where}: {mention!r} has offsets {first} to {last}, found {text[first : last + 1]!r} there"
        )
    return first, last


def read_bmes(content: bytes, name: str, types: Collection[str]) -> tuple[Sentence, ...]:
    """A character and its tag a line, a blank line after each sentence; tags B-, M-, E-, S-TYPE and O.

    An entity is a B, any number of Ms and an E of one type, or a single S. The text is the characters joined. An entity
    that a blank line cuts in two (the published train split has two) belongs to neither sentence.
    """
    sentences = []
    cut, last_line = "", 0
    for rows in _blocks(content, name, columns=2, separator=" "):
        entities, cut = _bmes_entities(rows, name, types, cut)
        last_line = rows[-1][0]
        sentences.append(Sentence("".join(row[1][0] for row in rows), tuple(entities)))
    if cut:
        raise DatasetError(f"{name}, line {last_line}: the file ends inside {cut}, E-{cut} is needed")
    return _not_empty(sentences, name)


def _bmes_entities(rows: Sequence[Row], name: str, types: Collection[str], cut: str) -> tuple[list[Entity], str]:
    """The entities of a sentence, and the type of one that its end cuts, or "".

    ``cut`` is the type of the entity that the end of the last sentence cut.
    """
    entities: list[Entity] = []
    open_type, start = cut, -1
    for place, (number, (character, tag)) in enumerate(rows):
        where = f"{name}, line {number}"
        if len(character) != 1:
            raise DatasetError(f"{where}: found {character!r} in column 1, a single character is needed")
        kind, type_ = _tag(tag, where, "BMES", types)
        if open_type and (kind not in "ME" or type_ != open_type):
            raise DatasetError(f"{where}: found {tag} where M-{open_type} or E-{open_type} must follow")
        if not open_type and kind in "ME":
            raise DatasetError(f"{where}: found {tag} outside {type_}; B-{type_}, S-{type_} or O is needed")
        if kind == "B":
            open_type, start = type_, place
        elif kind == "S":
            entities.append(Entity(place, place, type_))
        elif kind == "E":
            if start >= 0:
                entities.append(Entity(start, place, type_))
            open_type, start = "", -1
    return entities, open_type


def read_columns(content: bytes, name: str, types: Collection[str], layers: int = 1) -> tuple[Sentence, ...]:
    """A word and its tags a line, tab-separated, a blank line after each sentence; ``layers`` columns of IOB2 tags.

    B-TYPE begins an entity and I-TYPE continues it. Each layer is tagged on its own, so entities of two layers may
    nest. The text is the words with one space between.
    """
    sentences = []
    for rows in _blocks(content, name, columns=1 + layers, separator="\t"):
        starts = _word_starts(rows, name)
        entities = {
            entity for layer in range(1, layers + 1) for entity in _iob_entities(rows, starts, layer, name, types)
        }
        sentences.append(Sentence(" ".join(row[1][0] for row in rows), tuple(sorted(entities))))
    return _not_empty(sentences, name)


def _word_starts(rows: Sequence[Row], name: str) -> list[int]:
    """The offset of each word's first character in the text."""
    starts, offset = [], 0
    for number, (word, *_) in rows:
        if not word or word.strip() != word:
            raise DatasetError(
                f"{name}, line {number}: found {word!r} in column 1, a word without blanks around it is needed"
            )
        starts.append(offset)
        offset += len(word) + 1
    return starts


def _iob_entities(
    rows: Sequence[Row], starts: Sequence[int], layer: int, name: str, types: Collection[str]
) -> list[Entity]:
    """The entities that the tags of one layer spell."""
    entities: list[Entity] = []
    inside = False
    for start, (number, columns) in zip(starts, rows, strict=True):
        where = f"{name}, line {number}"
        kind, type_ = _tag(columns[layer], where, "BI", types)
        end = start + len(columns[0]) - 1
        if kind == "B":
            entities.append(Entity(start, end, type_))
        elif kind == "I":
            if not inside or entities[-1].type != type_:
                raise DatasetError(
                    f"{where}: found I-{type_} outside {type_} in column {layer + 1}; B-{type_} or O is needed"
                )
            entities[-1] = entities[-1]._replace(end=end)
        inside = kind != "O"
    return entities


def _tag(tag: str, where: str, kinds: str, types: Collection[str]) -> tuple[str, str]:
    """A tag's letter and type; the type of O is ""."""
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
    """Numbered lines. Only a line feed ends a line: words may contain other characters at which Python splits lines."""
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
    """Sentences as numbered rows of so many columns, split at blank lines."""
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


def _not_empty(sentences: list[Sentence], name: str) -> tuple[Sentence, ...]:
    if not sentences:
        raise DatasetError(f"{name}: no sentences")
    return tuple(sentences)
