"""The training of the tasks: reproducible, the same for every method, with the right metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import METHODS, TASKS, make_run
from scipy import stats

from harness_plugins import gradient_penalty
from harness_plugins.gradient_penalty import equivalence, generalisation, inequality
from harness_plugins.gradient_penalty.equivalence import pearson, spearman
from harness_plugins.gradient_penalty.penalties import InputPenalty, NoPenalty
from harness_plugins.gradient_penalty.training import accuracy, checkpoints, descent, new_model, problem
from harness_plugins.images.labelled import Labelled

PENALTIES = sorted(method.name for method in gradient_penalty.harness_methods())
SMALL = {"width": 16, "epochs": 1}
QUICK = {
    "penalty/inequality": {**SMALL, "samples": 8, "checkpoints": 2},
    "penalty/equivalence": {**SMALL, "samples": 8, "checkpoints": 3},
    "penalty/generalisation": {**SMALL, "epochs": 4, "train_size": 200},
}
MODULES = {name: name.removeprefix("penalty/") for name in QUICK}
ON_DIGITS = {"inequality": inequality.on_digits, "equivalence": equivalence.on_digits}
ON_DIGITS["generalisation"] = generalisation.on_digits


def result(task, method="no-penalty", seed=0, **options):
    of_method = {key: options.pop(key) for key in ("weight", "form") if key in options}
    run = make_run(task, seed=seed, **{**QUICK[task], **options})
    return ON_DIGITS[MODULES[task]](METHODS[method].create(**of_method), run), run


@pytest.mark.parametrize("task", sorted(QUICK))
def test_same_run_gives_the_same_result_bit_for_bit_and_another_seed_another(task):
    metrics, run = result(task)
    torch.manual_seed(99)
    metrics_again, run_again = result(task)
    assert metrics == metrics_again
    assert run.curves == run_again.curves
    assert result(task, seed=1)[0] != metrics
    assert set(metrics) == set(TASKS[task].metrics)
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("method", PENALTIES)
def test_every_method_gives_every_metric_and_no_violation(method):
    for task in QUICK:
        metrics, _ = result(task, method)
        assert set(metrics) == set(TASKS[task].metrics)
        if task == "penalty/inequality":
            assert metrics["violations"] == metrics["layer_violations"] == metrics["frobenius_violations"] == 0


@pytest.mark.parametrize("method", [name for name in PENALTIES if name != "no-penalty"])
def test_every_penalty_starts_from_the_same_network_and_changes_its_training(method):
    plain, penalised = (result("penalty/inequality", name)[0] for name in ("no-penalty", method))
    assert plain["tightness_initial"] == penalised["tightness_initial"]
    assert plain["tightness_final"] != penalised["tightness_final"]
    assert result("penalty/inequality", method, weight=0.0)[0]["tightness_final"] == plain["tightness_final"]


@pytest.mark.parametrize("task", sorted(QUICK))
def test_every_option_has_an_effect(task):
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
    trained, by_hand = (new_model(run.options, task, torch.Generator().manual_seed(1), task.train.inputs) for _ in "ab")
    steps = list(descent(trained, InputPenalty(0.5), task, run.options, torch.Generator().manual_seed(2)))
    assert [step for step, _ in steps] == [1, 2, 3, 4]
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(2):
        order = torch.randperm(len(task.train), generator=generator)
        for rows in (order[:600], order[600:1200]):
            x = task.train.inputs[rows].requires_grad_()
            loss_of_rows = F.cross_entropy(by_hand(x), task.train.labels[rows], reduction="none")
            (at_x,) = torch.autograd.grad(loss_of_rows.sum(), x, create_graph=True)
            total = loss_of_rows.mean() + 0.5 * at_x.square().sum() / 600
            losses.append(loss_of_rows.mean().item())
            gradients = torch.autograd.grad(total, list(by_hand.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(by_hand.parameters(), gradients, strict=True):
                    weight.sub_(0.1 * gradient)
    assert [loss for _, loss in steps] == pytest.approx(losses, rel=1e-5)
    for weight, expected in zip(trained.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_error_for_a_loss_that_is_not_finite_names_the_step():
    with pytest.raises(FloatingPointError, match="step"):
        result("penalty/inequality", learning_rate=1e30)


def test_checkpoints_include_both_ends_and_have_no_duplicates():
    assert checkpoints(3, 10) == [0, 1, 2, 3]
    assert checkpoints(100, 1) == [0, 100]


def test_task_measures_before_the_first_step_and_after_the_last():
    _, run = result("penalty/inequality")
    assert [step for step, _ in run.curves["tightness"]] == [0, 22, 44]
    assert [step for step, _ in run.curves["loss"]] == [22, 44]


def test_one_layer_with_one_output_is_an_equality_and_fails_for_batch_means():
    metrics, _ = result("penalty/inequality", depth=1, outputs="scalar")
    assert metrics["equality_gap"] < 1e-10
    assert metrics["batch_mean_violations"] == 3
    assert metrics["batch_mean_tightness"] > 1


def test_smallest_tightness_of_batch_means_counts_their_violations():
    metrics, run = result("penalty/inequality")
    tightness = [value for _, value in run.curves["batch_mean_tightness"]]
    assert metrics["batch_mean_tightness"] == min(tightness)
    assert metrics["batch_mean_violations"] == sum(value > 1 for value in tightness)


@pytest.mark.parametrize(("share", "violated"), [(0.5, 3), (1.5, 0)])
def test_joint_left_side_is_one_sample_s_share_of_the_mean(monkeypatch, share, violated):
    """With a right side of ``share`` / samples of the mean's left side, the joint one is 1 / share of it."""
    seen = []
    real = inequality.bound

    def remembered(*arguments):
        seen.append(real(*arguments))
        return seen[-1]

    def right_side(*_):
        return share / 8 * (seen[-1].input_gradient * seen[-1].bracket).mean().item()

    monkeypatch.setattr(inequality, "bound", remembered)
    monkeypatch.setattr(inequality, "batch_square", right_side)
    metrics, _ = result("penalty/inequality", samples=8)
    assert (metrics["batch_mean_violations"], metrics["joint_batch_violations"]) == (3, violated)


@pytest.mark.parametrize("outputs", ["classes", "scalar"])
def test_training_accuracy_is_chance_without_learning_and_high_with_it(outputs):
    still = result("penalty/inequality", outputs=outputs, learning_rate=0.0)[0]["train_accuracy"]
    learned = result("penalty/inequality", outputs=outputs, epochs=5)[0]["train_accuracy"]
    assert still < {"classes": 0.3, "scalar": 0.7}[outputs] < 0.75 < learned


def test_accuracy_of_a_single_output_is_that_of_its_sign():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    rows = Labelled(torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert accuracy(model, rows) == 0.75


def test_a_violation_would_be_found(monkeypatch):
    """With half the norms of the Jacobians the left side is up to four times its true value."""
    real = inequality.bound

    def halved(*arguments):
        sides = real(*arguments)
        for norms in (sides.jacobian, sides.jacobian_frobenius):
            norms.div_(2)
        return sides

    monkeypatch.setattr(inequality, "bound", halved)
    metrics, _ = result("penalty/inequality", depth=1, outputs="scalar")
    assert metrics["violations"] == metrics["layer_violations"] == 3 * 8


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_correlations_are_those_of_scipy(kind):
    first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    second += first
    if kind == "ties":
        first, second = first.round(), second.round()
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic, rel=1e-12)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, rel=1e-12)
    assert pearson(first, torch.ones(50)) == 0


def test_network_that_does_not_learn_has_the_correlation_of_its_norms_and_no_variation():
    run = make_run("penalty/equivalence", **QUICK["penalty/equivalence"], learning_rate=0.0)
    metrics = equivalence.on_digits(NoPenalty(), run)
    generator = torch.Generator().manual_seed(run.seed)
    task = problem(run, "digits")
    model = new_model(run.options, task, generator, task.train.inputs).double()
    samples = task.train[torch.randperm(len(task.train), generator=generator)[:8]]
    norms = NoPenalty().norms(model, samples.inputs.double(), samples.labels, task.loss_fn)
    assert metrics["sample_pearson"] == pytest.approx(stats.pearsonr(*norms).statistic, rel=1e-9)
    assert metrics["sample_spearman"] == pytest.approx(stats.spearmanr(*norms).statistic, rel=1e-9)
    quotient = norms.input / norms.parameter
    assert metrics["ratio_variation_samples"] == pytest.approx((quotient.std() / quotient.mean()).item(), rel=1e-9)
    assert metrics["ratio_growth"] == pytest.approx(1)
    for name in ("hidden_variation", "weight_variation", "jacobian_variation", "ratio_variation_time"):
        assert metrics[name] == pytest.approx(0, abs=1e-12)


def test_valid_rows_choose_the_weight_and_never_one_that_diverges(monkeypatch):
    monkeypatch.setattr(generalisation, "SWEEP_FACTOR", 1e30)
    metrics, _ = result("penalty/generalisation", "parameter", sweep=3, epochs=8)
    with pytest.raises(FloatingPointError):
        result("penalty/generalisation", "parameter", weight=1e28)
    single = [result("penalty/generalisation", "parameter", weight=weight, epochs=8)[0] for weight in (1e-32, 1e-2)]
    assert single[0]["valid_accuracy"] != single[1]["valid_accuracy"]
    best = max(single, key=lambda candidate: candidate["valid_accuracy"])
    for name in ("chosen_weight", "test_accuracy", "train_loss", "input_gradient"):
        assert metrics[name] == pytest.approx(best[name])


def test_valid_accuracy_chooses_the_weight_and_the_training_loss_breaks_ties(monkeypatch):
    valid_accuracies = {0.25: 0.90, 1.0: 0.95, 4.0: 0.95, 16.0: 0.92}
    train_losses = {0.25: 0.1, 1.0: 0.3, 4.0: 0.2, 16.0: 0.4}
    real = generalisation.train

    def planted(penalty, *rest):
        loss, accuracy = train_losses[penalty.weight], valid_accuracies[penalty.weight]
        return replace(real(penalty, *rest), train_loss=loss, valid_accuracy=accuracy)

    monkeypatch.setattr(generalisation, "train", planted)
    metrics, _ = result("penalty/generalisation", "input", weight=1.0, sweep=4, epochs=1)
    assert metrics["chosen_weight"] == 4.0


def test_training_that_diverges_at_every_weight_fails():
    with pytest.raises(FloatingPointError):
        result("penalty/generalisation", "input", sweep=3, learning_rate=1e30)


def test_training_stops_at_the_loss_target_or_fails_where_it_is_not_reached():
    metrics, _ = result("penalty/generalisation", loss_target=1.5, epochs=50)
    assert 1.45 < metrics["train_loss"] <= 1.5
    assert metrics["steps"] < 50 * 200 // 32
    with pytest.raises(RuntimeError, match=r"training loss is .* after 4 epochs, its target 0.01"):
        result("penalty/generalisation", loss_target=0.01)


def test_train_size_above_the_number_of_rows_is_an_error():
    with pytest.raises(ValueError, match=r"train_size = 5000: the data set has \d+ rows"):
        result("penalty/generalisation", train_size=5000)


def test_test_rows_of_digits_are_drawn_by_the_seed_and_are_no_training_rows():
    whole = problem(make_run("penalty/generalisation"), "digits")
    rows = {tuple(row.tolist()): row for row in torch.cat([whole.train.inputs, whole.test.inputs])}
    tests = []
    for seed in (0, 0, 1):
        drawn = generalisation._with_new_test_rows(whole, seed)
        train, test = ({tuple(row.tolist()) for row in part.inputs} for part in (drawn.train, drawn.test))
        assert train | test == set(rows)
        assert not train & test
        assert len(drawn.train) + len(drawn.test) == len(whole.train) + len(whole.test)
        assert len(drawn.test) == pytest.approx(0.2 * 1797, abs=5)
        tests.append(test)
    assert tests[0] == tests[1] != tests[2]
    assert {task: TASKS[task].test_set for task in TASKS if task.startswith("penalty/generalisation")} == {
        "penalty/generalisation": "redrawn",
        "penalty/generalisation-mnist": "fixed",
    }


def test_valid_rows_are_no_training_rows():
    run = make_run("penalty/generalisation")
    task, valid = generalisation._split(problem(run, "digits"), 0, run.seed)
    rows = {tuple(row.tolist()) for row in task.train.inputs}
    assert len(task.train) + len(valid) == len(run.data("digits")["train_images"])
    assert not any(tuple(row.tolist()) in rows for row in valid.inputs)


def test_geometric_complexity_is_the_mean_square_of_the_jacobian():
    run = make_run("penalty/generalisation", width=9)
    task = problem(run, "digits")
    model = new_model(run.options, task, run.generator, task.train.inputs).double()
    rows = task.train.inputs[:70].double()
    expected = torch.stack([torch.func.jacrev(model)(row).square().sum() for row in rows]).mean()
    complexity = generalisation.geometric_complexity(model, Labelled(rows, task.train.labels[:70]))
    assert complexity == pytest.approx(expected.item(), rel=1e-12)


def test_noise_lowers_accuracy_and_without_noise_both_are_equal():
    quiet, _ = result("penalty/generalisation", epochs=40, noise=0.0)
    assert quiet["noisy_accuracy"] == quiet["test_accuracy"] > 0.7
    assert result("penalty/generalisation", epochs=40, noise=1.0)[0]["noisy_accuracy"] < quiet["test_accuracy"] - 0.1


@pytest.mark.slow
@pytest.mark.needs_data("mnist")
@pytest.mark.parametrize("name", sorted(ON_DIGITS))
def test_tasks_run_on_mnist(name):
    task = f"penalty/{name}-mnist"
    options = {"samples": 4, "checkpoints": 2, "train_size": 500, "epochs": 1, "width": 16}
    run = make_run(task, **{k: v for k, v in options.items() if k in TASKS[task].options})
    module = {"inequality": inequality, "equivalence": equivalence, "generalisation": generalisation}[name]
    metrics = module.on_mnist(NoPenalty(), run)
    assert set(metrics) == set(TASKS[task].metrics)
    assert metrics.get("violations", 0) == 0
