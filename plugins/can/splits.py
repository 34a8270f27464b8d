"""What is learned from, chosen on and tested on: random parts of real data, other in every seed.

Draws come from generators of their own, one for each purpose, so that an option that is not about the training
rows leaves them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness_plugins.can.classifiers import Split, selected

if TYPE_CHECKING:
    from harness.running.run import Run

#: Share of the rows that are tested on, where a data set has no official test rows.
TEST_SHARE = 0.2
#: At most so many validation rows; the choices made on them need no more.
VALID_ROWS = 800
#: Pairs of digits in each class: to learn from for each share of one, to choose on, and to test on.
PAIRS = (50, 10, 20)
#: How much more the favoured class is weighted than the least favoured in a wrong prior.
SKEW = 10.0

Labels = NDArray[np.int64]


def text_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """The official test rows; of the training rows a part drawn anew for each seed, the rest to choose on.

    A set with a validation part of its own is chosen on that instead.
    """
    kept = _classes(data["train_labels"], run.options["classes"], rng)
    texts, labels = _of_classes(data["train_texts"], data["train_labels"], kept)
    train, rest = draw(labels, run.options["train_share"], rng)
    if "valid_texts" in data:
        valid, valid_labels = _of_classes(data["valid_texts"], data["valid_labels"], kept)
    else:
        valid, valid_labels = selected(texts, rest), labels[rest]
    chosen = rng.permutation(len(valid_labels))[:VALID_ROWS]
    test, test_labels = _of_classes(data["test_texts"], data["test_labels"], kept)
    return Split(
        selected(texts, train), labels[train], selected(valid, chosen), valid_labels[chosen], test, test_labels
    )


def image_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """Pixels [N, D] of all the set's images, split anew for each seed; ``blur`` softens the test images alone."""
    (images, labels), (test_images, test_labels) = _parts(data, rng)
    kept = _classes(labels, run.options["classes"], rng)
    images, labels = _of_classes(images, labels, kept)
    test_images, test_labels = _of_classes(test_images, test_labels, kept)
    train, rest = draw(labels, run.options["train_share"], rng)
    rest = rng.permutation(rest)[:VALID_ROWS]
    pixels, blurred = _flat(images), _flat(_blurred(test_images, run.options["blur"]))
    return Split(pixels[train], labels[train], pixels[rest], labels[rest], blurred, test_labels)


def pair_split(data: dict[str, Any], run: Run, rng: np.random.Generator) -> Split:
    """Two digits side by side, [N, 2 D]: a hundred classes, as many rows of each, from disjoint sets of digits."""
    (images, labels), test = _parts(data, rng)
    learned, rest = draw(labels, 0.8, rng)
    parts = ((images[learned], labels[learned]), (images[rest], labels[rest]), test)
    classes = _classes(np.arange(100), run.options["classes"], rng)
    per_class = (max(1, round(PAIRS[0] * run.options["train_share"])), *PAIRS[1:])
    made: list[Any] = []
    for (pictures, digits), count in zip(parts, per_class, strict=True):
        wanted = rng.permutation(np.repeat(np.arange(len(classes)), count))
        tens, units = np.divmod(classes[wanted], 10)
        rows = [np.empty(len(wanted), dtype=np.int64) for _ in range(2)]
        for place, digit in zip(rows, (tens, units), strict=True):
            for value in range(10):
                at = np.flatnonzero(digit == value)
                place[at] = rng.choice(np.flatnonzero(digits == value), size=len(at))
        made += [_flat(np.concatenate([pictures[rows[0]], pictures[rows[1]]], axis=3)), wanted.astype(np.int64)]
    return Split(*made)


def draw(labels: Labels, share: float, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Row numbers of a random ``share`` of every class, at least one row of each, and of the rest; both shuffled.

    >>> one, rest = draw(np.array([0, 0, 0, 0, 1]), 0.5, np.random.default_rng(0))
    >>> len(one), len(rest), 4 in one
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

    Each class keeps the share of its rows that its weight is of the largest one. With 1 all rows stay.

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
    """The prior [classes] that a refiner is told; every entry above zero.

    ``train``: frequencies in the training rows. ``uniform``: all alike. ``skewed``: the training frequencies
    times weights from 1 to 10 in a random order, which is wrong. ``test``: frequencies in the test rows, half
    a row added to each class, which nobody can know beforehand.
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


def _classes(labels: Labels, count: int, rng: np.random.Generator) -> Labels:
    """``count`` random classes (0: all), ascending: the first of one random order, so that fewer are a part of more."""
    names = np.unique(labels)
    if count > len(names) or count == 1:
        raise UsageError(f"classes = {count}: 2 to {len(names)} are allowed here, or 0 for all")
    order = rng.permutation(names)
    return np.sort(order[: count or len(names)])


def _of_classes(rows: Any, labels: Labels, kept: Labels) -> tuple[Any, Labels]:
    """The rows of the kept classes, these renumbered from 0."""
    chosen = np.flatnonzero(np.isin(labels, kept))
    return selected(rows, chosen), np.searchsorted(kept, labels[chosen]).astype(np.int64)


def _parts(data: dict[str, Any], rng: np.random.Generator) -> tuple[tuple[Any, Labels], tuple[Any, Labels]]:
    """All the set's images and labels in two random parts, to learn from and to test on."""
    images = np.concatenate([data["train_images"], data["test_images"]])
    labels = np.concatenate([data["train_labels"], data["test_labels"]])
    known, test = draw(labels, 1 - TEST_SHARE, rng)
    return (images[known], labels[known]), (images[test], labels[test])


def _flat(images: NDArray[np.float32]) -> NDArray[np.float64]:
    return images.reshape(len(images), -1).astype(np.float64)


def _blurred(images: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Images [N, 1, H, W] under a Gaussian filter of standard deviation ``sigma`` in pixels."""
    if sigma == 0:
        return images
    from scipy.ndimage import gaussian_filter

    softened: NDArray[np.float32] = gaussian_filter(images, sigma=(0, 0, sigma, sigma))
    return softened
