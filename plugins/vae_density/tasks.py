"""The tasks ``density/...``: training on binary and on continuous pictures, and tasks without training."""

from __future__ import annotations

from typing import Literal

from harness.spec import Metric, Option, Task

_HERE = "harness_plugins.vae_density"
_ROLE = "density-estimator"
#: The false alarms of a count of violations.
_FALSE_ALARMS = "chance alone gives one in at most 1 of 10,000 cells"

_FITTED = {
    "overfit": Metric("lower", "nats", "log density of as many training pictures above that of the test pictures"),
    "bound_gap": Metric("lower", "nats", "estimate from all samples above the average log weight (ELBO)"),
    "unconverged": Metric("lower", "nats", "estimate from all samples above that from a fifth of them"),
    "effective_share": Metric("higher", "fraction", "effective of the samples drawn; 1 where nothing is sampled"),
    "active_units": Metric(unit="count", help="latents whose posterior mean varies by more than 0.01 over pictures"),
}
_NLL = Metric("lower", "nats", "mean -log P of binary test pictures, estimated from k_eval samples")
_DENSITY_NLL = Metric(
    "lower", "nats", "mean -log density of test pictures in the unit cube, with noise of one grey level"
)
_PICTURES = {
    "train_images": Option(0, "pictures to train on, chosen at random; 0: all", low=0),
    "test_images": Option(0, "pictures to test on, chosen at random; 0: all", low=0),
}
_BINARY = {
    "binarise": Option(
        "stochastic",
        "training pictures: drawn anew for each minibatch, drawn once (fixed), or left grey (none: refused)",
        choices=("stochastic", "fixed", "none"),
    ),
    **_PICTURES,
}


def _on_binary(dataset: str, test_set: Literal["fixed", "redrawn"]) -> Task:
    return Task(
        name=f"density/{dataset}",
        role=_ROLE,
        run=f"{_HERE}.evaluation:on_{dataset.replace('-', '_')}",
        metrics={"nll": _NLL} | _FITTED,
        options=_BINARY,
        datasets=(dataset,),
        test_set=test_set,
        help="train on binary pictures drawn from grey ones, then the log probability of new binary pictures",
    )


_ON_CONTINUOUS = Task(
    name="density/digits-continuous",
    role=_ROLE,
    run=f"{_HERE}.evaluation:on_continuous_digits",
    metrics={"density_nll": _DENSITY_NLL} | _FITTED,
    options=_PICTURES,
    datasets=("digits",),
    test_set="fixed",
    help="log density of grey digits with noise of one grey level; not comparable with density/digits",
)
_GREY_SCORE = Task(
    name="density/grey-score",
    role=_ROLE,
    run=f"{_HERE}.evaluation:grey_score",
    metrics={
        "grey_score": Metric(unit="nats", help="the Bernoulli formula on grey test pictures; no likelihood"),
        "nll": Metric("lower", "nats", "the same model on binary drawings of the same pictures"),
        "flattery": Metric(unit="nats", help="nll - grey_score: by how much the score looks better"),
    },
    options=_PICTURES,
    datasets=("digits",),
    test_set="fixed",
    help="train and score on grey pixels with a Bernoulli likelihood, then score binary pictures with the same model",
)
_EXACT = Task(
    name="density/ppca-exact",
    role=_ROLE,
    run=f"{_HERE}.exact:ppca_exact",
    metrics={
        "bound_violations": Metric("lower", "count", f"means above the exact log density; {_FALSE_ALARMS}"),
        "monotone_violations": Metric("lower", "count", f"means that fall with more samples; {_FALSE_ALARMS}"),
        "gap_violations": Metric(
            "lower", "count", f"ELBOs that differ from the closed-form divergence; {_FALSE_ALARMS}"
        ),
        "bias": Metric("lower", "nats", "exact log density above the mean estimate from k_eval samples"),
        "first_gap": Metric("lower", "nats", "exact log density above the ELBO"),
        "spread": Metric("lower", "nats", "standard deviation of an estimate from k_eval samples"),
        "effective_share": Metric("higher", "fraction", "effective of the samples drawn"),
        "exact_nll": Metric("lower", "nats", "mean of minus the exact log density"),
    },
    options={
        "images": Option(30, "test digits, chosen at random", low=1),
        "repeats": Option(32, "independent estimates for each digit and number of samples", low=4),
    },
    datasets=("digits",),
    test_set="redrawn",
    help="importance sampling in a linear-Gaussian model of digits compared with its exact log density",
)
_IDENTITIES = Task(
    name="density/identities",
    role=_ROLE,
    run=f"{_HERE}.identities:identities",
    metrics={
        "vae_violations": Metric("lower", "count", "images whose bound from one sample is not the sampled ELBO"),
        "definition_violations": Metric("lower", "count", "images where it is not the definition, to 1e-12"),
        "analytic_violations": Metric(
            "lower", "count", f"images whose sampled and analytic ELBO differ in the mean; {_FALSE_ALARMS}"
        ),
        "largest_error": Metric("lower", "relative", "largest distance from the definition"),
        "noise_saved": Metric("higher", "fraction", "share of the sampled ELBO's noise that the analytic form removes"),
    },
    options={
        "images": Option(100, "digits", low=1),
        "draws": Option(400, "samples of each digit, to compare the means of the two forms", low=4),
    },
    datasets=("digits",),
    help="objectives with one sample compared with the definition, on fresh networks (use float64)",
)
_GRADIENT_NOISE = Task(
    name="density/gradient-noise",
    role=_ROLE,
    run=f"{_HERE}.identities:gradient_noise",
    metrics={
        "encoder_snr": Metric("higher", "ratio", "mean over parameters of |mean| / standard deviation"),
        "decoder_snr": Metric("higher", "ratio", "the same over the generative model's parameters"),
    },
    options={"repeats": Option(200, "draws of the gradient of one minibatch", low=2)},
    datasets=("digits",),
    help="signal and noise of an objective's gradient after a short training",
)

TASKS = (
    # The same digits are always tested, in new binary drawings; of the larger sets suites draw some by the seed.
    _on_binary("digits", "fixed"),
    _on_binary("mnist-5k", "redrawn"),
    _on_binary("mnist", "redrawn"),
    _ON_CONTINUOUS,
    _GREY_SCORE,
    _EXACT,
    _IDENTITIES,
    _GRADIENT_NOISE,
)
