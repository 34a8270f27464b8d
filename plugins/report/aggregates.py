"""Methods over all tasks of a suite, by rliable's definitions: beside the verdicts, never instead of them.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", arXiv:2108.13264. The
package itself takes no random generator and does not import with current dependencies; the definitions are short.
Scores are [..., runs, tasks], where leading axes are resamples of a bootstrap; higher is better.
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
#: Resamples computed in one go: more would not fit into the processor's caches.
_AT_ONCE = 200


@dataclass(frozen=True)
class Estimate:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: Scores) -> Scores:
    """The mean of the middle half of all runs of all tasks: the 25 % trimmed mean of the flattened scores.

    As many values as are a whole quarter of their number are cut off at either end.

    >>> import numpy as np
    >>> interquartile_mean(np.array([[0.0, 1.0], [2.0, 100.0]])).item()
    1.5
    """
    import numpy as np

    flat = np.sort(scores.reshape(*scores.shape[:-2], -1))
    cut = flat.shape[-1] // 4
    middle: Scores = flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)
    return middle


def probability_of_improvement(ours: Scores, theirs: Scores) -> Scores:
    """The chance that a run of ours beats one of theirs on a task drawn at random; ties count half.

    The mean over tasks of the Mann-Whitney statistic over both numbers of runs.

    >>> import numpy as np
    >>> probability_of_improvement(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]])).item()
    0.625
    """
    difference = ours[..., :, None, :] - theirs[..., None, :, :]
    share: Scores = ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-3, -2, -1))
    return share


def performance_profile(scores: Scores, levels: Scores) -> Scores:
    """For each level the share of runs, over all tasks, that score above it; shape [levels].

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
    """Both ends of the percentile interval of a statistic, runs being drawn anew within each task.

    ``scores`` is [runs, tasks]; a task is a stratum. ``statistic`` takes them with the resamples as a leading axis.
    """
    import numpy as np

    drawn = []
    for start in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - start)
        rows = generator.integers(scores.shape[0], size=(count, *scores.shape))
        drawn.append(statistic(np.take_along_axis(scores[None], rows, axis=1)))
    low, high = np.quantile(np.concatenate(drawn), _tails(coverage), axis=0)
    return low, high


def _tails(coverage: float) -> tuple[float, float]:
    return (1 - coverage) / 2, (1 + coverage) / 2


def estimated_improvement(ours: Scores, theirs: Scores, generator: np.random.Generator) -> Estimate:
    """The probability of improvement with the same interval.

    How often each run is drawn is multinomial, and the statistic is bilinear in these counts: a matrix product takes
    the place of comparing every drawn run with every other.
    """
    import numpy as np

    draws = []
    for task in range(ours.shape[1]):
        difference = ours[:, None, task] - theirs[None, :, task]
        won = (difference > 0) + 0.5 * (difference == 0)
        shares = [generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n for n in won.shape]
        draws.append(((shares[0] @ won) * shares[1]).sum(axis=1))
    low, high = np.quantile(np.mean(draws, axis=0), _tails(COVERAGE))
    return Estimate(float(probability_of_improvement(ours, theirs)), float(low), float(high))


def estimated_middle(scores: Scores, generator: np.random.Generator) -> Estimate:
    """The interquartile mean with its interval."""
    low, high = stratified_bootstrap(interquartile_mean, scores, generator=generator)
    return Estimate(float(interquartile_mean(scores)), float(low), float(high))


def normalised(by_method: Mapping[str, Sequence[Sequence[float]]], sign: int) -> dict[str, Scores]:
    """Scores on a scale that tasks share: from 0, the worst run of any method on a task, to 1, the best.

    ``by_method`` gives for each task the runs of a method, as many for each; ``sign`` is -1 where lower is better.
    A task on which all runs are equal tells nothing and gets 0.5.
    """
    import numpy as np

    arrays = {name: sign * np.asarray(tasks, dtype=np.float64).T for name, tasks in by_method.items()}
    every = np.concatenate(list(arrays.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return {name: np.where(high > low, (one - low) / spread, 0.5) for name, one in arrays.items()}
