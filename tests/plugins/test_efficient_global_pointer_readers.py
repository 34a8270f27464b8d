"""Corpora are read to the character, and errors name the line."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from plugin_run import DATASETS

from harness.errors import DatasetError
from harness.registry.datasets import load
from harness_plugins.efficient_global_pointer.corpus import Corpus, Entity, Sentence, hold_out, nested
from harness_plugins.efficient_global_pointer.datasets import DATASETS as CORPORA
from harness_plugins.efficient_global_pointer.entity_types import TYPES
from harness_plugins.efficient_global_pointer.loading import load_germeval2014
from harness_plugins.efficient_global_pointer.readers import read_bmes, read_columns, read_json_lines

KINDS = ("PER", "LOC")


def json_line(text="Ada in Rome", label=None):
    label = {"PER": {"Ada": [[0, 2]]}, "LOC": {"Rome": [[7, 10]]}} if label is None else label
    return json.dumps({"text": text, "label": label}, ensure_ascii=False).encode() + b"\n"


def test_json_lines_give_characters_with_the_last_one_included():
    twice = json_line("我爱北京，北京", {"LOC": {"北京": [[2, 3], [5, 6]]}})
    rows = read_json_lines(json_line() + b"\n" + twice, "f", KINDS)
    assert rows[0] == Sentence("Ada in Rome", (Entity(0, 2, "PER"), Entity(7, 10, "LOC")))
    assert [rows[1].text[e.start : e.end + 1] for e in rows[1].entities] == ["北京", "北京"]


def test_bmes_gives_spans_and_entities_cut_in_two_are_left_out():
    text = "我 O\n北 B-LOC\n市 M-LOC\n京 E-LOC\n李 S-PER\n\n罗 O\n圣 B-LOC\n。 M-LOC\n\n彼 M-LOC\n得 E-LOC\n李 S-PER\n"
    rows = read_bmes(text.encode(), "f", KINDS)
    assert rows[0] == Sentence("我北市京李", (Entity(1, 3, "LOC"), Entity(4, 4, "PER")))
    assert rows[1:] == (Sentence("罗圣。", ()), Sentence("彼得李", (Entity(2, 2, "PER"),)))


def test_columns_give_words_with_blanks_between_and_layers_that_nest():
    text = "Uni\tB-ORG\tO\nof\tI-ORG\tO\nYork\tI-ORG\tB-LOC\nwon\tO\tO\n\t\nYork\tB-LOC\tB-ORG\nLeeds\tB-LOC\tO\n"
    rows = read_columns(text.encode(), "f", ("ORG", "LOC"), layers=2)
    assert rows[0] == Sentence("Uni of York won", (Entity(0, 10, "ORG"), Entity(7, 10, "LOC")))
    assert rows[1].entities == (Entity(0, 3, "LOC"), Entity(0, 3, "ORG"), Entity(5, 9, "LOC"))
    assert nested(rows[0].entities) == set(rows[0].entities)
    assert nested(rows[1].entities) == {Entity(0, 3, "LOC"), Entity(0, 3, "ORG")}


def test_words_may_contain_characters_that_python_splits_lines_at():
    rows = read_columns("a\u2028b\tB-PER\r\nc\x85d\tO\n".encode(), "f", KINDS)
    assert rows[0].text == "a\u2028b c\x85d"


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (read_json_lines, json_line() + b"{'text'", "f, line 2: not JSON: .* column 2"),
        (read_json_lines, b"[1]\n", 'f, line 1: an object with "text" is needed'),
        (
            read_json_lines,
            b'{"id": 0, "text": "Ada"}\n',
            'f, line 1: "label" is missing; is this a test split without labels',
        ),
        (
            read_json_lines,
            json_line(label={"GOD": {"Ada": [[0, 2]]}}),
            "f, line 1: found type 'GOD', PER, LOC are allowed",
        ),
        (
            read_json_lines,
            json_line(label={"PER": {"Rome": [[7, 11]]}}),
            "f, line 1: 'Rome' has offsets 7 to 11 in a text of 11 characters",
        ),
        (
            read_json_lines,
            json_line(label={"PER": {"Ada": [[-1, 2]]}}),
            "f, line 1: 'Ada' has offsets -1 to 2 in a text of 11 characters",
        ),
        (
            read_json_lines,
            json_line(label={"PER": {"Ada": [[2, 0]]}}),
            "f, line 1: 'Ada' has offsets 2 to 0 in a text of 11 characters",
        ),
        (
            read_json_lines,
            json_line(label={"PER": {"Ada": [[1, 3]]}}),
            "f, line 1: 'Ada' has offsets 1 to 3, found 'da '",
        ),
        (read_json_lines, json_line(label={"PER": {"Ada": [[0]]}}), r"f, line 1: found \[0\] as offsets of 'Ada'"),
        (read_json_lines, json_line(label={"PER": [0, 2]}), "f, line 1: found .* for type PER, an object of mentions"),
        (read_json_lines, b"\n\n", "f: no sentences"),
        (read_json_lines, json_line() + "Bär".encode("latin-1"), "f, line 2: byte 2 is 0xe4, which is not UTF-8"),
        (read_json_lines, b"\xef\xbb\xbf" + json_line(), "f, line 1: begins with a byte order mark"),
        (read_bmes, "我 O\n北\n".encode(), "f, line 2: found 1 columns, 2 are needed"),
        (read_bmes, "我们 O\n".encode(), "f, line 1: found '我们' in column 1, a single character is needed"),
        (read_bmes, "我 I-PER\n".encode(), "f, line 1: found tag 'I-PER', O or one of B, M, E, S"),
        (read_bmes, "我 M-PER\n".encode(), "f, line 1: found M-PER outside PER; B-PER, S-PER or O is needed"),
        (read_bmes, "我 B-PER\n们 O\n".encode(), "f, line 2: found O where M-PER or E-PER must follow"),
        (read_bmes, "我 B-PER\n们 E-LOC\n".encode(), "f, line 2: found E-LOC where M-PER or E-PER must follow"),
        (read_bmes, "我 B-PER\n\n们 O\n".encode(), "f, line 3: found O where M-PER or E-PER must follow"),
        (read_bmes, "我 B-PER\n".encode(), "f, line 1: the file ends inside PER, E-PER is needed"),
        (read_bmes, "我 B-GOD\n".encode(), "f, line 1: found type 'GOD', PER, LOC are allowed"),
        (read_columns, b"Ada\tB-PER\nRome\n", "f, line 2: found 1 columns, 2 are needed"),
        (read_columns, b"Ada\tB-PER\tO\n", "f, line 1: found 3 columns, 2 are needed"),
        (read_columns, b"Ada\tI-PER\n", "f, line 1: found I-PER outside PER in column 2"),
        (read_columns, b"Ada\tB-LOC\nOf\tI-PER\n", "f, line 2: found I-PER outside PER in column 2"),
        (read_columns, b"Ada\tB-LOC\n\nOf\tI-LOC\n", "f, line 3: found I-LOC outside LOC in column 2"),
        (read_columns, b"Ada\tB\n", "f, line 1: found tag 'B', O or one of B, I with a dash and a type is needed"),
        (read_columns, b" Ada\tO\n", "f, line 1: found ' Ada' in column 1, a word without blanks around it is needed"),
        (read_columns, b"", "f: no sentences"),
        (read_columns, "Ada\tO\nBär\tO\n".encode("utf-16-le"), "f, line 2: byte 4 is 0xe4, which is not UTF-8"),
    ],
)
def test_errors_name_the_line(reader, content, message):
    with pytest.raises(DatasetError, match=message) as error:
        reader(content, "f", KINDS)
    assert "\n" not in str(error.value)


def test_another_archive_is_refused(tmp_path):
    path = tmp_path / "GermEval2014.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(DatasetError, match=r"GermEval2014\.zip: not the expected archive: File is not a zip file"):
        load_germeval2014({path.name: path})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("GermEval2014/germ.train.iob2", "Ada\tB-PER\tO\n")
    with pytest.raises(DatasetError, match=r"not the expected archive: There is no item named .*germ\.dev\.iob2"):
        load_germeval2014({path.name: path})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for split in ("train", "dev", "test"):
            archive.writestr(f"GermEval2014/germ.{split}.iob2", "Ada\tB-PER\tO\nRome\tB-LOC\tB-XXX\n")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DatasetError, match=r"GermEval2014\.zip: .*germ\.train\.iob2, line 2: found type 'XXX'"):
        load_germeval2014({path.name: path})


def test_a_tenth_is_held_out_and_always_the_same():
    rows = tuple(Sentence(str(number), ()) for number in range(95))
    rest, held_out = hold_out(rows)
    assert (len(rest), len(held_out)) == (85, 10)
    assert sorted([*rest, *held_out], key=lambda row: int(row.text)) == list(rows)
    assert hold_out(rows) == (rest, held_out)
    assert held_out != rows[:10]


def test_a_corpus_is_a_mapping_of_its_splits():
    row = (Sentence("a", ()),)
    corpus = Corpus(row, (), row, ("x",))
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 1, "valid": 0, "test": 1}
    with pytest.raises(KeyError):
        corpus["dev"]


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("name", "sentences", "entities", "nesting"),
    [
        ("cluener", (9673, 1075, 1343), (21578, 2393, 3072), (3, 0, 0)),
        ("resume", (3821, 463, 477), (13436, 1497, 1630), (0, 0, 0)),
        ("wnut17", (3394, 1009, 1287), (1975, 836, 1079), (0, 0, 0)),
        ("germeval2014", (24000, 2200, 5100), (31545, 2886, 6693), (4721, 407, 986)),
        ("genia", (1502, 167, 1854), (3889, 448, 5474), (635, 92, 1130)),
    ],
)
def test_published_corpora_have_their_known_numbers_of_entities(name, sentences, entities, nesting):
    corpus = load(DATASETS[name])
    assert tuple(map(len, corpus.values())) == sentences
    assert tuple(sum(len(row.entities) for row in rows) for rows in corpus.values()) == entities
    assert tuple(sum(len(nested(row.entities)) for row in rows) for rows in corpus.values()) == nesting
    assert {e.type for rows in corpus.values() for row in rows for e in row.entities} == set(TYPES[name])


def test_every_corpus_has_types_in_order():
    assert [d.name for d in CORPORA] == list(TYPES)
    assert all(list(types) == sorted(types) for types in TYPES.values())
