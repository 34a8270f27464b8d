"""Density of a sample under a variational autoencoder: bounds, importance weights, and training with them.

Claims of arXiv 1509.00519 (importance weighted autoencoders), of the article kexue.fm/archives/8791 on it, of its
replications, and of the papers on the noise of its gradient.
"""

from __future__ import annotations

from pathlib import Path

from harness.hookspecs import hookimpl
from harness.spec import Method, Metric, Option, Paper, Role, Task, Workload
from harness_plugins.vae_density.roles import ROLES

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
        "what log_density gives: elbo, the average log weight; iwae, the log of the average weight; prior, the same "
        "with samples of the prior",
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
        "bernoulli for binary pictures, gaussian for continuous ones, grey-bernoulli for a score that is neither's",
        choices=("bernoulli", "gaussian", "grey-bernoulli"),
    ),
    "epochs": Option(3280, "passes over the pictures; the paper's 3280 or fewer, every stage shortened alike", low=1),
    "batch_size": Option(20, "pictures in a minibatch, whose gradients are summed", low=1),
    "learning_rate": Option(1e-3, "of the first stage; the last has a tenth of it", low=1e-8),
    **_SAMPLED,
}
_SAMPLES = {"k": Option(5, "samples of each picture in training", low=1)}
_DIVERGENCE = {
    "kl": Option("sampled", "the divergence from the prior: sampled, or analytic", choices=("sampled", "analytic"))
}


@hookimpl
def harness_roles() -> tuple[Role, ...]:
    """What this plugin's methods are called with."""
    return ROLES


@hookimpl
def harness_methods() -> list[Method]:
    """Autoencoders under four objectives, one whose density is known, and references without networks."""
    trained = [
        ("vae", "vae", _DIVERGENCE, VAE, "ELBO from one sample"),
        ("vae-k", "averaged_vae", _SAMPLES | _DIVERGENCE, IWAE, "ELBO averaged over k samples"),
        ("iwae", "iwae", _SAMPLES, IWAE, "importance-weighted bound from k samples"),
        ("dreg", "dreg", _SAMPLES, DREG, "the same bound, the encoder's gradient doubly reparameterised"),
        ("vae-plain", "plain_vae", _DIVERGENCE, VAE, "vae with the bound written out: all samples at once"),
        ("iwae-plain", "plain_iwae", _SAMPLES, IWAE, "iwae with the bound written out: all samples at once"),
    ]
    misfit = {
        "latent": Option(10, "latent variables", low=1),
        "noise": Option(0.0, "standard deviation of p(x|z); 0: the maximum-likelihood one", low=0),
        "widen": Option(1.2, "the encoder's standard deviations over the posterior's", low=1e-3),
        "shift": Option(0.2, "how far the encoder's means are off, in each latent"),
        "shift_unit": Option(
            "posterior", "whose standard deviation the shift is counted in", choices=("posterior", "prior")
        ),
    }
    ridge = {"ridge": Option(1e-4, "added to every variance", low=0)}
    components = {"components": Option(10, "components", low=1)}
    covariance = {"covariance": Option("full", "of each component", choices=("full", "tied", "diag", "spherical"))}
    bandwidth = {"bandwidth": Option(0.0, "standard deviation of each kernel; 0: chosen on a fifth of the rows", low=0)}
    continuous = "density of continuous rows"
    references: list[tuple[str, str, dict[str, Option], Paper | None, str]] = [
        ("gaussian", "FullGaussian", ridge, None, f"one Gaussian with full covariance; {continuous}"),
        ("gmm", "Mixture", components | covariance | ridge, None, f"mixture of Gaussians; {continuous}"),
        ("kde", "Kernel", bandwidth, None, f"a Gaussian at every training row; {continuous}"),
        ("ppca", "PrincipalComponents", components, PPCA, f"scikit-learn's probabilistic components; {continuous}"),
        ("pixels", "IndependentPixels", {}, None, "every pixel on its own; probability of binary rows"),
    ]
    return [
        *(
            Method(
                name=name,
                role=_ROLE,
                build=f"{_HERE}.methods:{function}",
                options=_TRAINED | own,
                paper=paper,
                # They differ in how they are trained; from given samples each has the bound of one of these.
                reference="" if name.endswith("-plain") else "vae-plain" if name.startswith("vae") else "iwae-plain",
                help=text,
            )
            for name, function, own, paper, text in trained
        ),
        Method(
            name="linear-vae",
            role=_ROLE,
            build=f"{_HERE}.linear:LinearGaussian",
            options=misfit | _SAMPLED,
            paper=PPCA,
            help="linear autoencoder of known density, its encoder off by a chosen amount; density of continuous rows",
        ),
        *(
            Method(name=name, role=_ROLE, build=f"{_HERE}.references:{found}", options=options, paper=paper, help=text)
            for name, found, options, paper, text in references
        ),
    ]


@hookimpl
def harness_tasks() -> list[Task]:
    """Training on three data sets of binary pictures and one of continuous ones, and tasks without training."""
    count = "count of violations that chance explains once in a thousand cells"
    told = {
        "overfit": Metric("lower", "nats", "log density of as many training pictures above that of the test pictures"),
        "bound_gap": Metric("lower", "nats", "estimate from all samples above the average log weight (ELBO)"),
        "unconverged": Metric("lower", "nats", "estimate from all samples above that from a fifth of them"),
        "effective_share": Metric("higher", "fraction", "effective of the samples drawn; 1 where nothing is sampled"),
        "active_units": Metric(
            unit="count", help="latents whose posterior mean varies by more than 0.01 over pictures"
        ),
    }
    nll = Metric("lower", "nats", "mean -log P of binary test pictures, estimated from k_eval samples")
    chosen = {
        "train_images": Option(0, "pictures to train on, chosen at random; 0: all", low=0),
        "test_images": Option(0, "pictures to test on, chosen at random; 0: all", low=0),
    }
    binary = {
        "binarise": Option(
            "stochastic",
            "training pictures: drawn anew each time they are seen, once (fixed), or left grey (none: refused)",
            choices=("stochastic", "fixed", "none"),
        ),
        **chosen,
    }
    trained = [
        Task(
            name=f"density/{dataset}",
            role=_ROLE,
            run=f"{_HERE}.evaluation:on_{dataset.replace('-', '_')}",
            metrics={"nll": nll} | told,
            options=binary,
            datasets=(dataset,),
            help="train on binary pictures drawn from grey ones, then the log probability of new binary pictures",
        )
        for dataset in ("digits", "mnist-5k", "mnist")
    ]
    density = Metric("lower", "nats", "mean -log density of test pictures in the unit cube, one level's noise added")
    return [
        *trained,
        Task(
            name="density/digits-continuous",
            role=_ROLE,
            run=f"{_HERE}.evaluation:on_continuous_digits",
            metrics={"density_nll": density} | told,
            options=chosen,
            datasets=("digits",),
            help="log density of grey digits with noise of one level's width; not comparable with density/digits",
        ),
        Task(
            name="density/grey-score",
            role=_ROLE,
            run=f"{_HERE}.evaluation:grey_score",
            metrics={
                "grey_score": Metric(unit="nats", help="the Bernoulli formula on grey test pictures; no likelihood"),
                "nll": Metric("lower", "nats", "the same model on binary drawings of the same pictures"),
                "flattery": Metric(unit="nats", help="nll - grey_score: by how much the score looks better"),
            },
            options=chosen,
            datasets=("digits",),
            help="train and score on grey pixels with a Bernoulli likelihood, and ask the same model for binary ones",
        ),
        Task(
            name="density/ppca-exact",
            role=_ROLE,
            run=f"{_HERE}.exact:ppca_exact",
            metrics={
                "bound_violations": Metric("lower", "count", f"means above the exact log density: {count}"),
                "monotone_violations": Metric("lower", "count", f"means that fall with more samples: {count}"),
                "gap_violations": Metric("lower", "count", f"ELBOs off the closed-form divergence: {count}"),
                "bias": Metric("lower", "nats", "exact log density above the mean estimate from k_eval samples"),
                "first_gap": Metric("lower", "nats", "exact log density above the ELBO"),
                "spread": Metric("lower", "nats", "standard deviation of an estimate from k_eval samples"),
                "effective_share": Metric("higher", "fraction", "effective of the samples drawn"),
                "exact_nll": Metric("lower", "nats", "mean of minus the exact log density"),
            },
            options={
                "images": Option(30, "test digits, chosen at random", low=1),
                "repeats": Option(32, "independent estimates of each digit and number of samples", low=4),
            },
            datasets=("digits",),
            help="importance sampling in a linear-Gaussian model of digits against its exact log density",
        ),
        Task(
            name="density/identities",
            role=_ROLE,
            run=f"{_HERE}.identities:identities",
            metrics={
                "vae_violations": Metric("lower", "count", "images where one sample's bound is not the sampled ELBO"),
                "definition_violations": Metric("lower", "count", "images where it is not the definition, to 1e-12"),
                "analytic_violations": Metric("lower", "count", f"sampled and analytic ELBO apart: {count}"),
                "largest_error": Metric("lower", "relative", "worst error against the definition"),
                "noise_saved": Metric(
                    "higher", "fraction", "of the sampled ELBO's noise, what the analytic form saves"
                ),
            },
            options={
                "images": Option(100, "digits", low=1),
                "draws": Option(400, "samples of each digit, to compare the means of the two forms", low=4),
            },
            datasets=("digits",),
            help="objectives with one sample against the definition, on fresh networks (use float64)",
        ),
        Task(
            name="density/gradient-noise",
            role=_ROLE,
            run=f"{_HERE}.identities:gradient_noise",
            metrics={
                "encoder_snr": Metric("higher", "ratio", "mean over parameters of |mean| / standard deviation"),
                "decoder_snr": Metric("higher", "ratio", "the same over the generative model's parameters"),
            },
            options={"repeats": Option(200, "times the gradient of one minibatch is drawn", low=2)},
            datasets=("digits",),
            help="signal and noise of an objective's gradient after a short training",
        ),
    ]


@hookimpl
def harness_workloads() -> list[Workload]:
    """The published model's importance weights."""
    return [
        Workload(
            name="density/importance-weights",
            role=_ROLE,
            sizes={"samples": [50, 5000], "dimension": [784], "batch": [4, 20]},
            inputs=f"{_HERE}.workload:inputs",
            call=f"{_HERE}.workload:call",
            extremes={
                "far samples": f"{_HERE}.workload:far_samples",
                "all pixels on": f"{_HERE}.workload:all_on",
            },
            baseline="iwae-plain",
            # Log weights of hundreds of nats, known to seven digits, are compared by their exponentials.
            tolerance=1e-4,
            bytes=f"{_HERE}.workload:least_bytes",
            flops=f"{_HERE}.workload:least_flops",
            help="the K-sample bound of a batch of binary pictures, forward and backward",
        )
    ]


@hookimpl
def harness_claims() -> list[Path]:
    """What the paper, the article and the replications say."""
    return [Path(__file__).with_name("claims.toml")]
