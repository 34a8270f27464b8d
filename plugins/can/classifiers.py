"""The trained classifiers whose probabilities are refined; nothing is done to calibrate them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError

#: Inverse strength of the L2 penalty of logistic regression: on TF-IDF rows, which have length one, and on pixels.
TEXT_C, PIXEL_C = 10.0, 1.0
#: Number of words or character sequences that count: the most frequent ones.
MOST_FEATURES = 20_000


@dataclass(frozen=True, slots=True)
class Split:
    """Inputs and classes for training, for validation and for testing. Inputs are texts, or pixels [N, D].

    Labels are class numbers from 0 to C - 1, int64; every class has a training row.
    """

    train: Any
    train_labels: NDArray[np.int64]
    valid: Any
    valid_labels: NDArray[np.int64]
    test: Any
    test_labels: NDArray[np.int64]


def predict(
    split: Split, classifier: str, seed: int, characters: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train ``classifier`` and predict probabilities for the validation and the test rows, [N, C] each.

    Texts become TF-IDF of single words and pairs of words, or of characters with ``characters``; pixels are used as
    they are. ``logistic`` is multinomial logistic regression, which tends to be less confident than accurate; ``mlp``
    is a network with one hidden layer, trained until it fits its rows, which tends to be more confident than
    accurate. ``seed`` draws the network's weights.
    """
    train, valid, test = _features(split, characters)
    sparse = not isinstance(train, np.ndarray)
    model = _model(classifier, seed, TEXT_C if sparse else PIXEL_C)
    model.fit(train, split.train_labels)
    if not np.array_equal(model.classes_, np.arange(split.train_labels.max() + 1)):
        raise UsageError(f"training labels of shape {list(split.train_labels.shape)}: a class has no training row")
    return (
        np.asarray(model.predict_proba(valid), dtype=np.float64),
        np.asarray(model.predict_proba(test), dtype=np.float64),
    )


def _model(classifier: str, seed: int, inverse_penalty: float) -> Any:
    if classifier == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=inverse_penalty, max_iter=300, tol=1e-3)
    if classifier == "mlp":
        from sklearn.neural_network import MLPClassifier

        # The tolerance ends training after about twenty epochs.
        return MLPClassifier(
            (64,), learning_rate_init=3e-3, max_iter=200, tol=1e-2, n_iter_no_change=3, random_state=seed
        )
    raise UsageError(f"classifier = {classifier!r}: logistic or mlp is allowed")


def _features(split: Split, characters: bool) -> tuple[Any, Any, Any]:
    if isinstance(split.train, np.ndarray):
        return split.train, split.valid, split.test
    from sklearn.feature_extraction.text import TfidfVectorizer

    counts = TfidfVectorizer(
        analyzer="char" if characters else "word",
        # Words of one letter count too: "I" and "a" help to classify questions.
        token_pattern=r"(?u)\b\w+\b" if not characters else None,
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MOST_FEATURES,
        # Halves the training time for a hundred classes.
        dtype=np.float32,
    )
    return counts.fit_transform(split.train), counts.transform(split.valid), counts.transform(split.test)


def select(inputs: Any, rows: NDArray[np.int64] | Sequence[int]) -> Any:
    """The texts or pixels with these row numbers.

    >>> select(["a", "b", "c"], [2, 0])
    ['c', 'a']
    """
    return inputs[rows] if isinstance(inputs, np.ndarray) else [inputs[row] for row in rows]
