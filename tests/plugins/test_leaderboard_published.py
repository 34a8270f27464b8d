"""The typed tables are consistent in themselves and with a public copy of the leaderboards."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from plugin_run import DATASETS

from harness.registry.datasets import load
from harness.registry.digests import Sources, code_digest
from harness_plugins import leaderboard
from harness_plugins.leaderboard.benchmarks import BENCHMARKS, GLUE, SUPERGLUE
from harness_plugins.leaderboard.published import (
    of_task_set,
    official_mismatches,
    official_scores,
    snapshot_table,
    typed_table,
    unconfirmed_cells,
)

HERE = Path(leaderboard.__file__).parent
by_name = pytest.mark.parametrize("board", BENCHMARKS, ids=lambda b: b.name)


def typed_rows(board):
    with (HERE / board.file).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def snapshot():
    return load(DATASETS["leaderboards"])


def recomputed(row, board):
    """The official score of a row by hand: metrics averaged, then MNLI's halves, then tasks."""
    tasks = {}
    for task in board.tasks:
        if task.startswith("AX"):
            continue
        metrics = [[float(x) for x in row[half].split("/")] for half in board.halves.get(task, (task,))]
        tasks[task] = math.fsum(math.fsum(m) / len(m) for m in metrics) / len(metrics)
    return math.fsum(tasks.values()) / len(tasks)


@by_name
def test_the_official_score_of_every_row_is_that_of_its_cells(board):
    rows = typed_rows(board)
    ours = official_scores(typed_table(board), board)
    for row, score in zip(rows, ours, strict=True):
        assert score == pytest.approx(recomputed(row, board), abs=1e-9), row["system"]
        # Half a digit for the printed score, half a digit for the cells it is the mean of.
        assert abs(score - float(row["score"])) <= 0.1, row["system"]
    assert official_mismatches(typed_table(board), board) == {}


def test_a_row_whose_official_score_is_not_that_of_its_cells_is_listed():
    table = typed_table(GLUE)
    scores = table.scores.copy()
    scores[table.row("T5"), 0] += 2.0
    scores[table.row("ERNIE"), 0] += 0.5
    wrong = official_mismatches(table.__class__(**{**vars(table), "scores": scores}), GLUE)
    assert wrong == {"T5": (90.3, pytest.approx(90.3 + 2 / 9, abs=0.05))}


def test_the_tables_are_as_large_as_their_sources():
    glue, superglue = map(typed_table, BENCHMARKS)
    assert (len(glue.systems), len(glue.columns)) == (13, 11)
    assert (len(superglue.systems), len(superglue.columns)) == (15, 10)
    # The human never took AX; everything else is there.
    assert [(glue.systems[r], glue.columns[c]) for r, c in np.argwhere(np.isnan(glue.scores))] == [("Human", "AX")]
    assert np.isnan(superglue.scores).sum() == 2 * 9
    assert set(glue.tasks) == set(GLUE.tasks)
    assert set(superglue.tasks) == set(SUPERGLUE.tasks)


@by_name
def test_every_row_says_where_it_is_from_and_only_diagnostics_are_unconfirmed(board):
    for row in typed_rows(board):
        assert row["source"], row["system"]
        assert row["after_paper"] in ("", "yes")
        assert set(row["unconfirmed"].split()) <= {"AX-b", "AX-g"}
        assert all(row[task] not in ("", "-") for task in row["unconfirmed"].split())


def test_unconfirmed_cells_count_where_they_are_used():
    table = typed_table(SUPERGLUE)
    assert unconfirmed_cells(of_task_set(table, SUPERGLUE, "official")) == 0
    # Five systems with two, the human with one.
    assert unconfirmed_cells(of_task_set(table, SUPERGLUE, "10")) == 11
    assert unconfirmed_cells(typed_table(GLUE)) == 0


def test_task_sets_have_the_columns_they_are_named_after():
    glue, superglue = map(typed_table, BENCHMARKS)
    assert of_task_set(glue, GLUE, "official").columns == (
        "CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI",
    )  # fmt: skip
    assert len(of_task_set(glue, GLUE, "10").columns) == 10
    assert len(of_task_set(glue, GLUE, "11").columns) == 11
    assert len(of_task_set(superglue, SUPERGLUE, "official").columns) == 8
    assert len(of_task_set(superglue, SUPERGLUE, "10").columns) == 10
    merged = of_task_set(glue, GLUE, "official")
    assert merged.scores[merged.row("Human"), 5] == pytest.approx((92.0 + 92.8) / 2)


def test_a_changed_score_changes_the_code_digest_of_the_tasks_that_read_it(tmp_path):
    copy = tmp_path / "leaderboard"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    sources = Sources({"leaderboard": copy})
    before = code_digest(["leaderboard.benchmarks:snapshot"], sources)
    (copy / "glue.csv").write_text((copy / "glue.csv").read_text().replace("66.4", "66.5"))
    assert code_digest(["leaderboard.benchmarks:snapshot"], sources) != before


@pytest.mark.needs_data("leaderboards")
def test_the_snapshots_official_scores_are_those_of_their_cells(snapshot):
    for board, rows in ((GLUE, 100), (SUPERGLUE, 23)):
        table = snapshot_table(board, snapshot)
        assert len(table.systems) == rows
        assert official_mismatches(table, board) == {}
        assert np.isfinite(official_scores(table, board)).sum() > 0.9 * rows


@pytest.mark.needs_data("leaderboards")
def test_typed_rows_agree_with_the_snapshot_where_both_have_the_same_submission(snapshot):
    shared = 0
    for board in BENCHMARKS:
        typed, public = typed_table(board), snapshot_table(board, snapshot)
        for system in set(typed.systems) & set(public.systems):
            row, other = typed.row(system), public.row(system)
            if float(typed.about["score"][row]) != float(public.about["score"][other]):
                continue
            ours, theirs = typed.scores[row], public.scores[other]
            both = ~np.isnan(ours) & ~np.isnan(theirs)
            np.testing.assert_allclose(ours[both], theirs[both], atol=1e-9, err_msg=system)
            shared += 1
    assert shared >= 13


@pytest.mark.needs_data("leaderboards")
def test_the_human_of_the_snapshot_has_no_borrowed_diagnostic(snapshot):
    table = snapshot_table(GLUE, snapshot)
    human = table.scores[table.row("Human")]
    assert np.isnan(human[table.columns.index("AX")])
    assert np.isfinite(human).sum() == 10
    assert [n for n in table.systems if n.startswith("RefBERT")] == [f"RefBERT ({i})" for i in range(1, 5)]
    assert "Outside Best" not in snapshot_table(SUPERGLUE, snapshot).systems
