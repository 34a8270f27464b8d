"""Every view shows the same word and the same number of each claim and check: terminal, JSON, Python, page, MLflow."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from kinds_results import KINDS, REGISTRY, kinds_records, write_records
from tracking_runs import Stored, stored_runs

from harness import results as library
from harness.cell import Cell, Record
from harness.files.suite import read_suite
from harness.judge import CHECKED, SuiteResult, Verdict, answers_of, judged_suites, needed, seen_text, sentence, shown
from harness.planning.cross import cells_of
from harness.planning.request import Request
from harness.running.execute import record_of
from harness_plugins.report.elements import anchor
from harness_plugins.report.report import report
from harness_plugins.tracking.runs import COLOURS
from harness_plugins.tracking.writer import publish

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@dataclass(frozen=True)
class Views:
    """What every view of one results folder shows."""

    result: SuiteResult
    #: Printed by ``harness claims`` and by ``harness suite``.
    printed: tuple[str, str]
    #: Verdicts and checks, by id, of ``claims --json`` and of ``suite --json``.
    documents: tuple[dict[str, Any], ...]
    page: str
    runs: dict[str, Stored]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory, migrated: Path, command_line: Any) -> Views:
    # All cells of this task have records: the suite runs none.
    folder = tmp_path_factory.mktemp("kinds") / "results"
    return views_of("kinds", kinds_records(), folder, migrated, command_line, "--only=task=kinds/fit")


SHIPPED = ("contrastive", "activation", "postprocess", "density", "penalty", "matching", "ner", "leaderboard", "speed")


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in SHIPPED])
def shipped(request: Any, tmp_path_factory: pytest.TempPathFactory, migrated: Path, command_line: Any) -> Views:
    """A suite of the distribution with made-up records of all its cells that can run here."""
    cells = [cell for cell in cells_of(read_suite(request.param, REGISTRY), REGISTRY) if cell.skip is None]
    folder = tmp_path_factory.mktemp(request.param) / "results"
    return views_of(request.param, [made_up(cell) for cell in cells], folder, migrated, command_line)


def made_up(cell: Cell) -> Record:
    """A good record whose metrics depend on the method, with a little noise by cell; counts are mostly 0."""
    level, noise = (random.Random(text) for text in (f"{cell.method} {cell.task}", cell.id))
    metrics = {
        name: float(level.random() < 0.1) if metric.unit == "count" else level.uniform(0.5, 1.5) + noise.gauss(0, 0.05)
        for name, metric in REGISTRY.tasks[cell.task].metrics.items()
    }
    return record_of(cell, "done", None, metrics=metrics, seconds=1.0)


def views_of(
    name: str, records: Sequence[Record], folder: Path, migrated: Path, command_line: Any, *options: str
) -> Views:
    """Write the records and look at them in every way there is."""
    write_records(folder, records)
    shutil.copy(migrated, folder)
    (result,) = judged_suites(REGISTRY, [], Request(suite="", results=folder))
    suite = ("suite", name, *options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        patch.setenv("HARNESS_TRACKING", "off")
        if name != "kinds":
            # Statistics over all tasks, which bootstrap for minutes and show no verdict.
            patch.setattr("harness_plugins.report.suites.overall_sections", lambda result: [])

        def printed(*arguments: str) -> str:
            ended = command_line(folder.parent, patch, folder)("-p", KINDS, *arguments, f"--results={folder}")
            assert ended.code == 0, ended.err
            return str(ended.out)

        # The runs of hundreds of cells take minutes, and show no verdict.
        publish(result if name == "kinds" else replace(result, records={}))
        return Views(
            result=result,
            printed=(printed("claims"), printed(*suite)),
            documents=(
                {v["claim"]: v for v in json.loads(printed("claims", "--json"))},
                by_id(json.loads(printed(*suite, "--json"))),
            ),
            page=report(REGISTRY, Request(suite="", results=folder)),
            runs=stored_runs(folder, suite=name),
        )


def by_id(document: dict[str, Any]) -> dict[str, Any]:
    return {v["claim"]: v for v in (*document["verdicts"], *document["checks"])} | {"answers": document["answers"]}


def test_the_suite_has_every_word_scale_and_kind(views: Views) -> None:
    verdicts = views.result.verdicts
    assert {v.verdict for v in verdicts} == {
        "reproduced",
        "contradicted",
        "inconclusive",
        "not-informative",
        "not-run",
    }
    assert {v.scale for v in verdicts} == {"difference", "gap", "value", "times", "count"}
    assert {c.test.kind for c in views.result.plan.suite.claims.values() if c.test} == {
        "greater",
        "equal",
        "reaches",
        "ratio",
        "holds",
    }
    assert any(v.alone == "reproduced" and v.verdict == "inconclusive" for v in verdicts), "taken back by Holm"
    assert {CHECKED[v.verdict] for v in views.result.checks} == {"holds", "fails"}


def assert_terminal_and_json_show_the_verdicts_of_the_library(views: Views) -> None:
    claims = views.result.plan.suite.claims
    of_library = library.verdicts(views.result.plan.results, plugins=[KINDS])
    assert of_library == list(views.result.verdicts) != []
    for verdict in of_library:
        text = sentence(verdict, claims[verdict.claim])
        sentences, lines = views.printed
        block = re.search(
            rf"^  {verdict.verdict} +{re.escape(verdict.claim)} .*?(?=^  [a-z]|^[A-Z]|\Z)", sentences, re.M | re.S
        )
        assert block is not None, verdict.claim
        assert text.startswith(verdict.verdict.replace("-", " ") + ": ")
        assert text.partition(": ")[2] in block[0]
        assert_one_line_of_the_suite_shows(verdict, claims[verdict.claim].test, lines)
        for document in views.documents:
            shown_there = document[verdict.claim]
            assert {k: v for k, v in shown_there.items() if k in verdict.to_json()} == json.loads(
                json.dumps(verdict.to_json())
            )
            assert shown_there["sentence"] == text


def assert_one_line_of_the_suite_shows(verdict: Verdict, test: Any, printed: str) -> None:
    """``harness suite`` has one line for each claim, with the word, the number and what the claim needs."""
    name = re.escape(verdict.claim.partition("/")[2])
    lines = re.findall(rf"^ {verdict.verdict} +(?:[\w]+/)?{name}(?: .*)?$", printed, re.M)
    assert len(lines) == 1, verdict.claim
    if verdict.estimate is not None:
        assert shown(verdict, test) in lines[0]
        assert verdict.scale == "count" or f"needs {needed(verdict)}" in lines[0]


def assert_the_page_shows_the_words_and_numbers_of_the_terminal(views: Views) -> None:
    claims = views.result.plan.suite.claims
    several = len({verdict.device for verdict in views.result.verdicts}) > 1
    for verdict in views.result.verdicts:
        claim = claims[verdict.claim]
        place = anchor("claim", verdict.claim, verdict.device if several else "")
        article = re.search(rf'<article class="claim ([\w-]+)" id="{place}">(.*?)</article>', views.page, re.S)
        assert article is not None
        assert article[1] == verdict.verdict
        assert sentence(verdict, claim).partition(": ")[2] in html.unescape(article[2])
        rows = [row for row in re.findall(r"<tr>.*?</tr>", views.page, re.S) if f'href="#{place}"' in row]
        assert len(rows) == 1
        assert f'<td class="word {verdict.verdict}">' in rows[0]
        if verdict.estimate is not None:
            (number,) = re.findall(r'<td class="number">(.*?)<small>', rows[0])
            assert html.unescape(re.sub("<[^>]+>", "", number)) == shown(verdict, claim.test)
    for verdict in views.result.checks:
        row = re.search(rf'<tr id="{anchor("check", verdict.claim)}">(.*?)</tr>', views.page, re.S)
        assert row is not None
        assert f"</span>{CHECKED[verdict.verdict]}</td>" in row[1]
        check = views.result.plan.suite.checks[verdict.claim]
        if verdict.estimate is not None:
            assert html.escape(shown(verdict, check.test)) in row[1]


def assert_mlflow_has_the_words_and_numbers_of_the_terminal(views: Views) -> None:
    suite = views.result.plan.suite
    for verdict in views.result.verdicts:
        run, claim = views.runs[verdict.claim], suite.claims[verdict.claim]
        assert (run.tags["verdict"], run.tags["verdict.alone"]) == (verdict.verdict, verdict.alone)
        assert run.tags["sentence"] == sentence(verdict, claim)
        assert run.tags["origin"] == claim.origin
        assert run.tags.get("primary", "") == ("yes" if claim.primary else "")
        for name in ("would_take", "outlier", "changed", "cause"):
            assert run.tags.get(name, "") == getattr(verdict, name)
        assert run.tags.get("could_have_seen", "") == seen_text(verdict)
        for name in ("estimate", "low", "high", "p", "p_holm"):
            assert run.metrics.get(name) == getattr(verdict, name)
        assert run.tags["needs"] == needed(verdict)
        assert run.tags["mlflow.runColor"] == COLOURS[verdict.verdict]
        if verdict.estimate is not None:
            assert run.tags["interval"] == shown(verdict, claim.test)
    for verdict in views.result.checks:
        run, check = views.runs[f"check {verdict.claim}"], suite.checks[verdict.claim]
        number = "" if verdict.estimate is None else shown(verdict, check.test)
        assert (run.tags["verdict"], run.tags.get("interval", "")) == (CHECKED[verdict.verdict], number)


def test_every_view_shows_the_same_of_every_kind_of_claim(views: Views) -> None:
    assert_terminal_and_json_show_the_verdicts_of_the_library(views)
    assert_the_page_shows_the_words_and_numbers_of_the_terminal(views)
    assert_mlflow_has_the_words_and_numbers_of_the_terminal(views)


def test_every_view_shows_the_same_of_every_claim_of_a_suite(shipped: Views) -> None:
    assert_terminal_and_json_show_the_verdicts_of_the_library(shipped)
    assert_the_page_shows_the_words_and_numbers_of_the_terminal(shipped)
    assert_mlflow_has_the_words_and_numbers_of_the_terminal(shipped)


def test_every_face_gives_the_same_answer(views: Views) -> None:
    answers = answers_of(views.result)
    assert [answer.claim.id for answer in answers] == ["kinds/greater", "kinds/ratio"]
    page = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", views.page)).split())
    note = views.runs["report"].tags["mlflow.note.content"]
    (of_json,) = (document["answers"] for document in views.documents if "answers" in document)
    for answer, document in zip(answers, of_json, strict=True):
        assert (document["word"], document["claim"]) == (answer.word, answer.claim.id)
        for printed in views.printed:
            assert f"{answer.word.upper()}: {answer.claim.says}" in printed
        assert f"{answer.word.upper()}: {answer.claim.says}" in note
        assert f"{answer.word}: {answer.claim.says}" in views.runs["report"].tags["answer"]
        assert f"{answer.word} {answer.verdict.verdict} {answer.claim.says}" in page
        assert {"measured", "why", "possible", "cost", "tuned"} <= answer.facts.keys()
        for name, fact in answer.facts.items():
            assert document[name] == fact
            assert fact in page
            assert fact in note
            if name not in ("tuned", "covers"):
                assert all(
                    fact in " ".join(printed.split()).replace("The whole", "the whole") for printed in views.printed
                )


def test_a_claim_that_cannot_be_tested_is_not_one_that_was_not_run(views: Views) -> None:
    run = views.runs["kinds/untestable"]
    assert (run.tags["verdict"], run.status) == ("untestable", "FINISHED")
    assert run.tags["sentence"].startswith("untestable: ")
    assert (views.runs["kinds/never"].tags["verdict"], views.runs["kinds/never"].status) == ("not-run", "SCHEDULED")


def test_claims_of_the_sources_questions_and_checks_are_counted_apart_everywhere(views: Views) -> None:
    result, text = views.result, re.sub(r"<[^>]+>", " ", views.page)
    text = " ".join(html.unescape(text).split())
    sections = {
        "What the sources claim": ([v.verdict for v in result.sourced], "verdicts"),
        "Our own questions": ([v.verdict for v in result.questions], "questions"),
        "Checks": ([CHECKED[v.verdict] for v in result.checks], "checks"),
    }
    tags = views.runs["report"].tags
    for heading, (words, tag) in sections.items():
        counts = {word: words.count(word) for word in words}
        for word, count in counts.items():
            assert f"{count} {word}" in text[text.rindex(f"{heading} {counts_at(text, heading)}") :][:200]
            assert f"{count} {word}" in tags[tag]
    assert "kinds/untestable" not in tags["verdicts"]
    answers = text[: text.index("What the sources claim")]
    for verdict in result.answers:
        claim = result.plan.suite.claims[verdict.claim]
        assert claim.says in answers
        assert shown(verdict, claim.test) in answers
        assert f"{verdict.level} interval over {verdict.covers}" in answers
    for printed, heading in zip(views.printed, ("Claims of the suite kinds", "What the sources claim"), strict=True):
        assert printed.index(f"{heading}: ") < printed.index("Every kind of claim"), "the answer stands last"
        counted = {line.partition(": ")[0]: line.partition(": ")[2] for line in printed.splitlines()}
        assert counted[heading] == tags["verdicts"]
        assert counted["Our own questions"] == tags["questions"]


def counts_at(text: str, heading: str) -> str:
    """The first count below a heading, which tells it from other places with the same words."""
    found = re.search(rf"{heading} (\d+)", text)
    assert found is not None, heading
    return found[1]


def test_a_setting_of_a_claim_that_must_hold_in_each_has_a_word_by_the_claims_rule(views: Views) -> None:
    (verdict,) = (v for v in views.result.verdicts if v.claim == "kinds/each")
    article = views.page[views.page.index('id="claim-kinds-each"') :]
    article = article[: article.index("</article>")]
    claim = views.result.plan.suite.claims[verdict.claim]
    settings = re.search(r'<table class="settings">.*?</table>', article, re.S)
    assert settings is not None
    assert settings[0].count("<tr>") == verdict.settings == 2
    weakest = next(row for row in settings[0].split("<tr>") if f"<td>{verdict.weakest}</td>" in row)
    assert html.escape(shown(verdict, claim.test)) in weakest, "the weakest setting's number is the claim's"
    assert f"{verdict.weakest}: {verdict.verdict}" in weakest
