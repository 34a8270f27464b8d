"""Train a classifier on real data, refine its test probabilities, and see what has become of its decisions."""

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
from harness_plugins.can.classifiers import Split, predicted
from harness_plugins.can.splits import class_prior, image_split, pair_split, shifted, text_split
from harness_plugins.can.uncertainty import top_entropy

if TYPE_CHECKING:
    from harness.running.run import Run

Refine = Callable[[Tensor, Tensor], Tensor]
MakeSplit = Callable[[dict[str, Any], "Run", np.random.Generator], Split]

#: The options that training depends on; refiners do not take part in it.
TRAINING_OPTIONS = ("classifier", "train_share", "classes", "blur")
#: Trained classifiers' splits and probabilities that are kept.
KEPT = 2
# Cells that differ only in the refiner follow each other, and each would train the very same classifier: a worker
# does so once. Everything that the result depends on is in the key.
_trained: dict[tuple[Any, ...], tuple[Split, scores.Rows, scores.Rows]] = {}


def refine_and_score(
    refine: Refine, run: Run, dataset: str, make_split: MakeSplit, characters: bool = False
) -> dict[str, float]:
    """The metrics of the tasks ``postprocess/...`` on real data.

    One seed is one draw of the training rows (and of the test rows where the set has no official ones). A
    refiner with ``fit`` is fitted on validation rows first, with the training prior; nothing is chosen on
    test rows. What is called unsure in the metrics is so by the options ``k`` and ``tau``, whatever the
    refiner thinks. Raises UsageError if every test row is sure, or none is: then the metrics do not exist.
    """
    for_split, for_classifier, for_shift, for_prior, for_subsamples = run.rng.spawn(5)
    key = (dataset, make_split, run.seed, *(run.options.get(name) for name in TRAINING_OPTIONS))
    if key not in _trained:
        while len(_trained) >= KEPT:
            del _trained[next(iter(_trained))]
        split = make_split(run.data(dataset), run, for_split)
        seed = int(for_classifier.integers(2**31))
        _trained[key] = (split, *predicted(split, run.options["classifier"], seed, characters))
    split, valid, test = _trained[key]
    kept = shifted(split.test_labels, run.options["shift"], for_shift)
    before, labels = test[kept], split.test_labels[kept]
    run.progress(1, 2)

    classes = before.shape[1]
    told = class_prior(run.options["prior"], split.train_labels, labels, classes, for_prior)
    if hasattr(refine, "fit"):
        known = np.bincount(split.train_labels, minlength=classes) / len(split.train_labels)
        refine = refine.fit(_tensor(valid, run), torch.from_numpy(split.valid_labels), _tensor(known, run))
    prior = _tensor(told, run)
    given = _tensor(before, run)
    after = refine(given, prior)
    metrics = score(_array(given), _array(after), labels, told, run)
    metrics["subsample_flips"] = _subsample_flips(refine, given, prior, after, run, for_subsamples)
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
        which = "every" if unsure.all() else "no"
        raise UsageError(
            f"probabilities of shape {list(before.shape)}: {which} test row is unsure at k = {k} and tau = {tau:g}, "
            "from row 0 on; both kinds are needed to compare them"
        )
    reweighted = PriorReweighting(k=k, tau=tau)(rows, torch.from_numpy(prior)).numpy()
    gained, lost = scores.flips(before, after, labels)
    was, now = scores.accuracy(before, labels), scores.accuracy(after, labels)
    sure_before = scores.accuracy(before[~unsure], labels[~unsure])
    unsure_before = scores.accuracy(before[unsure], labels[unsure])
    unsure_after = scores.accuracy(after[unsure], labels[unsure])
    return {
        "accuracy": now,
        "accuracy_before": was,
        "gain": now - was,
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
    refine: Refine, given: Tensor, prior: Tensor, after: Tensor, run: Run, rng: np.random.Generator
) -> float:
    """Share of rows that are decided otherwise when a random half of the test rows is refined by itself."""
    whole = after.argmax(dim=1)
    shares = []
    for _ in range(run.options["subsamples"]):
        half = torch.from_numpy(rng.permutation(len(given))[: max(1, len(given) // 2)]).to(given.device)
        shares.append((refine(given[half], prior).argmax(dim=1) != whole[half]).double().mean().item())
    return float(np.mean(shares))


def _tensor(rows: NDArray[np.float64], run: Run) -> Tensor:
    return torch.from_numpy(rows).to(run.device, run.dtype)


def _array(rows: Tensor) -> NDArray[np.float64]:
    return rows.detach().cpu().double().numpy()
