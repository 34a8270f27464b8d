"""The readers of text sets: their results, and their errors for malformed files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plugin_run import DATASETS

from harness.errors import DatasetError
from harness.registry.datasets import load
from harness_plugins.can import texts


def write(folder, **files):
    paths = {}
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths[path.name] = path
    return paths


def test_csv_texts_keep_commas_quotes_and_line_breaks(tmp_path):
    train = 'text,category\n"Where, then?",b\n"He said ""no""\nand left",a\nüber,a\n'
    paths = write(tmp_path, train__csv=train, test__csv="text,category\nWhy?,b\n")
    data = texts.load_banking77(paths)
    assert data["train_texts"] == ["Where, then?", 'He said "no"\nand left', "über"]
    assert data["classes"] == ["a", "b"]
    assert data["train_labels"].tolist() == [1, 0, 0]
    assert data["test_labels"].tolist() == [1]
    assert data["train_labels"].dtype == np.int64


def test_trec_leaves_out_test_questions_that_are_training_questions(tmp_path):
    train = "NUM:date When was it ?\nHUM:ind Who was it ?\nENTY:other Qu\xe9 was \x85 it ?\n".encode("latin-1")
    paths = write(tmp_path, raw_TREC__train=train, raw_TREC__test="HUM:ind Who was it ?\nNUM:date Which year ?\n")
    data = texts.load_trec(paths)
    assert data["train_texts"] == ["When was it ?", "Who was it ?", "Qu\xe9 was \x85 it ?"]
    assert data["test_texts"] == ["Which year ?"]
    assert data["test_labels"].tolist() == [data["classes"].index("NUM:date")]


def line(sentence, label, **fields):
    return json.dumps({"sentence": sentence, "label": label, **fields}, ensure_ascii=False) + "\n"


def fewclue(folder, train=None, valid=None, test=None):
    train = train or line("一", 2) + line("二\u2028三", 10, id=4) + line("四", 2)
    parts = {"train_few_all__json": train, "dev_few_all__json": valid or line("五", 10)}
    return write(folder, **parts, test_public__json=test or line("六", 2))


def test_fewclue_labels_sort_as_numbers_and_line_separators_stay_in_the_text(tmp_path):
    data = texts.load_fewclue(fewclue(tmp_path))
    assert data["train_texts"] == ["一", "二\u2028三", "四"]
    assert data["train_labels"].tolist() == [0, 1, 0]
    assert data["valid_labels"].tolist() == [1]
    assert data["test_texts"] == ["六"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (line("a", 2) + "{broken\n", r"train_few_all.json: line 2: not JSON"),
        (line("a", 2) + line("", 2), "line 2: a sentence and an integer label are needed"),
        (line("a", "2"), "line 1: a sentence and an integer label are needed"),
        (line("a", True), "line 1: a sentence and an integer label are needed"),
        ("[1]\n", "line 1: a sentence and an integer label are needed"),
        (line("a", 2) + "\n" + line("b", 2), "line 2: not JSON"),
        (b"\xff\xfe", "train_few_all.json: not text in UTF-8"),
    ],
)
def test_error_about_malformed_json_lines_names_file_and_line(content, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        texts.load_fewclue(fewclue(tmp_path, train=content))


def test_empty_file_is_refused(tmp_path):
    paths = fewclue(tmp_path)
    paths["dev_few_all.json"].write_bytes(b"")
    with pytest.raises(DatasetError, match=r"dev_few_all.json: at least one row is needed, found none"):
        texts.load_fewclue(paths)


def test_class_without_training_rows_is_refused(tmp_path):
    with pytest.raises(
        DatasetError, match=r"test_public.json: class '0099' has no training row; classes are 0002, 0010"
    ):
        texts.load_fewclue(fewclue(tmp_path, test=line("a", 99)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,intent\na,b\n", "train.csv: line 1: the header text,category is needed, found 'question,intent'"),
        ("text,category\na,b\nc\n", "train.csv: line 3: a text and a category are needed, found"),
        ("text,category\na,\n", "line 2: a text and a category are needed"),
        ('text,category\n"a,b\n', "not a CSV file in UTF-8: unexpected end of data"),
        (b"text,category\n\xff,b\n", "not a CSV file in UTF-8"),
        ("text,category\n", "at least one row is needed"),
        ("", "line 1: the header text,category is needed"),
    ],
)
def test_error_about_malformed_csv_names_file_and_line(content, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        texts.load_banking77(write(tmp_path, train__csv=content, test__csv="text,category\na,b\n"))


@pytest.mark.parametrize("bad", ["NUMdate When ?", "NUM:date", ":date When ?", "NUM: When ?", ""])
def test_error_about_a_malformed_trec_line_names_file_and_line(bad, tmp_path):
    paths = write(tmp_path, raw_TREC__train=f"NUM:date When ?\n{bad}\nHUM:ind Who ?\n", raw_TREC__test="HUM:ind W ?\n")
    with pytest.raises(DatasetError, match=r"raw_TREC.train: line 2: COARSE:fine and a question are needed"):
        texts.load_trec(paths)


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("name", "classes", "rows"),
    [
        ("banking77", 77, {"train": 10_003, "test": 3080}),
        ("trec", 50, {"train": 5452, "test": 490}),
        ("tnews-fewclue", 15, {"train": 1185, "valid": 1098, "test": 2010}),
        ("iflytek-fewclue", 119, {"train": 3024, "valid": 1373, "test": 1749}),
    ],
)
def test_text_sets_have_the_published_numbers_of_rows_and_classes(name, classes, rows):
    data = load(DATASETS[name])
    assert len(data["classes"]) == classes
    for part, count in rows.items():
        assert len(data[f"{part}_texts"]) == len(data[f"{part}_labels"]) == count
    assert not set(data["train_texts"]) & set(data["test_texts"]) or name == "banking77"
    assert len(np.unique(data["train_labels"])) == classes
