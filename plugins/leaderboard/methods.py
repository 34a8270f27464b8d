"""Five means, and four rules that only count which system beats which."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

HONEST_BENCHMARK = Paper(
    title="How not to Lie with a Benchmark: Rearranging NLP Leaderboards",
    url="https://arxiv.org/abs/2112.01342",
    year=2021,
    authors="Shavrina, Malykh",
)

#: Options of the means that need scores above 0.
_POSITIVE = {
    "nonpositive": Option(
        "refuse",
        "a score of 0 or less: refuse it as an error, drop it as if it were missing, or clip it to floor",
        choices=("refuse", "drop", "clip"),
    ),
    "floor": Option(0.1, "least score under nonpositive = 'clip', in the table's unit", low=1e-9),
}
_DRAWS = {"draws": Option(0.1, "drawn games added between every two systems; 0 for none", low=0, high=1e6)}


def _method(
    name: str, code: str, help_text: str, options: dict[str, Option] | None = None, paper: Paper | None = None
) -> Method:
    return Method(
        name=name,
        role="score-aggregate",
        build=f"harness_plugins.leaderboard.aggregates:{code}",
        options=options or {},
        paper=paper,
        help=help_text,
    )


METHODS = (
    _method("arithmetic", "Arithmetic", "mean of a system's scores, as on the leaderboards"),
    _method("geometric", "Geometric", "exp of the mean logarithm", _POSITIVE, HONEST_BENCHMARK),
    _method("harmonic", "Harmonic", "one over the mean reciprocal", _POSITIVE, HONEST_BENCHMARK),
    _method("median", "Median", "median of a system's scores"),
    _method("interquartile-mean", "InterquartileMean", "mean without the lowest and the highest quarter"),
    _method("mean-rank", "MeanRank", "minus the mean of a system's ranks over tasks"),
    _method("mean-win-rate", "MeanWinRate", "mean share of the other systems that it beats on a task"),
    _method("borda", "Borda", "a point for each system beaten on each task; a missing cell earns none"),
    _method("bradley-terry", "BradleyTerry", "log strengths that best explain which system beats which", _DRAWS),
)
