"""Training, validation and test rows: random parts of real data, drawn anew for each seed.

The caller gives each purpose a generator of its own, so that the training rows do not depend on other options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness_plugins.can.classifiers import Split, select

if TYPE_CHECKING:
    from harness.running.run import Run

#: Share of test rows, where a data set has no official ones.
TEST_SHARE = 0.2
#: Largest number of validation rows; choices on them need no more.
VALID_ROWS = 800
#: Pairs of digits in each class for training (times ``train_share``), for validation and for testing.
PAIRS = (50, 10, 20)
#: Ratio of the largest to the smallest weight in a wrong prior.
SKEW = 10.0

Labels = NDArray[np.int64]


def text_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """The official test rows, a random part of the training rows, and the others for validation.

    A set's own validation part, where it has one, is used for validation instead.
    """
    classes = _draw_classes(data["train_labels"], run.options["classes"], rng)
    texts, labels = _of_classes(data["train_texts"], data["train_labels"], classes)
    train, rest = draw(labels, run.options["train_share"], rng)
    if "valid_texts" in data:
        valid, valid_labels = _of_classes(data["valid_texts"], data["valid_labels"], classes)
    else:
        valid, valid_labels = select(texts, rest), labels[rest]
    sample = rng.permutation(len(valid_labels))[:VALID_ROWS]
    test, test_labels = _of_classes(data["test_texts"], data["test_labels"], classes)
    return Split(select(texts, train), labels[train], select(valid, sample), valid_labels[sample], test, test_labels)


def image_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """Pixels [N, D] of all the set's images in random parts; ``blur`` applies to the test images only."""
    (images, labels), (test_images, test_labels) = _parts(data, rng)
    classes = _draw_classes(labels, run.options["classes"], rng)
    images, labels = _of_classes(images, labels, classes)
    test_images, test_labels = _of_classes(test_images, test_labels, classes)
    train, rest = draw(labels, run.options["train_share"], rng)
    rest = rng.permutation(rest)[:VALID_ROWS]
    pixels, blurred = _flat(images), _flat(_blurred(test_images, run.options["blur"]))
    return Split(pixels[train], labels[train], pixels[rest], labels[rest], blurred, test_labels)


def pair_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """Two digits side by side, [N, 2 D]: a hundred classes of equal size; the parts share no image."""
    (images, labels), test = _parts(data, rng)
    train, rest = draw(labels, 0.8, rng)
    parts = ((images[train], labels[train]), (images[rest], labels[rest]), test)
    classes = _draw_classes(np.arange(100), run.options["classes"], rng)
    per_class = (max(1, round(PAIRS[0] * run.options["train_share"])), *PAIRS[1:])
    fields: list[Any] = []
    for (pictures, digits), count in zip(parts, per_class, strict=True):
        pair_labels = rng.permutation(np.repeat(np.arange(len(classes)), count))
        tens, units = np.divmod(classes[pair_labels], 10)
        left, right = (_rows_of_digits(digits, row_digits, rng) for row_digits in (tens, units))
        fields += [_flat(np.concatenate([pictures[left], pictures[right]], axis=3)), pair_labels.astype(np.int64)]
    return Split(*fields)


def _rows_of_digits(labels: Labels, digits: Labels, rng: np.random.Generator) -> Labels:
    """A random row number of ``labels`` for each of the ``digits`` [N], with that label: [N]."""
    rows = np.empty(len(digits), dtype=np.int64)
    for value in range(10):
        places = np.flatnonzero(digits == value)
        rows[places] = rng.choice(np.flatnonzero(labels == value), size=len(places))
    return rows


def draw(labels: Labels, share: float, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Row numbers of a random ``share`` of every class, at least one row of each, and of the rest; both shuffled.

    >>> part, rest = draw(np.array([0, 0, 0, 0, 1]), 0.5, np.random.default_rng(0))
    >>> len(part), len(rest), 4 in part
    (3, 2, True)
    """
    drawn, rest = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(len(rows) * share))
        drawn.append(rows[:count])
        rest.append(rows[count:])
    return rng.permutation(np.concatenate(drawn)), rng.permutation(np.concatenate(rest))


def shifted(labels: Labels, ratio: float, rng: np.random.Generator) -> Labels:
    """Row numbers, ascending, of a part in which classes have weights from 1 to ``ratio``, in a random order.

    Each class keeps the share weight / ``ratio`` of its rows. With ``ratio`` 1 all rows stay.

    >>> np.bincount(np.repeat([0, 1], 10)[shifted(np.repeat([0, 1], 10), 5.0, np.random.default_rng(0))])
    array([ 2, 10])
    """
    names, counts = np.unique(labels, return_counts=True)
    weights = weights_from_one_to(ratio, len(names), rng) / ratio
    rows = [
        rng.permutation(np.flatnonzero(labels == name))[: max(1, round(count * weight))]
        for name, count, weight in zip(names, counts, weights, strict=True)
    ]
    return np.sort(np.concatenate(rows))


def weights_from_one_to(ratio: float, classes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Weights [classes] from 1 to ``ratio``, evenly spaced on a log scale, in a random order."""
    return rng.permutation(np.geomspace(1.0, ratio, classes))


def class_prior(
    kind: str, train_labels: Labels, test_labels: Labels, classes: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The prior [classes] that the refiner gets; every entry is above zero.

    - ``train``: frequencies in the training rows.
    - ``uniform``: all equal.
    - ``skewed``: a wrong prior, the training frequencies times weights from 1 to 10 in a random order.
    - ``test``: frequencies in the test rows, half a row added to each class; nobody knows them beforehand.
    """
    counts = np.bincount(train_labels, minlength=classes).astype(np.float64)
    if kind == "uniform":
        counts = np.ones(classes)
    elif kind == "skewed":
        counts = counts * weights_from_one_to(SKEW, classes, rng)
    elif kind == "test":
        counts = np.bincount(test_labels, minlength=classes).astype(np.float64) + 0.5
    prior: NDArray[np.float64] = counts / counts.sum()
    return prior


def _draw_classes(labels: Labels, count: int, rng: np.random.Generator) -> Labels:
    """``count`` random classes (0: all), ascending. A smaller ``count`` gives a subset under the same generator."""
    names = np.unique(labels)
    if count > len(names) or count == 1:
        raise UsageError(f"classes = {count}: 2 to {len(names)} are allowed here, or 0 for all")
    order = rng.permutation(names)
    return np.sort(order[: count or len(names)])


def _of_classes(inputs: Any, labels: Labels, classes: Labels) -> tuple[Any, Labels]:
    """The inputs of these ascending classes, and their labels, renumbered from 0."""
    rows = np.flatnonzero(np.isin(labels, classes))
    return select(inputs, rows), np.searchsorted(classes, labels[rows]).astype(np.int64)


def _parts(data: dict[str, Any], rng: np.random.Generator) -> tuple[tuple[Any, Labels], tuple[Any, Labels]]:
    """All the set's images and labels in two random parts, for training (and validation) and for testing."""
    images = np.concatenate([data["train_images"], data["test_images"]])
    labels = np.concatenate([data["train_labels"], data["test_labels"]])
    train, test = draw(labels, 1 - TEST_SHARE, rng)
    return (images[train], labels[train]), (images[test], labels[test])


def _flat(images: NDArray[np.float32]) -> NDArray[np.float64]:
    return images.reshape(len(images), -1).astype(np.float64)


def _blurred(images: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Images [N, 1, H, W] after a Gaussian filter of standard deviation ``sigma``, in pixels."""
    if sigma == 0:
        return images
    from scipy.ndimage import gaussian_filter

    blurred: NDArray[np.float32] = gaussian_filter(images, sigma=(0, 0, sigma, sigma))
    return blurred
