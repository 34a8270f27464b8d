"""The training behind the tasks: reproducible, the same for every method, and what its metrics say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import DATASETS, METHODS, TASKS, make_run
from scipy import stats

from harness.errors import DatasetMissing
from harness.registry.datasets import locate
from harness_plugins import gradient_penalty
from harness_plugins.gradient_penalty import equivalence, generalisation, inequality
from harness_plugins.gradient_penalty.equivalence import pearson, spearman
from harness_plugins.gradient_penalty.penalties import InputPenalty, NoPenalty
from harness_plugins.gradient_penalty.training import Labelled, checkpoints, descent, new_model, problem

PENALTIES = sorted(method.name for method in gradient_penalty.harness_methods())
SMALL = {"width": 16, "epochs": 1}
QUICK = {
    "penalty/inequality": {**SMALL, "samples": 8, "checkpoints": 2},
    "penalty/equivalence": {**SMALL, "samples": 8, "checkpoints": 3},
    "penalty/generalisation": {**SMALL, "epochs": 4, "train_size": 200},
}
ROOMS = {name: name.removeprefix("penalty/") for name in QUICK}
ON_DIGITS = {"inequality": inequality.on_digits, "equivalence": equivalence.on_digits}
ON_DIGITS["generalisation"] = generalisation.on_digits


def result(task, method="no-penalty", seed=0, **options):
    own = {key: options.pop(key) for key in ("weight", "form") if key in options}
    run = make_run(task, seed=seed, **{**QUICK[task], **options})
    return ON_DIGITS[ROOMS[task]](METHODS[method].create(**own), run), run


@pytest.mark.parametrize("task", sorted(QUICK))
def test_same_run_gives_the_same_result_bit_for_bit_and_another_seed_another(task):
    first, run = result(task)
    torch.manual_seed(99)
    again, other = result(task)
    assert first == again
    assert run.curves == other.curves
    assert result(task, seed=1)[0] != first
    assert set(first) == set(TASKS[task].metrics)
    assert all(math.isfinite(value) for value in first.values())


@pytest.mark.parametrize("method", PENALTIES)
def test_every_method_gives_every_metric_and_no_violation(method):
    for task in QUICK:
        found, _ = result(task, method)
        assert set(found) == set(TASKS[task].metrics)
        if task == "penalty/inequality":
            assert found["violations"] == found["layer_violations"] == found["frobenius_violations"] == 0


@pytest.mark.parametrize("method", [name for name in PENALTIES if name != "no-penalty"])
def test_every_penalty_starts_from_the_same_network_and_changes_its_training(method):
    plain, penalised = (result("penalty/inequality", name)[0] for name in ("no-penalty", method))
    assert plain["tightness_initial"] == penalised["tightness_initial"]
    assert plain["tightness_final"] != penalised["tightness_final"]
    assert result("penalty/inequality", method, weight=0.0)[0]["tightness_final"] == plain["tightness_final"]


@pytest.mark.parametrize("task", sorted(QUICK))
def test_every_option_takes_part(task):
    plain = result(task)[0]
    changed = {"depth": 2, "width": 8, "activation": "tanh", "initialisation": "he", "learning_rate": 0.02}
    changed |= {"batch_size": 64, "epochs": 3, "samples": 9, "checkpoints": 4, "outputs": "scalar", "function": "logit"}
    changed |= {"noise": 1.0, "train_size": 300, "loss_target": 2.25}
    for name, value in changed.items():
        if name in TASKS[task].options:
            assert result(task, **{name: value})[0] != plain, name
    if "sweep" in TASKS[task].options:
        assert result(task, "input", sweep=3)[0] != result(task, "input")[0]


def test_training_is_gradient_descent_on_loss_and_penalty():
    run = make_run("penalty/inequality", width=8, epochs=2, batch_size=600)
    task = problem(run, "digits")
    trained, by_hand = (new_model(run.options, task, torch.Generator().manual_seed(1), task.train.rows) for _ in "ab")
    penalty = InputPenalty(0.5)
    seen = list(descent(trained, penalty, task.train, task.loss_fn, run.options, torch.Generator().manual_seed(2)))
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(2):
        order = torch.randperm(len(task.train), generator=generator)
        for rows in (order[:600], order[600:1200]):
            x = task.train.rows[rows].requires_grad_()
            each = F.cross_entropy(by_hand(x), task.train.targets[rows], reduction="none")
            (at_x,) = torch.autograd.grad(each.sum(), x, create_graph=True)
            total = each.mean() + 0.5 * at_x.square().sum() / 600
            losses.append(each.mean().item())
            gradients = torch.autograd.grad(total, list(by_hand.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(by_hand.parameters(), gradients, strict=True):
                    weight.sub_(0.1 * gradient)
    assert [loss for _, loss in seen] == pytest.approx(losses, rel=1e-5)
    for mine, theirs in zip(trained.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_loss_that_is_not_finite_ends_the_cell_with_its_step():
    with pytest.raises(FloatingPointError, match="step"):
        result("penalty/inequality", learning_rate=1e30)


def test_checkpoints_include_both_ends_and_none_twice():
    assert checkpoints(3, 10) == [0, 1, 2, 3]
    assert checkpoints(100, 1) == [0, 100]


def test_task_looks_before_the_first_step_and_after_the_last():
    _, run = result("penalty/inequality")
    assert [step for step, _ in run.curves["tightness"]] == [0, 22, 44]
    assert [step for step, _ in run.curves["loss"]] == [22, 44]


def test_one_layer_with_one_output_is_an_equality_and_fails_for_batch_means():
    found, _ = result("penalty/inequality", depth=1, outputs="scalar")
    assert found["equality_gap"] < 1e-10
    assert found["batch_mean_violations"] == 3


def test_a_violation_would_be_found(monkeypatch):
    """With half the norms of the Jacobians the left side is up to four times what it should be."""
    real = inequality.bound

    def halved(*arguments):
        found = real(*arguments)
        for matrix in (found.jacobian, found.jacobian_frobenius):
            matrix.div_(2)
        return found

    monkeypatch.setattr(inequality, "bound", halved)
    found, _ = result("penalty/inequality", depth=1, outputs="scalar")
    assert found["violations"] == found["layer_violations"] == 3 * 8


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_correlations_are_scipy_s(kind):
    first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    second += first
    if kind == "ties":
        first, second = first.round(), second.round()
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic, rel=1e-12)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, rel=1e-12)
    assert pearson(first, torch.ones(50)) == 0


def test_network_that_does_not_learn_has_the_correlation_of_its_norms_and_no_variation():
    run = make_run("penalty/equivalence", **QUICK["penalty/equivalence"], learning_rate=0.0)
    found = equivalence.on_digits(NoPenalty(), run)
    drawn = torch.Generator().manual_seed(run.seed)
    task = problem(run, "digits")
    model = new_model(run.options, task, drawn, task.train.rows).double()
    rows = task.train[torch.randperm(len(task.train), generator=drawn)[:8]]
    norms = NoPenalty().norms(model, rows.rows.double(), rows.targets, task.loss_fn)
    assert found["sample_pearson"] == pytest.approx(stats.pearsonr(*norms).statistic, rel=1e-9)
    assert found["sample_spearman"] == pytest.approx(stats.spearmanr(*norms).statistic, rel=1e-9)
    quotient = norms.input / norms.parameter
    assert found["ratio_variation_samples"] == pytest.approx((quotient.std() / quotient.mean()).item(), rel=1e-9)
    assert found["ratio_growth"] == pytest.approx(1)
    for name in ("hidden_variation", "weight_variation", "jacobian_variation", "ratio_variation_time"):
        assert found[name] == pytest.approx(0, abs=1e-12)


def test_valid_rows_choose_the_weight_and_a_diverging_one_is_out(monkeypatch):
    monkeypatch.setattr(generalisation, "SWEEP_FACTOR", 1e30)
    found, _ = result("penalty/generalisation", "parameter", sweep=3, epochs=8)
    with pytest.raises(FloatingPointError):
        result("penalty/generalisation", "parameter", weight=1e28)
    single = [result("penalty/generalisation", "parameter", weight=weight, epochs=8)[0] for weight in (1e-32, 1e-2)]
    assert single[0]["valid_accuracy"] != single[1]["valid_accuracy"]
    best = max(single, key=lambda one: one["valid_accuracy"])
    for name in ("chosen_weight", "test_accuracy", "train_loss", "input_gradient"):
        assert found[name] == pytest.approx(best[name])


def test_valid_rows_and_not_the_training_loss_choose_and_of_equals_the_better_fit_wins(monkeypatch):
    valid = {0.25: 0.90, 1.0: 0.95, 4.0: 0.95, 16.0: 0.92}
    real = generalisation.train

    def told(penalty, *rest):
        fit = {0.25: 0.1, 1.0: 0.3, 4.0: 0.2, 16.0: 0.4}[penalty.weight]
        return replace(real(penalty, *rest), train_loss=fit, valid_accuracy=valid[penalty.weight])

    monkeypatch.setattr(generalisation, "train", told)
    found, _ = result("penalty/generalisation", "input", weight=1.0, sweep=4, epochs=1)
    assert found["chosen_weight"] == 4.0


def test_training_that_diverges_at_every_weight_fails():
    with pytest.raises(FloatingPointError):
        result("penalty/generalisation", "input", sweep=3, learning_rate=1e30)


def test_training_stops_at_the_loss_target_or_says_that_it_was_not_reached():
    found, _ = result("penalty/generalisation", loss_target=1.5, epochs=50)
    assert 1.45 < found["train_loss"] <= 1.5
    assert found["steps"] < 50 * 200 // 32
    with pytest.raises(RuntimeError, match=r"training loss is .* after 4 epochs, its target 0.01"):
        result("penalty/generalisation", loss_target=0.01)


def test_train_rows_beyond_those_that_are_there_are_refused():
    with pytest.raises(ValueError, match=r"train_size = 5000: the data set has \d+ rows"):
        result("penalty/generalisation", train_size=5000)


def test_valid_rows_are_no_training_rows():
    run = make_run("penalty/generalisation")
    task, valid = generalisation._split(problem(run, "digits"), 0, run.seed)
    rows = {tuple(row.tolist()) for row in task.train.rows}
    assert len(task.train) + len(valid) == len(run.data("digits")["train_images"])
    assert not any(tuple(row.tolist()) in rows for row in valid.rows)


def test_geometric_complexity_is_the_mean_square_of_the_jacobian():
    run = make_run("penalty/generalisation", width=9)
    task = problem(run, "digits")
    model = new_model(run.options, task, run.generator, task.train.rows).double()
    rows = task.train.rows[:70].double()
    expected = torch.stack([torch.func.jacrev(model)(row).square().sum() for row in rows]).mean()
    found = generalisation.geometric_complexity(model, Labelled(rows, task.train.targets[:70]))
    assert found == pytest.approx(expected.item(), rel=1e-12)


def test_noise_lowers_accuracy_and_without_noise_both_are_equal():
    found, _ = result("penalty/generalisation", epochs=20, noise=0.0)
    assert found["noisy_accuracy"] == found["test_accuracy"] > 0.7
    assert result("penalty/generalisation", epochs=20, noise=1.0)[0]["noisy_accuracy"] < found["test_accuracy"] - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("room", sorted(ON_DIGITS))
def test_tasks_run_on_mnist(room):
    try:
        locate(DATASETS["mnist"])
    except DatasetMissing:
        pytest.skip("MNIST is not on this machine (HARNESS_DATA)")
    name = f"penalty/{room}-mnist"
    options = {"samples": 4, "checkpoints": 2, "train_size": 500, "epochs": 1, "width": 16}
    run = make_run(name, **{k: v for k, v in options.items() if k in TASKS[name].options})
    module = {"inequality": inequality, "equivalence": equivalence, "generalisation": generalisation}[room]
    found = module.on_mnist(NoPenalty(), run)
    assert set(found) == set(TASKS[name].metrics)
    assert found.get("violations", 0) == 0
