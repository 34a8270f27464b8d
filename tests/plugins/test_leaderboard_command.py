"""A user's own table, from the command line: ranked at once, or audited by a suite of five lines."""

from __future__ import annotations

import io
import json

import pytest
from plugin_run import METHODS
from rich.console import Console

from harness_plugins.leaderboard import commands
from harness_plugins.leaderboard.scores import parse_table
from harness_plugins.leaderboard.survey import survey

TABLE = "system,A,B,C\nHuman,90,10,48/52\nX,45,44,43/47\n"
SUITE = """
title = "Mine"
[[cross]]
task = "leaderboard/table"
methods = ["arithmetic", "geometric", "harmonic"]
options = { table = "scores.csv", human = "Human" }
"""


@pytest.fixture(autouse=True)
def scores(harness_cli):
    harness_cli.write("scores.csv", TABLE)


def words(line):
    return line.split()


def test_the_command_ranks_every_system_under_every_aggregate(harness_cli):
    ended = harness_cli("leaderboard", "scores.csv")
    assert ended.code == 0, ended.err
    rows = {words(line)[0]: words(line)[1:] for line in ended.out.splitlines() if words(line)[:1] in (["Human"], ["X"])}
    # Means 50, 35.6 and 22.5 against 44.7, then medians 50 and 45; of the games the human wins two of three.
    assert rows == {"Human": list("122111111"), "X": list("211222222")}
    assert "missing" not in ended.out
    assert not (harness_cli.folder / "results").exists()


def test_the_command_says_what_leaving_out_each_task_does_to_one_system(harness_cli):
    document = harness_cli("leaderboard", "scores.csv", "--of", "Human", "--json").document
    assert document["ranks"]["arithmetic"] == {"Human": 1, "X": 2}
    assert document["values"]["harmonic"]["Human"] == pytest.approx(3 / (1 / 90 + 1 / 10 + 1 / 50))
    assert document["rank_without"]["arithmetic"] == {"A": 2, "B": 1, "C": 1}
    assert document["kendall_tau"]["arithmetic"]["geometric"] == -1
    out = harness_cli("leaderboard", "scores.csv", "--of", "Human").out
    without = out[out.index("Human without") :].splitlines()
    assert words(next(line for line in without if line.startswith(" A")))[1] == "2"


def test_on_a_narrow_screen_the_columns_go_into_several_tables_and_no_name_is_cut(monkeypatch):
    aggregates = {name: m.create() for name, m in METHODS.items() if m.role == "score-aggregate"}
    result = survey(parse_table(TABLE, "scores.csv"), aggregates, "Human")
    console = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(commands, "people", lambda: console)
    commands._print_ranks(result)
    out = console.file.getvalue()
    assert all(part in words(out) for name in aggregates for part in name.replace("-", "- ").split())
    assert all(len(line) <= 80 for line in out.splitlines())
    assert [words(line)[1:] for line in out.splitlines() if line.startswith(" Human")] == [list("1221"), list("11111")]


def test_an_aggregate_that_refuses_the_table_is_left_out_and_says_why(harness_cli):
    harness_cli.write("scores.csv", "system,A,B\nHuman,90,0\nX,45,\n")
    ended = harness_cli("leaderboard", "scores.csv")
    assert ended.code == 0
    assert "geometric" not in ended.out
    assert "geometric left out: scores.csv, Human, B: the score is 0" in ended.err
    assert "1 score missing" in ended.out
    dropped = harness_cli("leaderboard", "scores.csv", "--nonpositive", "drop", "--json").document
    assert dropped["refused"] == {}
    assert dropped["missing"] == 2
    assert dropped["dropped"] == {"geometric": {"Human": ["B"]}, "harmonic": {"Human": ["B"]}}
    assert dropped["values"]["geometric"] == {"Human": 90, "X": 45}


def test_a_dropped_score_is_warned_of_counted_and_seen_by_leaving_out_a_task(harness_cli):
    harness_cli.write("scores.csv", "system,A,B\nHuman,60,50\nX,90,0\nY,10,20\n")
    ended = harness_cli("leaderboard", "scores.csv", "--nonpositive", "drop", "--of", "Y")
    assert ended.code == 0, ended.err
    assert "warning: geometric, harmonic: scores of 0 or less are dropped" in ended.err
    assert "ranked by fewer tasks than the others: X on B" in ended.err
    assert "1 score missing: each system is ranked by its own scores, not all by the same tasks" in ended.out
    document = harness_cli("leaderboard", "scores.csv", "--nonpositive", "drop", "--of", "Y", "--json").document
    assert document["ranks"]["geometric"] == {"Human": 2, "X": 1, "Y": 3}
    # Without A nothing above 0 is left of X; the arithmetic mean has its 0.
    assert document["rank_without"]["geometric"] == {"A": 2, "B": 3}
    assert document["rank_without"]["arithmetic"] == {"A": 2, "B": 3}
    clipped = harness_cli("leaderboard", "scores.csv", "--nonpositive", "clip", "--json")
    assert (clipped.document["missing"], clipped.document["dropped"], clipped.err) == (0, {}, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv cannot be read: No such file"),
        (["scores.csv", "--of", "Humn"], "unknown system 'Humn'; did you mean 'Human'?"),
        (["bad.csv"], "bad.csv, line 3 (Y), column A: '9,5' has a decimal comma; write 9.5"),
    ],
)
def test_a_wrong_table_or_row_ends_with_one_sentence(harness_cli, arguments, message):
    harness_cli.write("bad.csv", 's,A\nX,1\nY,"9,5"\n')
    ended = harness_cli("leaderboard", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_suite_of_five_lines_audits_a_table(harness_cli):
    harness_cli.write("mine.toml", SUITE)
    document = harness_cli("suite", "mine.toml", "--json").document
    ranks = {record["method"]: record["metrics"]["human_rank"] for record in document["records"]}
    assert (ranks["arithmetic"], ranks["geometric"], ranks["harmonic"]) == (1, 2, 2)
    # Another score is another table: nothing of before counts.
    harness_cli.write("scores.csv", TABLE.replace("90", "60"))
    again = harness_cli("suite", "mine.toml", "--json").document
    assert again["cells"]["run"] == 3
    assert {r["method"]: r["metrics"]["human_rank"] for r in again["records"]}["arithmetic"] == 2


def test_a_bad_table_in_a_suite_fails_its_cells_with_the_place(harness_cli):
    harness_cli.write("scores.csv", "system,A\nHuman,1\nX,x\n")
    harness_cli.write("mine.toml", SUITE.replace('"arithmetic", "geometric", "harmonic"', '"median"'))
    ended = harness_cli("suite", "mine.toml")
    assert ended.code == 1
    assert "scores.csv, line 3 (X), column A: 'x' is not a score" in ended.err
    assert json.loads((harness_cli.folder / "results" / "records.jsonl").read_text())["status"] == "failed"
