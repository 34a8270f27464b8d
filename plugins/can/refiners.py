"""CAN in its forms: the article's, the article's in one batch, the authors' code, and CAN tuned on validation rows.

All are called as ``refine(probabilities [N, C], prior [C])`` and return [N, C] in the dtype and the row order of
``probabilities``. They compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.can import alternating
from harness_plugins.can.arguments import check
from harness_plugins.can.uncertainty import Entropy, any_top_entropy, top_entropy

#: (sure [n, C], unsure [J, C], prior [C], alpha, iterations) -> refined unsure rows [J, C].
Correct = Callable[[Tensor, Tensor, Tensor, float, int], Tensor]

#: The authors' code adds this to each row's sum.
OFFICIAL_ADDED = 1e-10
#: Largest number of sure rows that serve as reference in the authors' code; five for each class, if that is more.
OFFICIAL_REFERENCE = 1000
#: Seed that draws these sure rows.
REFERENCE_SEED = 3

#: Values that tuning tries. Alphas are a part of the authors' grid. The article's own values come first.
ALPHAS = (1.0, 0.3, 0.5, 0.7, 2.0, 3.0, 5.0)
THRESHOLDS = (0.9, 0.95, 0.8, 0.7, 0.5)
TOPS = (3, 2, 5)
DEPTHS = (1, 2, 3)


class Can:
    """Alternating normalisation with the article's split (kexue.fm/archives/8728), all unsure rows at once.

    A row is unsure if the entropy of its ``k`` largest probabilities is at least ``tau``. Each unsure row is
    normalised ``iterations`` times together with the unrefined sure rows, and replaced; sure rows are returned bit
    for bit. Raises UsageError if all rows are unsure: the formula would then return the prior for every row.

    >>> can = Can(tau=0.9)
    >>> can(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0.5, 0.5]))
    tensor([[0.7500, 0.2500],
            [0.0000, 1.0000]])
    """

    correct: Correct = staticmethod(alternating.refine_by_factors)

    def __init__(
        self,
        k: int = 3,
        tau: float = 0.9,
        alpha: float = 1.0,
        iterations: int = 1,
        entropy: Entropy = "renormalised",
    ) -> None:
        self.k = k
        self.tau = tau
        self.alpha = alpha
        self.iterations = iterations
        self.entropy: Entropy = entropy

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C], in the order and dtype of ``probabilities`` [N, C]."""
        rows, prior = check(probabilities, prior)
        unsure = self.unsure(rows)
        require_sure_rows(unsure, self.tau)
        if not unsure.any():
            return probabilities
        corrected = self.correct(rows[~unsure], rows[unsure], prior, self.alpha, self.iterations)
        return replace_rows(probabilities, unsure, corrected)

    def unsure(self, rows: Tensor) -> Tensor:
        """Whether each of the rows [N, C] is unsure, as booleans [N]."""
        return top_entropy(rows, self.k, self.entropy) >= self.tau


class LoopCan(Can):
    """``Can`` with one unsure row at a time: the form that the article publishes."""

    correct: Correct = staticmethod(alternating.refine_by_loop)


def _refine_together(sure: Tensor, unsure: Tensor, prior: Tensor, alpha: float, iterations: int) -> Tensor:
    refined = alternating.refine_stacked(torch.cat([sure, unsure]), prior, alpha, iterations)
    return refined[len(sure) :]


class BatchCan(Can):
    """All unsure rows normalised together with the sure ones in one matrix, which the article advises against.

    If there is no sure row, the unsure rows are normalised alone.

    >>> BatchCan()(torch.tensor([[0.5, 0.5], [0.6, 0.4]]), torch.tensor([0.5, 0.5]))
    tensor([[0.4500, 0.5500],
            [0.5510, 0.4490]])
    """

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        rows, prior = check(probabilities, prior)
        unsure = self.unsure(rows)
        if not unsure.any():
            return probabilities
        corrected = _refine_together(rows[~unsure], rows[unsure], prior, self.alpha, self.iterations)
        return replace_rows(probabilities, unsure, corrected)


class OfficialCan:
    """Alternating normalisation by the rules of the authors' code (github.com/KMnP/can).

    A row is unsure if *any* k from 2 to C has a renormalised top-k entropy, to the base k, of at least
    ``threshold``. The sure rows are the reference: all of them up to max(5 C, 1000), otherwise a sample of that size,
    stratified by predicted class (not the sample that the authors' code draws). Without a sure row the reference is
    the identity matrix: one certain row for each class. 1e-10 is added to each row's sum, so rows do not sum to one
    exactly.

    >>> OfficialCan(threshold=0.75)(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0.5, 0.5]))
    tensor([[0.7500, 0.2500],
            [0.0000, 1.0000]])
    """

    def __init__(self, threshold: float = 0.75, alpha: float = 1.0, depth: int = 1) -> None:
        self.threshold = threshold
        self.alpha = alpha
        self.depth = depth

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C], in the order and dtype of ``probabilities`` [N, C]."""
        rows, prior = check(probabilities, prior)
        unsure = any_top_entropy(rows) >= self.threshold
        if not unsure.any():
            return probabilities
        sure = rows[~unsure]
        if len(sure) == 0:
            sure = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        elif len(sure) > (size := max(5 * rows.shape[1], OFFICIAL_REFERENCE)):
            sample = stratified_rows(sure.detach().argmax(dim=1).cpu().numpy(), size)
            sure = sure[torch.from_numpy(sample).to(sure.device)]
        corrected = []
        for row in rows[unsure]:
            stacked = torch.cat([sure, row[None]])
            refined = alternating.refine_stacked(stacked, prior, self.alpha, self.depth, OFFICIAL_ADDED)
            # A copy, because a view would keep the whole matrix alive.
            corrected.append(refined[-1].clone())
        return replace_rows(probabilities, unsure, torch.stack(corrected))


class TunedCan:
    """CAN with the k, tau, alpha and number of iterations that are most accurate on validation rows.

    >>> tuned = TunedCan().fit(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 1]), torch.tensor([0.5, 0.5]))
    >>> tuned.settings["alpha"], tuned.settings["iterations"]
    (1.0, 1)
    """

    def __init__(self) -> None:
        self.settings: dict[str, float] = {"k": 3, "tau": 0.9, "alpha": 1.0, "iterations": 1}

    def fit(self, probabilities: Tensor, labels: Tensor, prior: Tensor) -> TunedCan:
        """Choose the most accurate settings on ``probabilities`` [N, C] with ``labels`` [N]; on a tie, the first.

        The grid begins with the article's own settings, so others are chosen only if they are more accurate.
        Settings under which no row is sure are skipped.
        """
        labels = labels.to(probabilities.device)
        best = -1
        for settings in _grid():
            try:
                refined = Can(**settings)(probabilities, prior)  # type: ignore[arg-type]
            except NoSureRow:
                continue
            right = int((refined.argmax(dim=1) == labels).sum())
            if right > best:
                best, self.settings = right, settings
        return self

    def __call__(self, probabilities: Tensor, prior: Tensor) -> Tensor:
        """Refined rows [N, C] under the chosen settings; before ``fit``, under the article's."""
        return Can(**self.settings)(probabilities, prior)  # type: ignore[arg-type]


def _grid() -> Iterator[dict[str, float]]:
    for k, tau, alpha, iterations in product(TOPS, THRESHOLDS, ALPHAS, DEPTHS):
        yield {"k": k, "tau": tau, "alpha": alpha, "iterations": iterations}


class NoSureRow(UsageError):
    """All rows are unsure, but a sure row is needed as reference."""


def require_sure_rows(unsure: Tensor, tau: float) -> None:
    """Raise NoSureRow if all rows are unsure (``unsure`` [N] booleans)."""
    if unsure.all():
        raise NoSureRow(
            f"probabilities with {len(unsure)} rows: none has an entropy below tau = {tau:g}; "
            "at least one sure row is needed as a reference"
        )


def replace_rows(probabilities: Tensor, unsure: Tensor, corrected: Tensor) -> Tensor:
    """``probabilities`` [N, C] with its unsure rows replaced by ``corrected`` [J, C], rounded to its dtype."""
    return probabilities.index_copy(0, unsure.nonzero()[:, 0], corrected.to(probabilities.dtype))


def stratified_rows(classes: np.ndarray, size: int) -> np.ndarray:
    """Row numbers, ascending, of a sample of ``size`` rows in which each of the ``classes`` [N] keeps its share.

    Shares are rounded by the largest remainders. A class keeps at least one row, even if that exceeds ``size``.

    >>> np.bincount(np.repeat([0, 1, 2], [60, 30, 1])[stratified_rows(np.repeat([0, 1, 2], [60, 30, 1]), 9)])
    array([6, 3, 1])
    """
    names, counts = np.unique(classes, return_counts=True)
    shares = counts * size / counts.sum()
    quota = np.floor(shares).astype(int)
    largest = np.argsort(quota - shares, kind="stable")[: size - quota.sum()]
    quota[largest] += 1
    generator = np.random.default_rng(REFERENCE_SEED)
    rows = [
        generator.choice(np.flatnonzero(classes == name), size=max(1, number), replace=False)
        for name, number in zip(names, quota, strict=True)
    ]
    return np.sort(np.concatenate(rows))
