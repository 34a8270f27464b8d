"""What the tasks measure, recomputed from the typed files by plain loops."""

from __future__ import annotations

import csv
import itertools
import math
import os
import statistics
from pathlib import Path

import numpy as np
import pytest
from plugin_run import METHODS, REGISTRY, TASKS, make_run
from scipy import stats

from harness.errors import UsageError
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.spec import resolve
from harness_plugins import leaderboard
from harness_plugins.leaderboard import audit
from harness_plugins.leaderboard.benchmarks import GLUE
from harness_plugins.leaderboard.ranking import ranks, tau, values_of
from harness_plugins.leaderboard.scores import parse_table

HERE = Path(leaderboard.__file__).parent
MEANS = {"arithmetic": statistics.fmean, "geometric": statistics.geometric_mean, "harmonic": statistics.harmonic_mean}
GLUE_10 = ("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI-m", "MNLI-mm", "QNLI", "RTE", "WNLI")


def cells(file, columns, keep=lambda row: True):
    """System to its scores on these columns, pairs averaged, missing ones left out."""
    with (HERE / file).open(encoding="utf-8") as stream:
        return {
            row["system"]: [statistics.fmean(map(float, row[c].split("/"))) for c in columns if row[c] != "-"]
            for row in csv.DictReader(stream)
            if keep(row)
        }


def human_rank(means):
    return 1 + sum(mean > means["Human"] for name, mean in means.items() if name != "Human")


def lead(means):
    return means["Human"] - max(mean for name, mean in means.items() if name != "Human")


def run_glue(method, **options):
    return audit.glue(METHODS[method].create(), make_run("leaderboard/glue", **options))


def run_superglue(method, **options):
    return audit.superglue(METHODS[method].create(), make_run("leaderboard/superglue", **options))


@pytest.mark.parametrize("method", MEANS)
@pytest.mark.parametrize("rows", ["all", "paper"])
def test_rank_and_lead_of_the_human_on_the_same_tasks(method, rows):
    own = cells("glue.csv", GLUE_10, lambda row: rows == "all" or row["after_paper"] != "yes")
    means = {name: MEANS[method](scores) for name, scores in own.items()}
    metrics = run_glue(method, tasks="10", rows=rows)
    assert metrics["human_rank"] == human_rank(means) == (13 if rows == "all" else 11)
    assert metrics["human_lead"] == pytest.approx(lead(means), abs=1e-9)
    assert metrics["human_first"] == 0
    assert (metrics["systems"], metrics["columns"]) == (len(own), 10)


@pytest.mark.parametrize(("method", "rank"), [("arithmetic", 6), ("geometric", 3), ("harmonic", 1)])
def test_the_mixed_rule_ranks_the_human_by_ten_tasks_and_systems_by_eleven(method, rank):
    systems = cells("glue.csv", (*GLUE_10, "AX"))
    assert {len(scores) for name, scores in systems.items() if name != "Human"} == {11}
    assert len(systems["Human"]) == 10
    means = {name: MEANS[method](scores) for name, scores in systems.items()}
    metrics = run_glue(method, tasks="11", incomplete="keep")
    assert metrics["human_rank"] == human_rank(means) == rank
    assert metrics["human_lead"] == pytest.approx(lead(means), abs=1e-9)


def test_a_mixed_task_set_must_be_allowed():
    with pytest.raises(UsageError, match=r"glue\.csv: Human has no score on AX, and incomplete = 'leave-out'"):
        run_glue("geometric", tasks="11")


@pytest.mark.parametrize("method", MEANS)
def test_with_its_diagnostics_superglue_ranks_the_six_systems_that_have_them(method):
    ten = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC", "AX-b", "AX-g")
    systems = {name: scores for name, scores in cells("superglue.csv", ten).items() if len(scores) == 10}
    means = {name: MEANS[method](scores) for name, scores in systems.items()}
    metrics = run_superglue(method, tasks="10")
    assert metrics["systems"] == len(systems) == 6
    assert metrics["human_rank"] == human_rank(means) == 1
    assert metrics["unconfirmed_cells"] == 11
    assert run_superglue(method)["unconfirmed_cells"] == 0


@pytest.mark.parametrize("method", ["harmonic", "median"])
def test_leaving_out_one_task_at_a_time(method):
    mean = {**MEANS, "median": statistics.median}[method]
    tasks = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC")
    metrics = run_superglue(method)
    expected = []
    for left_out in tasks:
        own = cells("superglue.csv", [task for task in tasks if task != left_out])
        expected.append(human_rank({name: mean(scores) for name, scores in own.items()}))
        assert metrics[f"human_rank_without_{left_out.lower()}"] == expected[-1]
    assert len(set(expected)) > 1
    assert (metrics["best_rank_without_one"], metrics["worst_rank_without_one"]) == (min(expected), max(expected))
    moves = [abs(rank - metrics["human_rank"]) for rank in expected]
    assert metrics["deciding_task"] == 1 + moves.index(max(moves))
    # A diagnostic that is not in the set cannot be left out.
    assert metrics["human_rank_without_ax_b"] == metrics["human_rank"]


def test_leaving_out_mnli_leaves_out_both_halves():
    own = cells("glue.csv", [c for c in GLUE_10 if not c.startswith("MNLI")])
    expected = human_rank({name: statistics.median(scores) for name, scores in own.items()})
    metrics = run_glue("median", tasks="10")
    assert metrics["human_rank_without_mnli"] == expected
    assert expected != metrics["human_rank"]


def test_kendalls_tau_is_that_of_scipy_on_the_two_means():
    own = cells("glue.csv", GLUE_10)
    means = {name: [mean(scores) for scores in own.values()] for name, mean in MEANS.items()}
    expected = stats.kendalltau(means["arithmetic"], means["harmonic"]).statistic
    assert run_glue("harmonic", tasks="10")["tau_to_arithmetic"] == pytest.approx(expected, abs=1e-9)
    assert run_glue("arithmetic", tasks="10")["tau_to_arithmetic"] == 1


def test_values_that_differ_by_the_rounding_of_a_sum_share_a_rank_and_are_no_order():
    values, exact = np.array([0.1 + 0.2, 0.3, 0.1]), np.array([0.3, 0.3, 0.1])
    assert values[0] != values[1]
    assert ranks(values).tolist() == [1, 1, 3]
    # Of three pairs two are ordered, alike in both: tau-b is 1.
    assert tau(values, exact) == 1.0


def test_tau_of_systems_that_are_all_equal_is_one():
    assert tau(np.ones(3), np.array([1.0, 2.0, 3.0])) == tau(np.arange(3.0), np.zeros(3)) == 1.0


def test_error_rates_are_averaged_and_returned_as_scores():
    own = {n: statistics.geometric_mean([100 - x for x in s]) for n, s in cells("glue.csv", GLUE_10).items()}
    metrics = run_glue("geometric", tasks="10", scale="error")
    assert metrics["human_lead"] == pytest.approx(lead({name: 100 - error for name, error in own.items()}), abs=1e-9)
    assert run_glue("arithmetic", scale="error")["human_lead"] == pytest.approx(run_glue("arithmetic")["human_lead"])
    # A rule that only counts which system beats which does not depend on the scale.
    assert run_glue("borda", scale="error") == run_glue("borda")


def test_a_perfect_score_has_no_error_to_take_a_geometric_mean_of():
    message = r"superglue\.csv, Human, COPA: the score is 0, which no geometric mean can take.*on the scale of errors"
    with pytest.raises(UsageError, match=message):
        run_superglue("geometric", scale="error")


def test_matthews_correlations_are_rescaled_and_nothing_else():
    own = cells("glue.csv", GLUE_10)
    means = {name: statistics.harmonic_mean([(100 + s[0]) / 2, *s[1:]]) for name, s in own.items()}
    metrics = run_glue("harmonic", tasks="10", scale="mcc-rescaled")
    assert metrics["human_lead"] == pytest.approx(lead(means), abs=1e-9)


def test_metrics_of_a_task_can_count_as_columns():
    assert run_glue("arithmetic", metric_pairs="split")["columns"] == 9 + 3
    assert run_superglue("arithmetic", metric_pairs="split")["columns"] == 8 + 3


def test_how_far_the_best_system_is_ahead_task_by_task():
    own = cells("glue.csv", GLUE_10)
    best = max((name for name in own if name != "Human"), key=lambda name: statistics.fmean(own[name]))
    gaps = [a - b for a, b in zip(own[best], own["Human"], strict=True)]
    expected = sum(g for g in gaps if g > 0) / -sum(g for g in gaps if g < 0)
    assert run_glue("median", tasks="10")["lag_over_lead"] == pytest.approx(expected)


def test_every_systems_rank_is_logged_by_its_row():
    run = make_run("leaderboard/superglue", tasks="10")
    audit.superglue(METHODS["arithmetic"].create(), run)
    # ERNIE 3.0, DeBERTa, T5 + Meena, Human, T5, NEZHA-Plus by their rows in the file.
    assert run.curves["rank"] == [(2, 2), (4, 4), (5, 3), (7, 1), (8, 5), (10, 6)]


def test_resampled_tasks_are_the_same_for_every_method_and_counted_by_hand():
    tasks = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC")
    own = cells("superglue.csv", tasks)
    for method in ("arithmetic", "harmonic"):
        run = make_run("leaderboard/superglue-resampled", seed=1, resamples=60)
        share = audit.superglue_resampled(METHODS[method].create(), run)["share_human_first"]
        rng, first = np.random.default_rng(run.seed), 0
        for _ in range(60):
            drawn = rng.integers(8, size=8)
            first += human_rank({n: round(MEANS[method]([s[i] for i in drawn]), 9) for n, s in own.items()}) == 1
        assert 0 < first < 60
        assert share == first / 60


def test_every_choice_of_tasks_is_counted_once_and_by_hand():
    tasks = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC")
    own = cells("superglue.csv", tasks, lambda row: row["after_paper"] != "yes")
    choices = [c for size in range(1, 9) for c in itertools.combinations(range(8), size)]
    for method, mean in MEANS.items():
        ranks = [human_rank({n: round(mean([s[i] for i in c]), 9) for n, s in own.items()}) for c in choices]
        share = audit.superglue_subsets(
            METHODS[method].create(), make_run("leaderboard/superglue-subsets", rows="paper")
        )["share_human_first"]
        assert 0 < ranks.count(1) < len(choices) == 255
        assert share == ranks.count(1) / 255


def test_the_choice_of_a_mean_is_compared_with_the_choice_of_a_task():
    tasks = {t: [c for c in GLUE_10 if c.startswith(t)] for t in GLUE.tasks if t != "AX"}
    means = [statistics.fmean(scores) for scores in cells("glue.csv", GLUE_10).values()]
    taus = []
    for left_out in tasks.values():
        rest = cells("glue.csv", [c for c in GLUE_10 if c not in left_out]).values()
        # Sums in another order differ in the last bits, and equal systems must stay equal.
        without = [round(statistics.fmean(scores), 9) for scores in rest]
        taus.append(stats.kendalltau(np.round(means, 9), without).statistic)
    metrics = run_glue("harmonic", tasks="10")
    expected = metrics["tau_to_arithmetic"] - statistics.median(taus)
    assert metrics["tau_above_leave_one_out"] == pytest.approx(expected, abs=1e-8)
    assert run_glue("arithmetic", tasks="10")["tau_above_leave_one_out"] == pytest.approx(1 - statistics.median(taus))


DETERMINISTIC = {
    name: [metric for metric, noun in task.metrics.items() if noun.deterministic]
    for name, task in TASKS.items()
    if name.startswith("leaderboard/")
}


def test_nothing_but_resampling_depends_on_the_seed():
    varying = {name for name, metrics in DETERMINISTIC.items() if len(metrics) < len(TASKS[name].metrics)}
    assert varying == {"leaderboard/glue-resampled", "leaderboard/superglue-resampled"}


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *(
            pytest.param(name, "geometric", marks=pytest.mark.needs_data("leaderboards") if "-2021" in name else ())
            for name, metrics in DETERMINISTIC.items()
            if metrics
        ),
        # The one aggregate that iterates, where that is quick.
        *((name, "bradley-terry") for name in ("leaderboard/glue", "leaderboard/superglue", "leaderboard/table")),
    ],
)
def test_deterministic_metrics_are_the_same_bits_under_every_seed(name, method, tmp_path):
    (tmp_path / "t.csv").write_text("system,A,B\nHuman,90,10\nX,45,44\n")
    options = {"table": str(tmp_path / "t.csv")} if name == "leaderboard/table" else {}
    built = METHODS[method].create(**({"nonpositive": "drop"} if method == "geometric" else {}))
    code = resolve(TASKS[name].run)
    first, second = (code(built, make_run(name, seed=seed, **options)) for seed in (0, 1))
    for metric in DETERMINISTIC[name]:
        assert float(first[metric]).hex() == float(second[metric]).hex(), metric


@pytest.mark.parametrize("name", ["leaderboard", "leaderboard-full"])
def test_every_claim_of_a_suite_has_its_cells_and_needs_no_check(name):
    suite = read_suite(name, REGISTRY)
    cells = list(cells_of(suite, REGISTRY, digest_of=lambda _: "digest"))
    tested = {claim.id: claim.test for claim in suite.claims.values() if claim.test is not None}
    assert set(suite.answer) <= set(tested)
    for claim, test in tested.items():
        assert needed_cells(suite.claims[claim], cells), claim
        # Nothing in it depends on chance, so there is nothing that must hold beforehand.
        assert all(TASKS[task].metrics[test.metric].deterministic for task in test.tasks), claim
        assert suite.rests_on[claim] == ()


def test_the_value_on_the_scale_of_errors_is_a_score_again():
    table = parse_table("s,A,B\nX,90,60\nY,99,19\n", "t.csv")
    np.testing.assert_allclose(values_of(METHODS["geometric"].create(), table, "error"), [100 - 20, 100 - 9])
    np.testing.assert_allclose(values_of(METHODS["borda"].create(), table, "error"), [1, 1])


def test_an_aggregate_without_a_value_for_each_system_is_refused():
    table = parse_table("s,A\nX,1\nY,2\n", "t.csv")
    with pytest.raises(UsageError, match=r"t\.csv: the aggregate gave shape \[1\] .* 2 are needed"):
        values_of(lambda scores: np.ones(1), table)
    with pytest.raises(UsageError, match=r"shape \[2\] and 1 finite values"):
        values_of(lambda scores: np.array([1.0, math.nan]), table)


@pytest.mark.needs_data("leaderboards")
def test_the_whole_leaderboard_of_late_2021_under_the_mixed_rule():
    with (Path(os.environ["HARNESS_DATA"]) / "leaderboards" / "votenrank_GLUE.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for method, rank in (("arithmetic", 2), ("geometric", 1), ("harmonic", 1)):
        means = {}
        for number, row in enumerate(rows):
            human = "Human" in row["Model"]
            columns = GLUE_10 if human else (*GLUE_10, "AX")
            scores = [statistics.fmean(map(float, row[c].split("/"))) for c in columns if row[c] != "-"]
            scores = [x for x in scores if not math.isnan(x) and (x > 0 or method == "arithmetic")]
            means["Human" if human else number] = MEANS[method](scores)
        built = METHODS[method].create(**({} if method == "arithmetic" else {"nonpositive": "drop"}))
        metrics = audit.glue_2021(built, make_run("leaderboard/glue-2021", tasks="11", incomplete="keep"))
        assert metrics["human_rank"] == human_rank(means) == rank
        assert metrics["human_lead"] == pytest.approx(lead(means), abs=1e-9)
