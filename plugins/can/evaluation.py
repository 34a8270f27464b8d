"""Train a classifier on real data, refine its test probabilities, and compare its decisions before and after."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import UsageError
from harness_plugins.can import scores
from harness_plugins.can.baselines import PriorReweighting
from harness_plugins.can.classifiers import Split, predict
from harness_plugins.can.splits import class_prior, image_split, pair_split, shifted, text_split
from harness_plugins.can.uncertainty import top_entropy

if TYPE_CHECKING:
    from harness.running.run import Run

Refine = Callable[[Tensor, Tensor], Tensor]
MakeSplit = Callable[[dict[str, Any], "Run", np.random.Generator], Split]

#: The options that training depends on; it does not depend on the refiner.
TRAINING_OPTIONS = ("classifier", "train_share", "classes", "blur")
#: Number of trained classifiers whose split and probabilities stay in memory.
CACHE_SIZE = 2
# Cells that differ only in the refiner follow each other and need the same classifier: a worker trains it once. The
# key holds everything that training depends on. A value is the split and the validation and test probabilities.
_cache: dict[tuple[Any, ...], tuple[Split, scores.Rows, scores.Rows]] = {}


def refine_and_score(
    refine: Refine, run: Run, dataset: str, make_split: MakeSplit, characters: bool = False
) -> dict[str, float]:
    """The metrics of the tasks ``postprocess/...`` on real data.

    Each seed draws its own training rows (and test rows, where the set has no official ones). A refiner with ``fit``
    is first fitted on validation rows, with the training prior; nothing is chosen on test rows. In the metrics a row
    is unsure by the options ``k`` and ``tau``, whatever rule the refiner has. Raises UsageError if every test row is
    unsure, or none is: the metrics are then undefined.
    """
    for_split, for_classifier, for_shift, for_prior, for_subsamples, for_chance = run.rng.spawn(6)
    key = (dataset, make_split, run.seed, *(run.options.get(name) for name in TRAINING_OPTIONS))
    if key not in _cache:
        while len(_cache) >= CACHE_SIZE:
            del _cache[next(iter(_cache))]
        split = make_split(run.data(dataset), run, for_split)
        seed = int(for_classifier.integers(2**31))
        _cache[key] = (split, *predict(split, run.options["classifier"], seed, characters))
    split, valid, test = _cache[key]
    rows = shifted(split.test_labels, run.options["shift"], for_shift)
    predicted, labels = test[rows], split.test_labels[rows]
    run.progress(1, 2)

    classes = predicted.shape[1]
    shares = class_prior(run.options["prior"], split.train_labels, labels, classes, for_prior)
    if hasattr(refine, "fit"):
        train_shares = np.bincount(split.train_labels, minlength=classes) / len(split.train_labels)
        refine = refine.fit(_tensor(valid, run), torch.from_numpy(split.valid_labels), _tensor(train_shares, run))
    before, prior = _tensor(predicted, run), _tensor(shares, run)

    def refine_rows(rows: Tensor) -> Tensor:
        return refine(rows, prior)

    after = refine_rows(before)
    metrics = score(_array(before), _array(after), labels, shares, run)
    counts = np.bincount(labels, minlength=classes)
    error = float(scores.total_variation(shares, counts / len(labels)))
    chance = scores.chance_variation(shares, len(split.train_labels), len(labels), for_chance)
    metrics |= {"prior_error": error, "prior_excess": error - chance}
    metrics["subsample_flips"] = _subsample_flips(refine_rows, before, after, run.options["subsamples"], for_subsamples)
    return metrics


on_digits = partial(refine_and_score, dataset="digits", make_split=image_split)
on_mnist_5k = partial(refine_and_score, dataset="mnist-5k", make_split=image_split)
on_digit_pairs = partial(refine_and_score, dataset="digits", make_split=pair_split)
on_banking77 = partial(refine_and_score, dataset="banking77", make_split=text_split)
on_trec = partial(refine_and_score, dataset="trec", make_split=text_split)
on_tnews_fewclue = partial(refine_and_score, dataset="tnews-fewclue", make_split=text_split, characters=True)
on_iflytek_fewclue = partial(refine_and_score, dataset="iflytek-fewclue", make_split=text_split, characters=True)


def score(
    before: scores.Rows, after: scores.Rows, labels: scores.Labels, prior: NDArray[np.float64], run: Run
) -> dict[str, float]:
    """Metrics of test rows [N, C] before and after refining."""
    k, tau = run.options["k"], run.options["tau"]
    rows = torch.from_numpy(before)
    unsure = (top_entropy(rows, k) >= tau).numpy()
    if unsure.all() or not unsure.any():
        quantifier = "every" if unsure.all() else "no"
        raise UsageError(
            f"probabilities of shape {list(before.shape)}: {quantifier} test row is unsure at k = {k} and "
            f"tau = {tau:g}; both kinds are needed to compare them"
        )
    reweighted = PriorReweighting(k=k, tau=tau)(rows, torch.from_numpy(prior)).numpy()
    gained, lost = scores.flips(before, after, labels)
    accuracy_before, accuracy = scores.accuracy(before, labels), scores.accuracy(after, labels)
    run.outcomes("accuracy", after.argmax(axis=1) == labels)
    run.outcomes("accuracy_before", before.argmax(axis=1) == labels)
    sure_before = scores.accuracy(before[~unsure], labels[~unsure])
    unsure_before = scores.accuracy(before[unsure], labels[unsure])
    unsure_after = scores.accuracy(after[unsure], labels[unsure])
    return {
        "accuracy": accuracy,
        "accuracy_before": accuracy_before,
        "gain": accuracy - accuracy_before,
        "sure_accuracy": scores.accuracy(after[~unsure], labels[~unsure]),
        "sure_accuracy_before": sure_before,
        "unsure_accuracy": unsure_after,
        "unsure_accuracy_before": unsure_before,
        "unsure_gain": unsure_after - unsure_before,
        "sure_lead": sure_before - unsure_before,
        "unsure_share": float(unsure.mean()),
        "flips_gained": gained,
        "flips_lost": lost,
        "mcnemar_p": scores.mcnemar(gained, lost),
        "calibration_error": scores.calibration_error(after, labels),
        "calibration_error_before": scores.calibration_error(before, labels),
        "prior_distance": float(scores.total_variation(after.mean(axis=0), prior)),
        "prior_distance_before": float(scores.total_variation(before.mean(axis=0), prior)),
        "reweighting_agreement": float((after.argmax(axis=1) == reweighted.argmax(axis=1))[unsure].mean()),
        "reweighting_distance": float(scores.total_variation(after, reweighted)[unsure].mean()),
    }


def _subsample_flips(
    refine_rows: Callable[[Tensor], Tensor], before: Tensor, after: Tensor, subsamples: int, rng: np.random.Generator
) -> float:
    """Share of rows whose decision changes when a random half of the test rows is refined by itself."""
    decisions = after.argmax(dim=1)
    shares = []
    for _ in range(subsamples):
        half = torch.from_numpy(rng.permutation(len(before))[: max(1, len(before) // 2)]).to(before.device)
        shares.append((refine_rows(before[half]).argmax(dim=1) != decisions[half]).double().mean().item())
    return float(np.mean(shares))


def _tensor(rows: NDArray[np.float64], run: Run) -> Tensor:
    return torch.from_numpy(rows).to(run.device, run.dtype)


def _array(rows: Tensor) -> NDArray[np.float64]:
    return rows.detach().cpu().double().numpy()
