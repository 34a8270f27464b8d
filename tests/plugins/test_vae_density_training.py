"""Fitting and evaluation: random draws, training, metrics and refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run
from scipy import stats

from harness.errors import UsageError
from harness_plugins.vae_density.estimator import PAPER_EPOCHS, VariationalDensity, stage_factor
from harness_plugins.vae_density.evaluation import grey_score, on_continuous_digits, on_digits
from harness_plugins.vae_density.linear import LinearGaussian
from harness_plugins.vae_density.networks import Sizes
from harness_plugins.vae_density.observations import binarise, dequantise
from harness_plugins.vae_density.references import FullGaussian, IndependentPixels, Kernel

TINY = {"hidden": 6, "latent": 3, "epochs": 1, "batch_size": 40, "k_eval": 20}


def result(method="iwae", task="density/digits", run_options=None, seed=0, **options):
    run = make_run(task, seed=seed, **{"train_images": 200, "test_images": 50, **(run_options or {})})
    function = {"density/digits": on_digits, "density/digits-continuous": on_continuous_digits}[task]
    return function(METHODS[method].create(**{**TINY, **options}), run), run


def test_result_is_the_same_bit_for_bit_in_every_run():
    first, first_run = result(k=3)
    torch.manual_seed(99)
    second, second_run = result(k=3)
    assert first == second
    assert first_run.curves == second_run.curves
    assert set(first) == set(TASKS["density/digits"].metrics)
    assert result(k=3, seed=1)[0] != first


def test_weights_order_and_pictures_do_not_depend_on_the_objective():
    pictures, weights = {}, {}
    for method, k in (("vae", 1), ("iwae", 5), ("dreg", 7)):
        batches = []

        def redraw(rows, generator, batches=batches):
            batches.append(binarise(rows, generator))
            return batches[-1]

        estimator = METHODS[method].create(**TINY, **({} if method == "vae" else {"k": k}))
        starts = []
        start = estimator.start
        estimator.start = lambda *arguments, start=start, starts=starts: starts.append(start(*arguments)) or starts[-1]
        grey = torch.rand(90, 1, 2, 3, generator=torch.Generator().manual_seed(0))
        # Steps of no length, so that the weights stay those of the start.
        estimator._learning_rate = 1e-30
        estimator.fit(grey, generator=torch.Generator().manual_seed(5), redraw=redraw)
        pictures[method] = torch.cat(batches)
        weights[method] = [p.detach() for p in starts[0].parameters()]
    for method in ("iwae", "dreg"):
        assert torch.equal(pictures["vae"], pictures[method])
        for weight, expected in zip(weights[method], weights["vae"], strict=True):
            torch.testing.assert_close(weight, expected, rtol=0, atol=1e-20)


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("vae", {"kl": "analytic"}),
        ("vae-k", {"k": 2}),
        ("iwae", {"k": 2}),
        *(("iwae", {name: value}) for name, value in (("layers", 2), ("hidden", 5), ("latent", 2), ("epochs", 2))),
        *(("iwae", {name: value}) for name, value in (("batch_size", 30), ("learning_rate", 0.1), ("k_eval", 21))),
        ("iwae", {"estimator": "elbo"}),
        ("iwae", {"estimator": "prior"}),
    ],
)
def test_every_option_changes_the_result(method, changed):
    assert result(method, **changed)[0]["nll"] != result(method)[0]["nll"]


def test_objectives_and_binarisation_train_different_models():
    scores = [result(method)[0]["nll"] for method in ("vae", "vae-k", "iwae", "dreg")]
    scores.append(result("vae", run_options={"binarise": "fixed"})[0]["nll"])
    assert len(set(scores)) == 5


def test_training_beats_independent_pixels_and_the_elbo_is_below_the_estimate():
    images = {"train_images": 600, "test_images": 100}
    trained, _ = result("iwae", run_options=images, hidden=48, latent=8, epochs=25, batch_size=20, learning_rate=0.01)
    run = make_run("density/digits", **images)
    pixels = on_digits(METHODS["pixels"].create(), run)
    assert trained["nll"] < pixels["nll"] - 1
    assert trained["bound_gap"] > 0.1
    assert pixels["bound_gap"] == pixels["unconverged"] == pixels["active_units"] == 0


def test_binary_pixels_are_one_with_their_grey_value_as_probability():
    grey = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).expand(20_000, 5)
    drawn = binarise(grey, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn[:, 0] == 0).all()
    assert (drawn[:, 4] == 1).all()
    ones = drawn[:, 1:4].sum(0)
    for count, share in zip(ones.tolist(), (0.1, 0.5, 0.9), strict=True):
        assert stats.binomtest(int(count), 20_000, share).pvalue > 1e-4
    # Pixels and rows are independent.
    assert abs(np.corrcoef(drawn[:, 1:4].T.numpy())[np.triu_indices(3, 1)]).max() < 0.03


def test_stochastic_pictures_are_drawn_for_each_minibatch_and_fixed_ones_once():
    class Spy:
        measure = "mass"

        def fit(self, x, *, redraw=None, generator=None):
            self.drawn = [x if redraw is None else redraw(x, generator) for _ in range(2)]

        def log_density(self, x):
            return torch.zeros(len(x))

    for binarised, same in (("stochastic", False), ("fixed", True)):
        spy = Spy()
        on_digits(spy, make_run("density/digits", binarise=binarised))
        first, second = spy.drawn
        assert torch.equal(first, second) == same
        assert set(first.unique().tolist()) == {0.0, 1.0}


def test_dequantised_pixels_fill_the_unit_interval_evenly():
    levels = torch.arange(17.0).repeat(2000)[:, None] / 16
    pixels = dequantise(levels, torch.Generator().manual_seed(0), levels=17)
    assert stats.kstest(pixels.flatten().numpy(), "uniform").pvalue > 1e-3
    assert torch.equal((pixels * 17).floor() / 16, levels)


def test_schedule_equals_the_published_one():
    rates = [round(1e-3 * stage_factor(epoch, PAPER_EPOCHS), 6) for epoch in range(PAPER_EPOCHS)]
    lengths = [(rate, len(list(group))) for rate, group in itertools.groupby(rates)]
    printed = [(1e-4 * round(10 ** (1 - (i - 1) / 7), 1), 3 ** (i - 1)) for i in range(1, 9)]
    assert [(pytest.approx(rate), epochs) for rate, epochs in printed] == lengths
    # With half as many steps every stage is half as long.
    assert [stage_factor(step, 1640) for step in range(1640)] == [stage_factor(2 * e, 3280) for e in range(1640)]


def test_default_options_are_the_published_protocol():
    options = {name: option.default for name, option in METHODS["iwae"].options.items()}
    assert options["epochs"] == 3280
    assert (options["batch_size"], options["k_eval"], options["hidden"], options["latent"]) == (20, 5000, 200, 50)
    assert options["learning_rate"] == 1e-3
    assert Sizes(784, 200, 50, 2).latents == (100, 50)


@pytest.mark.parametrize("layers", [1, 2])
def test_active_units_are_those_whose_mean_varies(layers):
    estimator = VariationalDensity("iwae", hidden=8, latent=4, layers=layers)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(500, 6, generator=generator, dtype=torch.float64) < 0.5).double()
    model = estimator.start(x, generator)
    with torch.no_grad():
        for layer, alive in zip(model.encoder, (3, 1), strict=False):
            features = layer.hidden(x if layer is model.encoder[0] else torch.zeros(500, 8, dtype=torch.float64))
            scale = 0.2 / (features @ layer.mean.weight.T).std(0).clamp_min(1e-9)
            # Variance 0.04 is active, 0.0025 is not.
            if layer is model.encoder[0]:
                layer.mean.weight.mul_(scale[:, None])
            layer.mean.weight[alive:] *= 0.25 if layer is model.encoder[0] else 0.0
    assert estimator.active_units(x, generator=generator) == (3 if layers == 1 else 4)


class Plain:
    """An estimator that has only fit, log_density and measure."""

    measure = "mass"

    def fit(self, x):
        self.mean = (x.flatten(1).double().mean(0) + 0.01) / 1.02

    def log_density(self, x):
        rows = x.flatten(1).double()
        return (rows * self.mean.log() + (1 - rows) * (1 - self.mean).log()).sum(1)


def test_plain_estimator_runs_and_wrong_results_are_refused():
    metrics = on_digits(Plain(), make_run("density/digits"))
    assert 10 < metrics["nll"] < 60

    class Infinite(Plain):
        def log_density(self, x):
            log_density = super().log_density(x)
            log_density[3] = -torch.inf
            return log_density

    class Scalar(Plain):
        def log_density(self, x):
            return super().log_density(x).sum()

    with pytest.raises(UsageError, match=r"x \[359, 1, 8, 8\] returned -inf for row 3: a finite number"):
        on_digits(Infinite(), make_run("density/digits"))
    with pytest.raises(UsageError, match=r"returned \[\]: one number for each row"):
        on_digits(Scalar(), make_run("density/digits"))


def test_grey_pictures_are_refused_where_binary_ones_are_compared():
    with pytest.raises(UsageError, match="binarise = 'none' leaves grey pixels"):
        result(run_options={"binarise": "none"})
    estimator = VariationalDensity("iwae", **TINY).fit(torch.eye(6))
    with pytest.raises(ValueError, match=r"x of shape \[2, 6\]: row 1 holds 0.5; 0 or 1 is needed"):
        estimator.log_density(torch.tensor([[0.0] * 6, [1.0] * 5 + [0.5]]))
    with pytest.raises(UsageError, match=r"no log probability .* not comparable"):
        result("iwae", likelihood="grey-bernoulli")


@pytest.mark.parametrize(
    ("task", "method", "options"),
    [
        ("density/digits", "gaussian", {}),
        ("density/digits", "iwae", {"likelihood": "gaussian"}),
        ("density/digits-continuous", "pixels", {}),
        ("density/digits-continuous", "iwae", {}),
    ],
)
def test_estimators_of_another_measure_are_refused(task, method, options):
    function = on_digits if task == "density/digits" else on_continuous_digits
    with pytest.raises(UsageError, match="not comparable"):
        function(METHODS[method].create(**options), make_run(task))


def test_grey_score_is_reported_with_the_likelihood_and_is_not_better_for_the_same_model():
    """log p(x) is convex in the pixels, so the score of a grey picture is at most the mean of its drawings."""
    run = make_run("density/grey-score", train_images=300, test_images=100)
    options = {**TINY, "epochs": 5, "k_eval": 200, "likelihood": "grey-bernoulli"}
    metrics = grey_score(METHODS["iwae"].create(**options), run)
    assert metrics["flattery"] == pytest.approx(metrics["nll"] - metrics["grey_score"])
    assert metrics["flattery"] < 0.3
    with pytest.raises(UsageError, match="measure 'score'"):
        grey_score(METHODS["iwae"].create(), run)


def test_continuous_digits_are_scored_with_and_without_networks():
    for method, options in (("gaussian", {}), ("gmm", {"components": 2}), ("kde", {}), ("ppca", {})):
        run = make_run("density/digits-continuous", train_images=300, test_images=50)
        metrics = on_continuous_digits(METHODS[method].create(**options), run)
        assert set(metrics) == set(TASKS["density/digits-continuous"].metrics)
        assert metrics["density_nll"] < 0
    trained, _ = result("vae", "density/digits-continuous", likelihood="gaussian", epochs=3)
    assert math.isfinite(trained["density_nll"])


def test_references_equal_independent_densities():
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    array = rows.numpy()
    expected = stats.multivariate_normal(array.mean(0), np.cov(array.T, bias=True) + 1e-4 * np.eye(3)).logpdf(array)
    np.testing.assert_allclose(FullGaussian(ridge=1e-4).fit(rows).log_density(rows).numpy(), expected, rtol=1e-6)
    each = stats.norm.logpdf(array[:, None] - array[None], scale=0.4).sum(2)
    expected = np.log(np.exp(each).mean(1))
    np.testing.assert_allclose(Kernel(bandwidth=0.4).fit(rows).log_density(rows).numpy(), expected, rtol=1e-6)
    binary = (rows > 0.3).double()
    mean = (binary.sum(0) + 1) / 62
    expected = stats.bernoulli.logpmf(binary.numpy().astype(int), mean.numpy()).sum(1)
    np.testing.assert_allclose(IndependentPixels().fit(binary).log_density(binary).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VariationalDensity("iwae", k=0), r"k = 0: a value above 0"),
        (lambda: VariationalDensity("iwae", k_eval=0), r"k_eval = 0"),
        (lambda: VariationalDensity("iwae", layers=3), r"layers = 3: 1 or 2"),
        (lambda: VariationalDensity("iwae", **TINY).fit(torch.eye(3)[:1]), r"x of shape \[1, 3\]: at least 2 rows"),
        (lambda: VariationalDensity("iwae").fit(torch.full((2, 3), 2.0)), r"x of shape \[2, 3\]: row 0 holds 2"),
        (lambda: LinearGaussian(latent=2).fit(torch.eye(4)[:1]), r"\[1, 4\]: at least 2 rows"),
        (lambda: LinearGaussian(latent=4).fit(torch.eye(4)), r"\[4, 4\]: latent = 4 needs more columns"),
        (lambda: FullGaussian().fit(torch.zeros(1, 3)), r"\[1, 3\]: at least 2 rows"),
        (lambda: FullGaussian().fit(torch.tensor([[0.0], [torch.nan]])), r"row 1 holds nan"),
        (lambda: binarise(torch.tensor([[0.5], [-0.1]]), torch.Generator()), r"row 1 holds -0.1; values in \[0, 1\]"),
    ],
)
def test_error_about_bad_input_names_argument_shape_and_row(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_use_is_refused():
    fitted = VariationalDensity("iwae", **TINY).fit(torch.eye(6))
    with pytest.raises(ValueError, match=r"x of shape \[2, 5\]: rows of 6 numbers are needed"):
        fitted.log_density(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"\[1, 6\]: at least 2 rows .* variance over one image"):
        fitted.active_units(torch.zeros(1, 6))
    with pytest.raises(TypeError, match="int64"):
        fitted.log_density(torch.zeros(2, 6, dtype=torch.long))
    for unfitted in (VariationalDensity("iwae"), LinearGaussian(), FullGaussian(), IndependentPixels()):
        with pytest.raises(UsageError, match=r"call fit\(x\) first"):
            unfitted.log_density(torch.zeros(2, 6))


def test_error_about_diverging_training_names_the_step():
    with pytest.raises(FloatingPointError, match=r"the bound is .* at step \d+ of"):
        VariationalDensity("iwae", **{**TINY, "epochs": 30, "learning_rate": 1e30}).fit(torch.eye(6))
