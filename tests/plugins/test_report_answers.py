"""The report's first screen: the answer in the words of every face, a table of answers, claims that look alike."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from kinds_results import REGISTRY, kinds_result

from harness.judge import SuiteResult, answers_of
from harness_plugins.report import charts
from harness_plugins.report.report import rendered


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    return kinds_result(tmp_path_factory.mktemp("kinds"))


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("<main>") :])).split())


def test_the_answer_is_the_first_thing_on_the_page(result):
    text = words(rendered([result], Path("results"), REGISTRY))
    places = [text.index(f"{answer.word} reproduced {answer.claim.says}") for answer in answers_of(result)]
    assert max(places) < text.index("What the sources claim")
    assert 'id="answers"' not in rendered([result], Path("results"), REGISTRY), "one suite needs no table of answers"


def test_several_suites_have_a_table_of_answers_on_top(result):
    page = rendered([result, result], Path("results"), REGISTRY)
    section = page[page.index('<section id="answers">') : page.index('<section id="suite-kinds">')]
    assert section.count("Every kind of claim") == 2
    for answer in answers_of(result):
        assert section.count(html.escape(answer.claim.says)) == 2
        assert f"</span>{answer.word}</td>" in section


def test_claims_that_look_alike_share_a_card_and_answers_have_their_own(result):
    page = rendered([result], Path("results"), REGISTRY)
    headings = re.findall(r'<section class="alike">\s*<h3>(.*?)</h3>', page)
    assert headings
    for heading in headings:
        card = page[page.index(f"<h3>{heading}</h3>") :]
        card = card[: card.index("</section>")]
        assert card.count("<article") == int(heading.split()[0]) > 1
        assert "claim-kinds-greater" not in card
        assert "claim-kinds-ratio" not in card
    assert len(re.findall(r"<article class=\"claim [\w-]+\" id=", page)) == len(result.verdicts) + 1, (
        "and one untestable"
    )


def test_an_axis_of_cost_begins_at_nothing():
    points = [charts.CostPoint(0, cost, value, None, None, "") for cost, value in ((90.0, 0.5), (100.0, 0.7))]
    drawn = charts.against_cost(points, "title")
    assert re.search(r'text-anchor="middle"[^>]*>0</text>', drawn), "its first number"
    x = [float(place) for place in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    assert x[0] > 300, "a tenth less is drawn as a tenth less"
