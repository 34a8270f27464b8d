"""The readers of sentence pairs: each format with its quotes and blanks, leaks between parts, errors in bad files."""

from __future__ import annotations

import gzip
import json

import pytest
from plugin_run import DATASETS

from harness.errors import DatasetError
from harness.registry.datasets import load
from harness_plugins.cosent import readers

STSB = "split\tgenre\tdataset\tyear\tsid\tscore\tsentence1\tsentence2\n"
MRPC = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
PAWS = "id\tsentence1\tsentence2\tlabel\n"


def write(folder, files):
    paths = {}
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths[name] = path
    return paths


def stsb(folder, *rows):
    content = STSB + "".join(f"{split}\tg\td\t2012\t1\t{score}\t{a}\t{b}\r\n" for split, score, a, b in rows)
    return write(folder, {"stsbenchmark.tsv.gz": gzip.compress(content.encode())})


def stsb_zh(folder, train="一\t二\t5\n", valid="三\t四\t0\n", test="五\t六\t3\n"):
    parts = {"train": train, "valid": valid, "test": test}
    return write(folder, {f"STS-B.{part}.data": content for part, content in parts.items()})


def test_quotation_marks_are_ordinary_characters(tmp_path):
    rows = [("train", "2.5", 'He said "no', 'She "did"'), ("dev", "0", "a", "b"), ("test", "5.000", "c", "d")]
    corpus = readers.load_stsb(stsb(tmp_path, *rows))
    assert corpus.train.first == ['He said "no']
    assert corpus.train.second == ['She "did"']
    assert corpus.train.labels.tolist() == [2.5]
    assert (corpus.highest, corpus.graded) == (5, True)
    content = MRPC + '1\t2\t3\t"Yes, he said.\tHe said "yes".\r\n'
    plain = MRPC.removeprefix("\ufeff")
    paths = write(
        tmp_path,
        {
            "msr-para-train.tsv": content,
            "msr-para-val.tsv": plain + "0\t2\t3\ta\tb\r\n",
            "msr-para-test.tsv": MRPC + "1\t2\t3\tc\td\r\n",
        },
    )
    corpus = readers.load_mrpc(paths)
    assert (corpus.train.first, corpus.train.second) == (['"Yes, he said.'], ['He said "yes".'])
    assert not corpus.graded


def test_line_separators_within_a_text_stay(tmp_path):
    corpus = readers.load_stsb_zh(stsb_zh(tmp_path, train="一\u2028\x85\t二\x0b\t4\n"))
    assert corpus.train.first == ["一\u2028\x85"]
    assert corpus.train.second == ["二\x0b"]


def test_untranslated_pairs_of_paws_are_left_out_and_a_fifth_of_dev_is_held_out(tmp_path):
    rows = "".join(f"{n}\tsentence {n}\tother {n}\t{n % 2}\n" for n in range(50))
    files = {
        "csts_dev_2k.tsv": PAWS + rows + "51\tNS\tx\t0\n52\t\tx\t0\n",
        "csts_test_2k.tsv": PAWS + "1\ta\tNS\t0\n2\ta\tb\t1\n",
    }
    corpus = readers.load_paws(write(tmp_path, files))
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (40, 10, 1)
    assert {*corpus.train.first, *corpus.valid.first} == {f"sentence {n}" for n in range(50)}


def test_pairs_that_leak_are_counted_and_dropped_in_either_order(tmp_path):
    paths = stsb_zh(
        tmp_path,
        train="a\tb\t1\nb\tc\t2\nc\td\t3\ne\tf\t4\n",
        valid="d\tc\t3\nx\ty\t1\n",
        test="b\ta\t1\nx\ty\t1\n",
    )
    corpus = readers.load_stsb_zh(paths)
    assert len(corpus.train) == 4
    assert corpus.leaked == 3
    clean = corpus.without_leaks()
    assert clean.train.first == ["b", "e"]
    assert clean.train.labels.tolist() == [2.0, 4.0]
    assert clean.valid.first == ["d"]
    assert clean.test is corpus.test
    assert clean.leaked == 0


def test_published_sets_keep_the_lines_that_the_published_code_keeps(tmp_path):
    def by_the_published_code(content):
        split = [line.strip().split("\t") for line in content.split("\n")]
        return [(first, second, float(label)) for first, second, label in (row for row in split if len(row) == 3)]

    content = "a\tb\t1\n\tb\t0\n \tb\t0\na\t\t0\n\n  \nc\td\t \n x\ty\t1 \nc\td\t0\n"
    files = {f"PAWSX.{part}.data": content for part in ("train", "valid", "test")}
    train = readers.load_published(write(tmp_path, files)).train
    rows = list(zip(train.first, train.second, train.labels.tolist(), strict=True))
    assert rows == by_the_published_code(content)
    assert rows == [("a", "b", 1), ("a", "", 0), ("x", "y", 1), ("c", "d", 0)]


def test_published_sets_must_be_complete_and_have_three_columns(tmp_path):
    files = {f"BQ.{part}.data": "a\tb\t1\nc\t1\n" for part in ("train", "valid", "test")}
    with pytest.raises(DatasetError, match=r"BQ.train.data: line 2: 3 tab-separated columns are needed, found 2"):
        readers.load_published(write(tmp_path, files))
    files = {f"LCQMC.{part}.data": "a\tb\t1\n" for part in ("train", "valid", "test")}
    with pytest.raises(DatasetError, match=r"LCQMC.train.data: the official training part has 238,766 pairs, found 1"):
        readers.load_published(write(tmp_path, files))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("一\t二\t5\n三\t四\n", r"STS-B.train.data: line 2: 3 tab-separated columns are needed, found 2"),
        ("一\t二\t5\n三\t四\t1\t2\n", "line 2: 3 tab-separated columns are needed, found 4"),
        ("一\t二\t6\n", "line 1: a whole number from 0 to 5 is needed, found '6'"),
        ("一\t二\t-1\n", "line 1: a whole number from 0 to 5 is needed, found '-1'"),
        ("一\t二\t2.5\n", "line 1: a whole number from 0 to 5 is needed, found '2.5'"),
        ("一\t二\tnan\n", "line 1: a whole number from 0 to 5 is needed, found 'nan'"),
        ("一\t二\tyes\n", "line 1: a whole number from 0 to 5 is needed, found 'yes'"),
        ("一\t \t5\n", "line 1: column 2 is empty"),
        ("一\t二\t5\n\n三\t四\t1\n", "line 2: 3 tab-separated columns are needed, found 1"),
        ("", r"STS-B.train.data: at least one pair is needed, found none"),
        (
            "一\t二\t5\n".encode() + "三\t四\t1\n".encode("gb18030"),
            "line 2: UTF-8 is needed, found c8 as byte 1",
        ),
        ("一\t二\t5\n".encode("utf-16"), "line 1: UTF-8 is needed, found ff as byte 1"),
        ("三\t四\t1\n".encode("gb18030"), "line 1: UTF-8 is needed, found c8 as byte 1"),
        ("一\t二\t0_1\n", "line 1: a whole number from 0 to 5 is needed, found '0_1'"),
        ("一\t二\t５\n", "line 1: a whole number from 0 to 5 is needed, found '５'"),
        ("一\t二\t" + "9" * 400 + "\n", "line 1: a whole number from 0 to 5 is needed, found '999"),
    ],
)
def test_error_in_a_line_names_file_and_line(train, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        readers.load_stsb_zh(stsb_zh(tmp_path, train=train))


def test_errors_in_tables_are_named(tmp_path):
    paths = write(tmp_path, {"stsbenchmark.tsv.gz": gzip.compress(STSB.encode())[:-9]})
    with pytest.raises(DatasetError, match="not a complete gzip file"):
        readers.load_stsb(paths)
    paths = write(tmp_path, {"stsbenchmark.tsv.gz": STSB})
    with pytest.raises(DatasetError, match="not a complete gzip file: not a gzipped file"):
        readers.load_stsb(paths)
    paths = write(tmp_path, {"stsbenchmark.tsv.gz": gzip.compress(STSB.replace("score", "grade").encode())})
    with pytest.raises(DatasetError, match=r"line 1: the columns split, .*score.* are needed, found 'split.*grade"):
        readers.load_stsb(paths)
    with pytest.raises(DatasetError, match="line 3: split train, dev or test is needed, found 'devel'"):
        readers.load_stsb(stsb(tmp_path, ("train", "1", "a", "b"), ("devel", "1", "a", "b")))
    with pytest.raises(DatasetError, match=r"split dev: at least one pair is needed, found none"):
        readers.load_stsb(stsb(tmp_path, ("train", "1", "a", "b"), ("test", "1", "c", "d")))
    with pytest.raises(DatasetError, match=r"line 2: a number from 0 to 5 is needed, found '5.01'"):
        readers.load_stsb(stsb(tmp_path, ("train", "5.01", "a", "b")))


def test_file_that_cannot_be_read_is_an_error(tmp_path):
    paths = stsb_zh(tmp_path)
    paths["STS-B.valid.data"] = tmp_path / "nowhere.data"
    with pytest.raises(DatasetError, match=r"nowhere.data: cannot be read: no such file"):
        readers.load_stsb_zh(paths)
    paths["STS-B.valid.data"] = tmp_path
    with pytest.raises(DatasetError, match=r"cannot be read: is a directory"):
        readers.load_stsb_zh(paths)


def test_inference_has_three_grades_and_lines_without_agreement_are_left_out(tmp_path):
    def line(label, **other):
        return json.dumps({"sentence1": "一\t", "sentence2": label, "gold_label": label, **other}) + "\n"

    content = line("entailment") + line("-") + "\n" + line("contradiction", genre="x") + line("neutral")
    pairs = readers.load_inference(write(tmp_path, {"cnsd.jsonl": content}))
    assert pairs.first == ["一\t"] * 3
    assert pairs.second == ["entailment", "contradiction", "neutral"]
    assert pairs.labels.tolist() == [2, 0, 1]
    for bad in ("{", "[1]", "7", '{"sentence1": "a"}', line("neutral", sentence1=None)):
        with pytest.raises(
            DatasetError, match=r"cnsd.jsonl: line 2: a JSON object with the texts sentence1, sentence2"
        ):
            readers.load_inference(write(tmp_path, {"cnsd.jsonl": line("neutral") + bad}))
    with pytest.raises(DatasetError, match=r"cnsd.jsonl: at least one pair is needed, found none"):
        readers.load_inference(write(tmp_path, {"cnsd.jsonl": line("-")}))


def test_sets_without_known_digests_are_read_when_data_is_checked(tmp_path, monkeypatch, harness_cli):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    (tmp_path / "paws-x-zh-full").mkdir()
    write(tmp_path / "paws-x-zh-full", {f"PAWSX.{part}.data": "a\tb\n" for part in ("train", "valid", "test")})
    for action, status in (("list", "here"), ("check", "damaged")):
        ended = harness_cli("data", action, "--json")
        (row,) = [row for row in ended.document if row["name"] == "paws-x-zh-full"]
        assert row["status"] == status
        assert ended.code == (2 if action == "check" else 0)
    assert "line 1: 3 tab-separated columns are needed, found 2" in row["where"]


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("name", "rows", "leaked"),
    [
        ("stsb", (5749, 1500, 1379), 27),
        ("stsb-zh", (5231, 1458, 1361), 46),
        ("lcqmc", (7042, 1760, 12500), 7),
        ("atec", (24061, 20000, 20000), 0),
        ("afqmc", (30901, 3433, 4316), 0),
        ("paws-x-zh", (1587, 397, 1975), 31),
        ("mrpc", (3576, 500, 1725), 0),
    ],
)
def test_local_copy_of_a_set_is_read(name, rows, leaked):
    corpus = load(DATASETS[name])
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == rows
    assert corpus.leaked == leaked
