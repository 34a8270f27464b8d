"""The image loaders: the arrays that they return, and their errors for damaged files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from plugin_run import DATASETS

from harness.errors import DatasetError
from harness.registry.datasets import load, locate
from harness_plugins.images import readers


@pytest.mark.needs_data
@pytest.mark.parametrize(("name", "rows", "side"), [("digits", 1797, 8), ("mnist-5k", 5000, 28)])
def test_packaged_data_set_is_read_and_split_within_each_class(name, rows, side):
    data = load(DATASETS[name])
    train, test = data["train_labels"], data["test_labels"]
    assert data["train_images"].shape == (len(train), 1, side, side)
    assert data["test_images"].shape == (len(test), 1, side, side)
    assert data["train_images"].dtype == np.float32
    assert train.dtype == np.int64
    assert data["train_images"].min() == 0
    assert data["train_images"].max() == 1
    assert len(train) + len(test) == rows
    shares = np.bincount(test) / (np.bincount(train) + np.bincount(test))
    np.testing.assert_allclose(shares, 0.2, atol=0.003)
    assert (np.diff(train[:100]) != 0).any(), "rows are still sorted by class"


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data = load(DATASETS["digits"])
    images = np.concatenate([data["train_images"], data["test_images"]]).reshape(-1, 64) * 16
    labels = np.concatenate([data["train_labels"], data["test_labels"]])
    expected = load_digits()
    rows = lambda pixels, target: sorted(map(tuple, np.column_stack([pixels, target]).astype(int)))  # noqa: E731
    assert rows(images, labels) == rows(expected.data, expected.target)


def test_split_is_disjoint_complete_and_always_the_same():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    train, test = readers.stratified_split(labels, 0.2, seed=3)
    assert sorted([*train, *test]) == list(range(500))
    again = readers.stratified_split(labels, 0.2, seed=3)
    np.testing.assert_array_equal(train, again[0])
    np.testing.assert_array_equal(test, again[1])
    assert not np.array_equal(train, readers.stratified_split(labels, 0.2, seed=4)[0])


def small():
    """A data set of 60 images whose pixels say which row they are."""
    labels = np.random.default_rng(1).integers(0, 4, 60)
    images = np.arange(60, dtype=np.float32)[:, None, None, None]
    parts = {"train": slice(45), "test": slice(45, 60)}
    arrays = {"images": images, "labels": labels}
    return {f"{part}_{name}": array[rows] for part, rows in parts.items() for name, array in arrays.items()}


def test_redrawn_split_has_the_same_rows_and_as_many_test_rows_of_each_class():
    data = small()
    labels = np.concatenate([data["train_labels"], data["test_labels"]])
    drawn = [readers.redrawn(data, seed) for seed in (5, 5, 6)]
    for new in drawn:
        rows = {part: new[f"{part}_images"].ravel().astype(int) for part in ("train", "test")}
        assert sorted([*rows["train"], *rows["test"]]) == list(range(60))
        for part, own in rows.items():
            np.testing.assert_array_equal(new[f"{part}_labels"], labels[own])
        np.testing.assert_array_equal(
            np.bincount(new["test_labels"], minlength=4), np.bincount(data["test_labels"], minlength=4)
        )
    np.testing.assert_array_equal(drawn[0]["test_images"], drawn[1]["test_images"])
    assert not np.array_equal(np.sort(drawn[0]["test_images"].ravel()), np.sort(drawn[2]["test_images"].ravel()))
    assert not np.array_equal(np.sort(drawn[0]["test_images"].ravel()), data["test_images"].ravel())


def test_a_class_without_test_rows_stays_without():
    data = small()
    data["train_labels"] = np.where(data["train_images"].ravel() < 3, 9, data["train_labels"])
    assert 9 not in readers.redrawn(data, 0)["test_labels"]


def idx(array: np.ndarray) -> bytes:
    """The array as the content of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder: Path, order: np.ndarray) -> dict[str, Path]:
    """Write a tiny data set in the layout of MNIST, with its rows in this order."""
    generator = np.random.default_rng(0)
    paths = {}
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (len(order), 4, 4), dtype=np.uint8)[order]
        labels = generator.integers(0, 10, len(order), dtype=np.uint8)[order]
        for name, content in ((f"{part}-images-idx3-ubyte.gz", pixels), (f"{part}-labels-idx1-ubyte.gz", labels)):
            paths[name] = folder / name
            paths[name].write_bytes(gzip.compress(idx(content)))
    return paths


def test_order_of_rows_in_the_files_of_mnist_does_not_matter(tmp_path):
    order = np.random.default_rng(1).permutation(30)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    in_order = readers.load_mnist(write_mnist(tmp_path / "a", np.arange(30)))
    reordered = readers.load_mnist(write_mnist(tmp_path / "b", order))
    for key in in_order:
        np.testing.assert_array_equal(in_order[key], reordered[key])


def test_mnist_keeps_each_image_with_its_label(tmp_path):
    paths = write_mnist(tmp_path, np.arange(30))
    shuffled, plain = readers.load_mnist(paths), readers.load_fashion_mnist(paths)
    pairs = zip(plain["train_images"], plain["train_labels"], strict=True)
    label_of = {image.tobytes(): label for image, label in pairs}
    assert [label_of[image.tobytes()] for image in shuffled["train_images"]] == list(shuffled["train_labels"])
    assert not np.array_equal(shuffled["train_labels"], plain["train_labels"])


def damaged(name: str, content: bytes, tmp_path: Path) -> dict[str, Path]:
    paths = write_mnist(tmp_path, np.arange(5))
    paths[name].write_bytes(content)
    return paths


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 5) + bytes(5)), "magic number 00000801, 00000803"),
        (
            gzip.compress(idx(np.zeros((5, 4, 4), np.uint8))[:-3]),
            r"promises 80 values for shape \(5, 4, 4\), found 77",
        ),
        (gzip.compress(idx(np.zeros((5, 4, 4), np.uint8)) + b"x"), "promises 80 values .* found 81"),
        (gzip.compress(b"\0\0\x08\x03\0"), "header of 16 bytes is needed, found 5"),
        (gzip.compress(b""), "magic number none, 00000803 is needed"),
        (gzip.compress(idx(np.zeros((6, 4, 4), np.uint8))), "found 5 labels for 6 images"),
        (gzip.compress(idx(np.zeros((5, 4, 4), np.uint8)))[:-9], "not a whole gzip file"),
        (b"no gzip at all", "not a whole gzip file"),
    ],
    ids=["labels", "short", "long", "header", "empty", "unequal", "truncated", "plain"],
)
def test_error_for_a_damaged_idx_file_names_the_file_and_what_it_holds(content, message, tmp_path):
    with pytest.raises(DatasetError, match=message) as error:
        readers.load_fashion_mnist(damaged("train-images-idx3-ubyte.gz", content, tmp_path))
    assert str(tmp_path / "train-") in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", r"rows of 65 values are needed, found a table of shape \(1, 3\)"),
        (",".join(["0"] * 64 + ["x"]) + "\n", "not a table of integers"),
        (",".join(["17"] * 64 + ["3"]) + "\n", "pixels from 0 to 16 are needed, found 17"),
        ("0,1\n0\n", "not a table of integers"),
        ("\n", "rows of 65 values are needed, found none"),
    ],
    ids=["narrow", "word", "bright", "ragged", "empty"],
)
def test_error_for_a_damaged_table_names_the_file_and_what_it_holds(text, message, tmp_path):
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DatasetError, match=message) as error:
        readers.load_digits({path.name: path})
    assert str(path) in str(error.value)


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_own_copy_of_a_large_data_set_is_read(name):
    assert locate(DATASETS[name]).place == "HARNESS_DATA"
    data = load(DATASETS[name])
    assert data["train_images"].shape == (60_000, 1, 28, 28)
    assert data["test_images"].shape == (10_000, 1, 28, 28)
    assert len(np.unique(data["train_labels"][:1000])) == 10
    if name == "fashion-mnist":
        assert (np.bincount(data["train_labels"]) == 6000).all()
