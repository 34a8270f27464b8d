"""Autoencoders with four objectives, an autoencoder of known density, and references without networks."""

from __future__ import annotations

from harness.spec import Method, Option, Paper

_HERE = "harness_plugins.vae_density"
_ROLE = "density-estimator"

VAE = Paper(
    title="Auto-Encoding Variational Bayes",
    url="https://arxiv.org/abs/1312.6114",
    year=2013,
    authors="Kingma, Welling",
)
IWAE = Paper(
    title="Importance Weighted Autoencoders",
    url="https://arxiv.org/abs/1509.00519",
    year=2015,
    authors="Burda, Grosse, Salakhutdinov",
)
DREG = Paper(
    title="Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives",
    url="https://arxiv.org/abs/1810.04152",
    year=2018,
    authors="Tucker, Lawson, Gu, Maddison",
)
PPCA = Paper(
    title="Probabilistic Principal Component Analysis",
    url="https://doi.org/10.1111/1467-9868.00196",
    year=1999,
    authors="Tipping, Bishop",
)

_SAMPLED = {
    "estimator": Option(
        "iwae",
        "estimate of the log density: elbo, the average log weight; iwae, the log of the average weight; prior, the "
        "log of the average weight of samples from the prior",
        choices=("elbo", "iwae", "prior"),
    ),
    "k_eval": Option(5000, "samples for one estimate of a log density", low=1),
}
_TRAINED = {
    "layers": Option(1, "layers of latent variables", low=1, high=2),
    "hidden": Option(200, "width of the two tanh layers; half of it in the upper part of a two-layer model", low=1),
    "latent": Option(50, "latent variables; a two-layer model has twice as many in its lower layer", low=1),
    "likelihood": Option(
        "bernoulli",
        "bernoulli for binary pictures, gaussian for continuous ones, grey-bernoulli for a score of grey pictures",
        choices=("bernoulli", "gaussian", "grey-bernoulli"),
    ),
    "epochs": Option(3280, "passes over the pictures; fewer than the paper's 3280 shorten each stage alike", low=1),
    "batch_size": Option(20, "pictures in a minibatch, whose gradients are summed", low=1),
    "learning_rate": Option(1e-3, "of the first stage; the last has a tenth of it", low=1e-8),
    **_SAMPLED,
}
_SAMPLES = {"k": Option(5, "samples of each picture in training", low=1)}
_DIVERGENCE = {
    "kl": Option("sampled", "the divergence from the prior: sampled, or analytic", choices=("sampled", "analytic"))
}
_MISFIT = {
    "latent": Option(10, "latent variables", low=1),
    "noise": Option(0.0, "standard deviation of p(x|z); 0: the maximum-likelihood one", low=0),
    "widen": Option(1.2, "the encoder's standard deviations over the posterior's", low=1e-3),
    "shift": Option(0.2, "error of the encoder's mean in each latent"),
    "shift_unit": Option(
        "posterior", "unit of the shift: a standard deviation of this", choices=("posterior", "prior")
    ),
}
_RIDGE = {"ridge": Option(1e-4, "added to every variance", low=0)}
_COMPONENTS = {"components": Option(10, "components", low=1)}
_COVARIANCE = {"covariance": Option("full", "of each component", choices=("full", "tied", "diag", "spherical"))}
_BANDWIDTH = {"bandwidth": Option(0.0, "standard deviation of each kernel; 0: chosen on a fifth of the rows", low=0)}


def _trained(name: str, function: str, options: dict[str, Option], paper: Paper, help_text: str) -> Method:
    # A method's objective matters in training only: for the same samples its bound equals that of its reference.
    reference = "vae-plain" if name.startswith("vae") else "iwae-plain"
    return Method(
        name=name,
        role=_ROLE,
        build=f"{_HERE}.builders:{function}",
        options=_TRAINED | options,
        paper=paper,
        reference="" if name == reference else reference,
        help=help_text,
    )


def _without_network(
    name: str, class_name: str, options: dict[str, Option], help_text: str, paper: Paper | None = None
) -> Method:
    build = f"{_HERE}.references:{class_name}"
    return Method(name=name, role=_ROLE, build=build, options=options, paper=paper, help=help_text)


METHODS = (
    _trained("vae", "vae", _DIVERGENCE, VAE, "ELBO from one sample"),
    _trained("vae-k", "averaged_vae", _SAMPLES | _DIVERGENCE, IWAE, "ELBO averaged over k samples"),
    _trained("iwae", "iwae", _SAMPLES, IWAE, "importance-weighted bound from k samples"),
    _trained("dreg", "dreg", _SAMPLES, DREG, "the bound of iwae, the encoder's gradient doubly reparameterised"),
    _trained("vae-plain", "plain_vae", _DIVERGENCE, VAE, "vae with the bound from all samples at once"),
    _trained("iwae-plain", "plain_iwae", _SAMPLES, IWAE, "iwae with the bound from all samples at once"),
    Method(
        name="linear-vae",
        role=_ROLE,
        build=f"{_HERE}.linear:LinearGaussian",
        options=_MISFIT | _SAMPLED,
        paper=PPCA,
        help="linear autoencoder of known density with an encoder of known error; density of continuous rows",
    ),
    _without_network(
        "gaussian", "FullGaussian", _RIDGE, "one Gaussian with full covariance; density of continuous rows"
    ),
    _without_network(
        "gmm", "Mixture", _COMPONENTS | _COVARIANCE | _RIDGE, "mixture of Gaussians; density of continuous rows"
    ),
    _without_network("kde", "Kernel", _BANDWIDTH, "a Gaussian at every training row; density of continuous rows"),
    _without_network(
        "ppca",
        "PrincipalComponents",
        _COMPONENTS,
        "scikit-learn's probabilistic principal components; density of continuous rows",
        PPCA,
    ),
    _without_network("pixels", "IndependentPixels", {}, "independent pixels; probability of binary rows"),
)
