"""The rank of one system on a table of one's own."""

from __future__ import annotations

import math

import pytest
from plugin_run import METHODS, make_run

from harness.errors import DatasetError, UsageError
from harness_plugins.leaderboard import audit


@pytest.fixture
def own_table(tmp_path):
    def run(text, method="arithmetic", build=None, **options):
        path = tmp_path / "t.csv"
        path.write_text(text)
        return audit.own_table(
            METHODS[method].create(**(build or {})), make_run("leaderboard/table", table=str(path), **options)
        )

    return run


TABLE = "system,A,B\nHuman,90,10\nX,45,44\nY,40,-\n"


def test_an_own_table_is_ranked(own_table):
    assert own_table(TABLE)["human_rank"] == 1
    assert own_table(TABLE, "harmonic")["human_rank"] == 3
    assert own_table(TABLE, "harmonic", incomplete="leave-out")["human_rank"] == 2
    assert own_table(TABLE, human="X")["human_rank"] == 2
    # X is ahead on B alone.
    assert own_table(TABLE, human="X")["deciding_task"] == 1
    # Y has nothing but A, so without A there is no rank to tell.
    assert own_table(TABLE, human="Y")["deciding_task"] == 0


#: X would be ahead of the human on A alone, the only task that is left to it where its 0 is dropped.
ZERO = "system,A,B\nHuman,60,50\nX,90,0\nY,10,20\n"


@pytest.mark.parametrize("method", ["geometric", "harmonic"])
def test_a_dropped_score_is_a_missing_score(own_table, caplog, method):
    kept = own_table(ZERO, method, build={"nonpositive": "drop"}, incomplete="keep")
    assert (kept["human_rank"], kept["systems"], kept["missing"]) == (2, 3, 1)
    (message,) = caplog.messages
    assert message.endswith("its system is ranked by its scores on fewer tasks than the others: X on B")
    caplog.clear()
    left_out = own_table(ZERO, method, build={"nonpositive": "drop"}, incomplete="leave-out")
    assert (left_out["human_rank"], left_out["systems"], left_out["missing"]) == (1, 2, 0)
    assert caplog.messages[0].endswith("is dropped, and its system is left out: X on B")
    # The same table with the score missing, and nothing dropped.
    caplog.clear()
    for incomplete, metrics in (("keep", kept), ("leave-out", left_out)):
        assert own_table(ZERO.replace("90,0", "90,-"), method, incomplete=incomplete) == metrics
    assert caplog.messages == []


def test_leaving_out_a_task_sees_a_dropped_score(own_table):
    # Without A nothing is left of X, whose other score is dropped: it drops out, and Y is behind.
    metrics = own_table(ZERO, "geometric", build={"nonpositive": "drop"}, human="Y")
    assert (metrics["human_rank"], metrics["best_rank_without_one"], metrics["worst_rank_without_one"]) == (3, 2, 3)


def test_scores_are_dropped_on_the_scale_that_the_mean_is_taken_on(own_table):
    # On the scale of errors the perfect score is 0, and the 0 is 100.
    table = ZERO.replace("60,50", "100,50")
    metrics = own_table(table, "geometric", build={"nonpositive": "drop"}, human="X", scale="error")
    assert (metrics["missing"], metrics["systems"]) == (1, 3)
    with pytest.raises(UsageError, match=r"Human has no score on A \(nonpositive = 'drop' drops scores of 0 or less\)"):
        own_table(table, "geometric", build={"nonpositive": "drop"}, scale="error", incomplete="leave-out")


def test_a_human_with_nothing_above_zero_is_refused(own_table):
    with pytest.raises(UsageError, match=r"Human has no score on any of the tasks \(nonpositive = 'drop' drops"):
        own_table(ZERO.replace("60,50", "0,-3"), "geometric", build={"nonpositive": "drop"})


def test_a_mean_that_drops_nothing_and_a_rule_of_order_have_nothing_missing(own_table, caplog):
    assert own_table(ZERO, "borda")["missing"] == 0
    assert own_table(ZERO, "geometric", build={"nonpositive": "clip"})["missing"] == 0
    assert caplog.messages == []


def test_an_own_table_may_have_another_best_score(own_table):
    unit = "system,A,B\nHuman,.9,.1\nX,.45,.44\n"
    expected = 1 - math.sqrt(0.1 * 0.9) - (1 - math.sqrt(0.55 * 0.56))
    assert own_table(unit, "geometric", scale="error", best=1.0)["human_lead"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "method", "options", "message"),
    [
        (TABLE, "arithmetic", {"human": "Humans"}, r"t\.csv: unknown system 'Humans'; did you mean 'Human'"),
        (TABLE.replace("44", "-3"), "geometric", {}, r"t\.csv, X, B: the score is -3, which no geometric mean"),
        ("s,A,B\nHuman,1,2\nX,3,-\n", "borda", {"incomplete": "leave-out"}, "no system but Human has a score on every"),
    ],
)
def test_an_own_table_that_does_not_fit_the_options_is_refused_by_name(own_table, text, method, options, message):
    with pytest.raises(UsageError, match=message):
        own_table(text, method, **options)


def test_an_own_table_must_be_named_and_sound(own_table):
    with pytest.raises(UsageError, match="the option table names no file"):
        audit.own_table(METHODS["arithmetic"].create(), make_run("leaderboard/table"))
    with pytest.raises(DatasetError, match=r"t\.csv, line 3 \(X\), column A: 'x'"):
        own_table("s,A\nHuman,1\nX,x\n")
