"""Statistics of methods over all tasks of a suite, by the definitions of rliable. They test no claim.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", arXiv:2108.13264. The
package rliable itself takes no random generator and does not import with current dependencies. Scores are
[..., runs, tasks], where leading axes are resamples of a bootstrap; higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

#: Resamples of the bootstrap, and the share that its intervals cover.
RESAMPLES, COVERAGE = 2000, 0.9
#: Resamples computed at once: more do not fit into the processor's caches.
_BATCH = 200


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: Scores) -> Scores:
    """The mean of the middle half of all runs of all tasks: the 25 % trimmed mean of the flattened scores.

    At either end a whole number of values is cut off, at most a quarter.

    >>> import numpy as np
    >>> interquartile_mean(np.array([[0.0, 1.0], [2.0, 100.0]])).item()
    1.5
    """
    import numpy as np
    from scipy.stats import trim_mean

    mean: Scores = np.asarray(trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1))
    return mean


def probability_of_improvement(first: Scores, second: Scores) -> Scores:
    """The probability that a run of the first method beats one of the second on a random task; ties count half.

    The mean over tasks of the Mann-Whitney statistic over the product of both numbers of runs.

    >>> import numpy as np
    >>> probability_of_improvement(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]])).item()
    0.625
    """
    difference = first[..., :, None, :] - second[..., None, :, :]
    share: Scores = ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-3, -2, -1))
    return share


def performance_profile(scores: Scores, levels: Scores) -> Scores:
    """For each level the share of runs, over all tasks, that score above it; shape [..., levels].

    >>> import numpy as np
    >>> performance_profile(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([-1.0, 0.0, 2.5])).tolist()
    [1.0, 0.75, 0.25]
    """
    flat = scores.reshape(*scores.shape[:-2], -1, 1)
    shares: Scores = (flat > levels).mean(axis=-2)
    return shares


def stratified_bootstrap(
    statistic: Callable[[Scores], Scores],
    scores: Scores,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    coverage: float = COVERAGE,
) -> tuple[Scores, Scores]:
    """Both ends of the percentile interval of a statistic. Runs are drawn anew within each task, a stratum.

    ``scores`` is [runs, tasks], at least two runs. ``statistic`` gets them with the resamples as a leading axis.
    """
    import numpy as np
    from scipy.stats import bootstrap

    def of_tasks(*tasks: Scores, axis: int) -> Scores:  # noqa: ARG001  scipy's name; runs are the last axis
        # scipy takes the resamples last.
        return np.moveaxis(statistic(np.stack(tasks, axis=-1)), 0, -1)

    interval = bootstrap(
        tuple(scores.T),
        of_tasks,
        n_resamples=resamples,
        batch=_BATCH,
        vectorized=True,
        confidence_level=coverage,
        method="percentile",
        random_state=generator,
    ).confidence_interval
    return interval.low, interval.high


def estimated_improvement(first: Scores, second: Scores, generator: np.random.Generator) -> Estimate:
    """The probability of improvement with its interval, by the same bootstrap.

    How often each run is drawn is multinomial, and the statistic is bilinear in these counts: a matrix product takes
    the place of comparing every drawn run with every other.
    """
    import numpy as np

    draws = []
    for task in range(first.shape[1]):
        difference = first[:, None, task] - second[None, :, task]
        wins = (difference > 0) + 0.5 * (difference == 0)
        shares = [generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n for n in wins.shape]
        draws.append(((shares[0] @ wins) * shares[1]).sum(axis=1))
    low, high = np.quantile(np.mean(draws, axis=0), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(probability_of_improvement(first, second)), float(low), float(high))


def estimated_interquartile_mean(scores: Scores, generator: np.random.Generator) -> Estimate:
    """The interquartile mean with its interval."""
    low, high = stratified_bootstrap(interquartile_mean, scores, generator)
    return Estimate(float(interquartile_mean(scores)), float(low), float(high))


def normalised(by_method: Mapping[str, Sequence[Sequence[float]]], sign: int) -> dict[str, Scores]:
    """Scores on a scale that tasks share: from 0, the worst run of any method on a task, to 1, the best.

    ``by_method`` gives the runs of each method on each task, the same number everywhere; ``sign`` is -1 where lower
    is better. A task on which all runs are equal distinguishes nothing and gets 0.5.
    """
    import numpy as np

    scores = {name: sign * np.asarray(tasks, dtype=np.float64).T for name, tasks in by_method.items()}
    runs = np.concatenate(list(scores.values()))
    low, high = runs.min(axis=0), runs.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return {name: np.where(high > low, (own - low) / spread, 0.5) for name, own in scores.items()}
