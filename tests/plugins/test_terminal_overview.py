"""What a suite came to, on one screen: lines of claims, drawn intervals, the answer below them, at any width."""

from __future__ import annotations

import dataclasses
import io
import math
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from kinds_results import kinds_result
from rich.console import Console

from harness.cli import output
from harness.cli.streams import PLAIN
from harness.judge import CHECKED, SuiteResult, Verdict, answers_of, sentence, shown
from harness_plugins.terminal import result as result_module
from harness_plugins.terminal.overview import overview
from harness_plugins.terminal.strips import text_strip

SCREENS = Path(__file__).parent / "screens"
WIDTHS = (80, 110, 200)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    return kinds_result(tmp_path_factory.mktemp("kinds"))


def screen(result: SuiteResult, width: int) -> str:
    """What the terminal shows; a line that is too long for it would be broken here."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for line in overview(result, width):
        console.print(line)
    return console.file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen_is_as_it_was_looked_at(result, width):
    file = SCREENS / f"kinds-{width}.txt"
    assert screen(result, width) == file.read_text("utf-8"), f"where the new screen is better, write it to {file}"


@pytest.mark.parametrize("width", [*range(60, 140, 7), 200, 400])
def test_nothing_is_cut_or_broken_and_each_claim_has_one_line(result, width):
    lines = screen(result, width).splitlines()
    assert max(map(len, lines)) <= width
    for verdict in result.verdicts:
        name = verdict.claim.partition("/")[2]
        own = [line for line in lines if f" {name} " in f"{line} " and line.startswith(" ") and line[1] != " "]
        assert len(own) == 1, name
        claim = result.plan.suite.claims[verdict.claim]
        if verdict.estimate is not None:
            number = shown(verdict, claim.test)
            assert number.partition(" [")[0] in own[0] or own[0].endswith("none"), "the number every view shows"
        if " [" in own[0]:
            assert number in own[0], "an interval is shown with its level or not at all"


def test_the_answer_stands_last_and_has_the_words_of_every_face(result):
    text = " ".join(screen(result, 100).split())
    answers = answers_of(result)
    assert [answer.claim.id for answer in answers] == ["kinds/greater", "kinds/ratio"]
    title = text.index(result.plan.suite.title)
    assert title > text.index("Checks:") > text.index("Our own questions:") > text.index("What the sources claim:")
    for answer in answers:
        assert text.index(f"{answer.word.upper()}: {answer.claim.says}") > title
        for fact in (answer.measured, answer.why, answer.possible, answer.cost):
            assert fact[1:] in text[title:]
    assert text.endswith("Neither was tuned here: all ran at the suite's settings. The intervals are over seeds.")


def test_decided_claims_stand_before_open_ones_and_questions_and_unmet_checks_apart(result):
    lines = [line.plain for line in overview(result, 110)]
    start, ours = (lines.index(next(x for x in lines if x.startswith(t))) for t in ("What the", "Our own"))
    checks = lines.index(next(x for x in lines if x.startswith("Checks:")))
    words = [line.split()[0] for line in lines[start + 1 : ours] if line]
    assert words == sorted(words, key=["reproduced", "contradicted", "not-informative", "not-run"].index)
    names = {line.split()[1] for line in lines[ours + 1 : checks] if line}
    assert names == {v.claim.partition("/")[2] for v in result.questions}
    unmet = [v for v in result.checks if v.verdict != "reproduced"]
    assert [line.split()[:2] for line in lines[checks + 1 : checks + 2]] == [
        [CHECKED[v.verdict], v.claim.partition("/")[2]] for v in unmet
    ]


def verdict(word: str, estimate: float, low: float | None, high: float | None, **more: object) -> Verdict:
    fields = {"region": (0.0, math.inf), "scale": "difference", "claim": "a/b", "device": "cpu"} | more
    return Verdict(verdict=word, alone=word, estimate=estimate, low=low, high=high, **fields)  # type: ignore[arg-type]


def test_the_drawing_shows_the_border_the_region_and_the_interval():
    assert text_strip(verdict("reproduced", 2.0, 1.0, 3.0), 13) == "      │░├─●─┤"
    assert text_strip(verdict("contradicted", -2.0, -3.0, -1.0), 13) == "├─■─┤ │░░░░░░"
    assert text_strip(verdict("inconclusive", 0.5, -1.0, 3.0), 13) == "    ├─┼◆────┤"
    assert text_strip(verdict("reproduced", 0.0, -0.1, 0.1, region=(-1.0, 1.0)), 13) == "│░░░░├●┤░░░░│"
    assert text_strip(verdict("reproduced", -1.0, None, None, region=(-math.inf, 0.0)), 13) == "●░░░░░│      "
    times = {"region": (10.0, math.inf), "scale": "times"}
    assert text_strip(verdict("inconclusive", 10.0, 1.0, 100.0, **times), 13) == "├─────◆─────┤", "logarithmic"
    assert text_strip(verdict("reproduced", 1e9, 1e3, math.inf, **times), 13).endswith("┤"), "infinity is at the end"
    counts = {"region": (0.0, 0.0), "scale": "count"}
    assert text_strip(verdict("reproduced", 0.0, None, None, **counts), 13) == "      ●      "
    assert text_strip(verdict("contradicted", 3.0, None, None, **counts), 13) == "   ■  │      "


def test_a_terminal_without_these_characters_gets_plain_ones(monkeypatch, result):
    raw = io.BytesIO()
    monkeypatch.setattr(output.sys, "stdout", io.TextIOWrapper(raw, "ascii", PLAIN, write_through=True))
    output.people.cache_clear()
    for line in overview(result, 110):
        output.people().print(line, soft_wrap=True)
    output.people().print("0.93 ± 0.01, −3·10⁻⁷, ü")
    output.people.cache_clear()
    plain = raw.getvalue().decode("ascii")
    expected = screen(result, 110).translate(str.maketrans("│┼├┤─░●■◆▲×", "|+[]-.o#?!x"))
    assert plain == f"{expected}0.93 +/- 0.01, -3*10^-7, u\n"


def test_a_busy_machine_is_named_where_cells_ran_in_it(harness_cli, monkeypatch):
    loads = {"average": 9.5}
    monkeypatch.setattr(result_module.os, "getloadavg", lambda: (loads["average"], 0.0, 0.0))
    monkeypatch.setattr(result_module, "usable_cores", lambda: 2)
    busy = "busy machine: a load of 9.5 on 2 cores in the last minute, so measured seconds are too long"
    assert busy in harness_cli.toy("toy", "--only", "seed=0").err
    assert "busy" not in harness_cli.toy("toy", "--only", "seed=0").err, "nothing ran"
    loads["average"] = 2.1
    assert "busy" not in harness_cli.toy("toy", "--only", "seed=1").err, "the load of our own cells"


def test_tables_come_on_request_and_fit_every_width(harness_cli, monkeypatch):
    harness_cli.toy("toy")
    assert "toy/total" not in harness_cli.toy("toy").out
    tables = harness_cli.toy("toy", "--tables").out
    assert tables.startswith("toy/total  (mean ± half of the 90 % interval)\n")
    for width in (40, 60, 80, 110):
        monkeypatch.setattr(output, "PLAIN_WIDTH", width)
        narrow = harness_cli.toy("toy", "--tables").out
        estimates = narrow[: narrow.index("nothing to run")]
        # What is no table or number is wrapped by the terminal.
        assert max(len(line) for line in estimates.splitlines() if line.startswith(" ")) <= width
        assert estimates.count("method") <= 1, "no second table"
        assert estimates.count("lifted") == 2, "each setting once"


def test_the_answer_stands_below_what_was_printed_but_what_ended_early_is_said_last(harness_cli, result):
    harness_cli.toy("toy", "--only", "seed=0")
    lines = harness_cli.toy("toy").out.strip().splitlines()
    assert lines[0].startswith("16 cells run")
    assert lines[-1].endswith("The intervals are over seeds.")
    stopped = dataclasses.replace(result, interrupted=True, plan=result.plan)
    with redirect_stdout(io.StringIO()) as printed:
        output.people.cache_clear()
        result_module.print_result(stopped)
    output.people.cache_clear()
    assert printed.getvalue().strip().splitlines()[-1].startswith("interrupted; ")


def test_claims_of_a_suite_with_few_are_all_its_answer(harness_cli):
    document = harness_cli.toy("toy", "--json").document
    assert [(a["claim"], a["word"]) for a in document["answers"]] == [
        ("toy/lifted-is-higher", "shown"),
        ("toy/plain-is-higher", "contradicted"),
        ("toy/no-violations", "shown"),
    ]
    by_claim = {v["claim"]: v for v in document["verdicts"]}
    for answer in document["answers"]:
        assert answer["measured"] in by_claim[answer["claim"]]["sentence"]
    few = harness_cli.toy("toy", "--seeds", "3", "--results", "few", "--json").document
    assert [a["word"] for a in few["answers"]] == ["cannot be told", "cannot be told", "shown"]


def test_every_plain_word_stands_for_its_verdicts(result):
    (first, *_) = result.answers

    def word(**changes: object) -> str:
        changed = dataclasses.replace(first, **changes)  # type: ignore[arg-type]
        (answer,) = [
            a for a in answers_of(dataclasses.replace(result, verdicts=(changed,))) if a.verdict.claim == first.claim
        ]
        assert sentence(changed, answer.claim)
        return answer.word

    assert word(verdict="reproduced") == "shown"
    assert word(verdict="contradicted") == "contradicted"
    assert word(verdict="inconclusive") == "not shown"
    assert word(verdict="inconclusive", n=3) == "cannot be told"
    assert word(verdict="not-informative") == "cannot be told"
    assert word(verdict="not-run", estimate=None, low=None, high=None, alpha=None) == "cannot be told"
