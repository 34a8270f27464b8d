"""The numeric tasks: they find known errors, and no error where there is none."""

from __future__ import annotations

import math

import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness_plugins import flatnce
from harness_plugins.flatnce.losses import InfoNCE, log_odds
from harness_plugins.flatnce.rounding import identities, relative_error, rounding

TASK = "contrastive/rounding"
COUPLED = sorted(method.name for method in flatnce.harness_methods() if method.name != "dclw")


def identities_of(loss, **options):
    return identities(loss, make_run("contrastive/identities", dtype="float64", **options))


def errors(method, dtype="float32", temperature=0.05, **options):
    run = make_run(TASK, dtype=dtype, **{"k": 32, "anchors": 256, **options})
    return rounding(METHODS[method].create(temperature=temperature), run)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", COUPLED)
def test_every_method_gives_every_metric_finite_in_every_precision(name, dtype):
    metrics = errors(name, dtype)
    assert set(metrics) == set(TASKS[TASK].metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    assert all(0 <= value <= 1 for key, value in metrics.items() if key != "median_log_xi")


@pytest.mark.parametrize("name", COUPLED)
def test_errors_are_negligible_in_float64(name):
    metrics = errors(name, "float64", temperature=0.5)
    assert max(metrics[key] for key in metrics if key.endswith(("error", "p99"))) < 1e-12
    assert metrics["lost_share"] == 0


def test_softmax_form_loses_the_positive_alone_and_the_stable_form_nothing():
    softmax, stable = errors("infonce-cross-entropy"), errors("infonce")
    assert softmax["positive_gradient_error"] > 1e-3
    assert softmax["negative_gradient_error"] < 1e-5
    assert max(stable["positive_gradient_error"], stable["negative_gradient_error"]) < 1e-6


def test_naive_form_loses_the_value_and_not_the_gradient():
    naive = errors("infonce-naive")
    assert naive["value_error"] > 1e-3
    assert naive["positive_gradient_error"] < 1e-6
    assert errors("infonce-naive", "float16")["lost_share"] > 0.5
    assert errors("flatnce", "float16")["lost_share"] == 0


@pytest.mark.parametrize("k", [32, 4096])
def test_all_methods_see_the_same_scores(k):
    medians = {errors(name, k=k, anchors=64)["median_log_xi"] for name in COUPLED}
    assert len(medians) == 1


def test_temperature_of_the_method_decides_how_easy_the_anchors_are():
    assert (
        errors("infonce", temperature=0.05)["median_log_xi"] < errors("infonce", temperature=0.1)["median_log_xi"] - 3
    )


def test_rounding_of_the_scores_themselves_is_not_counted():
    """bfloat16 scores near 20 have errors of up to 0.06; a loss in float64 adds none."""
    assert errors("infonce-float64", "bfloat16")["value_error"] <= torch.finfo(torch.bfloat16).eps / 2


def test_lost_gradients_count_as_wholly_wrong():
    class Lost(InfoNCE):
        def from_scores(self, positive, negatives):
            return super().from_scores(positive, negatives) * torch.tensor(math.nan)

    metrics = rounding(Lost(), make_run(TASK, k=8, anchors=16))
    assert metrics["positive_gradient_error"] == metrics["negative_gradient_error"] == metrics["value_error"] == 1


def test_relative_error_of_a_row_that_should_be_zero():
    assert relative_error(torch.zeros(1, 2), torch.zeros(1, 2)).item() == 0
    assert relative_error(torch.ones(1, 2), torch.zeros(1, 2)).item() == 1


@pytest.mark.parametrize("name", COUPLED)
def test_identities_hold_for_every_method(name):
    metrics = identities_of(METHODS[name].create(), draws=2000)
    assert metrics["violations"] == 0
    assert metrics["largest_error"] < 1e-9


@pytest.mark.parametrize(
    "name", ["flatnce", "dcl", *(n for n in COUPLED if n.startswith("infonce") and "-res" not in n)]
)
def test_no_form_of_infonce_and_no_log_xi_is_above_xi(name):
    assert identities_of(METHODS[name].create(), draws=2000)["inequality_violations"] == 0


def test_inequality_is_that_of_the_loss_as_it_is_computed():
    class Above(InfoNCE):
        def from_scores(self, positive, negatives):
            return 1.01 * log_odds(positive, negatives).exp()

    class Lost(InfoNCE):
        def from_scores(self, positive, negatives):
            return super().from_scores(positive, negatives) * math.nan

    for wrong in (Above(), Lost()):
        assert identities_of(wrong, draws=100)["inequality_violations"] == 100
    # 1 for every anchor, as published: above xi wherever the anchor is easy.
    assert 0 < identities_of(METHODS["flatnce-detach"].create(), draws=2000)["inequality_violations"] < 2000


def test_identities_find_a_weight_that_is_wrong():
    class Wrong(InfoNCE):
        def weight(self, log_xi):
            return super().weight(log_xi) * (1 + 1e-6)

    assert identities_of(Wrong(), draws=100)["violations"] == 100


def test_method_without_a_closed_form_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="dclw"):
        errors("dclw")
