"""The report as a page: complete, self-contained, honest about what is missing, and safe with hostile records."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from report_results import ENVIRONMENT, REGISTRY, TOY, Page, done, page_of, toy_cells, write_results

from harness.files.claims import claims_of
from harness.files.suite import read_suite
from harness.judge import judge
from harness.planning.request import Request
from harness.registry import load_registry
from harness.running.execute import record_of
from harness.spec import Figure
from harness_plugins.report.report import report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</style></svg>"


def as_toml(value):
    """A value of a claim as TOML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    return f"[{', '.join(map(as_toml, value))}]" if isinstance(value, list) else json.dumps(value)


def with_claims(registry, claims, folder):
    """The registry with these claims and the toy's suite, which asks for ``toy/*``."""
    contents = [claim.model_dump(mode="json", exclude_defaults=True) for claim in claims.values()]
    lines = [line for c in contents for line in ("[[claim]]", *(f"{k} = {as_toml(v)}" for k, v in c.items()))]
    file = folder / "claims-of-the-test.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return replace(registry, claim_files=(file,))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    return page_of(folder)


def test_the_page_loads_and_runs_nothing_from_elsewhere(page):
    assert page.all("script") == page.all("link") == page.all("iframe") == page.all("img") == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert [attributes for _, attributes in page.elements if attributes.get("src")] == []
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")


def test_every_anchor_leads_somewhere_and_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a") if a.get("href", "").startswith("#")}
    assert targets <= set(ids)
    assert {"claim-toy-lifted-is-higher", "claim-toy-plain-is-higher", "claim-toy-no-violations"} <= targets
    assert "suite-toy-untestable" in targets


def test_the_first_screen_says_what_was_asked_found_spent_and_where(page):
    first = page.text[: page.text.index("one by one")]
    assert "A toy" in first
    assert "2 reproduced 1 contradicted" in first
    assert "1 untestable" in first
    assert "20 of 20 cells" in first
    assert "24 s of computing, at most 3 MB a cell" in first
    assert "A Processor, 4 cores" in first
    assert "commit cccccccccc with uncommitted changes" in first


def test_verdicts_and_intervals_are_those_of_the_judge(tmp_path):
    records = {record.id: record for record in write_results(tmp_path)}
    suite = read_suite("toy", REGISTRY)
    verdicts = judge(suite.claims, toy_cells(), records, REGISTRY.tasks)
    page = page_of(tmp_path)
    for verdict in verdicts:
        article = page.source[page.source.index(f'id="claim-{verdict.claim.replace("/", "-")}"') :]
        assert re.search(rf"</span>{verdict.verdict}:</span> (.*)</h3>", article)[1] == suite.claims[verdict.claim].says
    greater = verdicts[0]
    assert f"{greater.estimate:+.3f} [{greater.low:+.3f}, {greater.high:+.3f}] (93 %)" in page.text


def test_every_seed_is_a_point_and_stands_in_the_table_behind_the_picture(tmp_path):
    records = write_results(tmp_path)
    source = page_of(tmp_path).source
    article = source[source.index('id="claim-toy-lifted-is-higher"') :]
    article = article[: article.index("</article>")]
    assert len(re.findall(r'<circle[^>]*class="mark dot', article)) == 10, "5 seeds, two sides"
    assert len(re.findall(r'class="pair', article)) == 5
    table = article[article.index("<details>") :]
    for seed in range(5):
        for method in ("lifted", "plain"):
            values = [r.metrics["total"] for r in records if r.seed == seed and r.method == method]
            assert f"{sum(values) / 2:.6g}" in table, "averaged over both slopes, as it was judged"
    assert "averaged over 2 settings seed by seed" in article


def test_every_group_of_pictures_has_a_table_behind_it(page):
    measured = page.source[page.source.index('id="suite-toy-measured"') :]
    pictures = len(re.findall(r'<div class="charts">', measured))
    assert pictures == len(re.findall("The numbers behind these pictures", measured)) > 0


def test_pictures_hold_no_colours_and_say_what_they_are(page):
    pictures = re.findall(r"<svg.*?</svg>", page.source, flags=re.S)
    assert len(pictures) > 10
    for picture in pictures:
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(|fill=|stroke=", picture)
        assert "<title>" in picture or 'class="picture key"' in picture
    css = page.source[: page.source.index("</style>")]
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    assert set(re.findall(r"(--[\w-]+):", light)) == set(re.findall(r"(--[\w-]+):", dark[: dark.index("}")]))
    used = set(re.findall(r"var\((--[\w-]+)\)", css))
    assert used <= set(re.findall(r"(--[\w-]+):", light))


def test_commands_to_run_it_again_name_folder_plugin_and_commit(tmp_path):
    folder = tmp_path / "with space"
    write_results(folder)
    text = page_of(folder, full=True).text
    assert f"harness -p {TOY} suite toy '--results={folder}'" in text
    assert f"harness -p {TOY} rerun --claim=toy/lifted-is-higher '--results={folder}'" in text
    assert "git checkout " + "c" * 40 in text
    text = page_of(folder).text
    assert "harness -p toy suite toy '--results=with space'" in text
    assert "harness -p toy rerun --claim=toy/lifted-is-higher '--results=with space'" in text


def test_only_a_full_report_tells_whose_machine_it_was(tmp_path):
    output = 'File "/home/ada/lab/loss.py", line 3, in loss of ada'

    def make(cell):
        if cell.seed == 0:
            cause = "ValueError: no /srv/lab/weights.pt on gpu-7"
            return replace(done(cell), status="failed", cause=cause, output=output)
        return done(cell)

    own = {"machine": "gpu-7", "packages": {"torch": "2.6.0", "acme-secret-model": "1.0"}}
    write_results(tmp_path, make, environment={**ENVIRONMENT, **own})
    telling = ("gpu-7", "ada", "/home", "/srv", "acme-secret-model", str(tmp_path), str(Path(TOY).parent))
    full, shared = page_of(tmp_path, full=True), page_of(tmp_path)
    assert [word for word in telling if word not in full.source] == []
    assert [word for word in telling if re.search(rf"\b{re.escape(word)}\b", shared.source)] == []
    assert "ValueError: no .../weights.pt on host" in shared.text
    assert 'File ".../loss.py", line 3, in loss of user' in shared.text
    assert "torch==2.6.0" in shared.text
    assert "2.6.0" in shared.text
    assert "A Processor, 4 cores" in shared.text


def test_a_folder_without_records_says_so(tmp_path):
    page = page_of(tmp_path)
    assert "There is no record of a registered suite" in page.text
    assert page.all("svg") == []


def test_one_record_is_shown_and_the_rest_is_missing(tmp_path):
    write_results(tmp_path, lambda cell: done(cell) if (cell.method, cell.seed) == ("plain", 0) else None)
    page = page_of(tmp_path)
    assert "3 not-run" in page.text
    assert "18 of the suite's cells have no record" in page.text
    missing = set(re.findall(r"\d+ of its \d+ cells have not run", page.text))
    assert missing == {"2 of its 4 cells have not run", "10 of its 12 cells have not run"}


def test_failures_stand_there_with_their_cause_and_output(tmp_path):
    def make(cell):
        if cell.seed == 0:
            return record_of(cell, "failed", "ValueError: planted", output="Traceback: line 3", seconds=0.5)
        return done(cell)

    write_results(tmp_path, make)
    page = page_of(tmp_path)
    assert page.text.count("ValueError: planted") >= 4
    assert "Traceback: line 3" in page.text
    assert "4 failed" in page.text
    assert "cells have no good record" in page.text, "why the claims were not run"


def test_hostile_text_is_shown_and_never_run(tmp_path):
    registry = load_registry((TOY,))
    claims = {
        name: claim.model_copy(
            update={
                "says": HOSTILE,
                "note": HOSTILE,
                "paper": {HOSTILE: HOSTILE},
                "source": claim.source.model_copy(update={"article": "javascript:alert(3)", "id": HOSTILE}),
            }
        )
        for name, claim in claims_of(registry).by_id.items()
        if name.startswith("toy/")
    }
    registry = with_claims(registry, claims, tmp_path)

    def make(cell):
        if cell.seed == 3 and cell.method == "plain":
            failed = record_of(cell, "failed", HOSTILE, output=HOSTILE)
            return replace(failed, options={**cell.options, "mode": HOSTILE})
        return replace(done(cell, curves={HOSTILE: [(0, 1.0), (1, 2.0)]}), data={HOSTILE: HOSTILE})

    environment = {"cpu": HOSTILE, "packages": {HOSTILE: HOSTILE}, "source": {"commit": HOSTILE, "dirty": True}}
    write_results(tmp_path, make, registry, environment=environment)
    page = page_of(tmp_path, registry)
    assert page.all("script") == page.all("img") == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert not [a for a in page.all("a") if a["href"].startswith("javascript")]
    assert page.text.count("<script>alert(1)</script>") > 10, "it is shown as text"
    assert page.source.count("</style>") == 1
    assert "git checkout <" not in page.text, "nobody should paste it"


def test_a_figure_of_a_plugin_stands_under_its_suite_and_a_broken_one_costs_a_sentence(tmp_path):
    drawn = []

    def draw(records):
        drawn.extend(records)
        return '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><g id="a"/></svg>'

    def fail(_):
        raise ZeroDivisionError("planted")

    figures = {
        "toy/good": Figure(name="toy/good", draw=draw, tasks=("toy/total",), help="what it shows"),
        "toy/bad": Figure(name="toy/bad", draw=fail, tasks=("toy/total",)),
        "toy/elsewhere": Figure(name="toy/elsewhere", draw=fail, tasks=("toy/absent",)),
    }
    records = write_results(tmp_path)
    page = page_of(tmp_path, replace(REGISTRY, figures=figures))
    assert {r.id for r in drawn} == {r.id for r in records}
    assert page.all("g", id="toy-good-a")
    assert "what it shows" in page.text
    assert "This figure is not shown: it raised ZeroDivisionError: planted" in page.text
    assert "toy/elsewhere" not in page.text


def test_a_thousand_records_take_seconds_and_less_than_three_megabytes(tmp_path):
    records = write_results(tmp_path, seeds=260)
    assert len(records) > 1000
    begin = time.process_time()
    page = page_of(tmp_path)
    assert time.process_time() - begin < 20, "two seconds of processor time on most machines"
    assert len(page.source.encode()) < 3_000_000
    assert "1040 of 1040 cells" in page.text


def test_the_command_writes_the_file_and_says_how_large_it_is(harness_cli):
    folder = harness_cli.folder / "results"
    write_results(folder)
    ended = harness_cli("-p", TOY, "report", "-o", "r.html", "--json")
    assert ended.code == 0, ended.err
    text = (harness_cli.folder / "r.html").read_text()
    assert ended.document == {"report": "r.html", "bytes": len(text.encode())}
    assert "A toy" in text
    assert list(harness_cli.folder.glob(".r*")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no results folder nowhere"),
        (["results", "-o", "no/such/folder/r.html"], "cannot be written"),
        (["results", "--suite", "tyo"], "did you mean 'toy'"),
    ],
)
def test_bad_input_to_report_is_one_sentence(harness_cli, arguments, message):
    write_results(harness_cli.folder / "results")
    ended = harness_cli("-p", TOY, "report", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_records_of_unregistered_suites_are_named(tmp_path):
    write_results(tmp_path)
    with (tmp_path / "records.jsonl").open("a") as stream:
        stream.write(json.dumps(json.loads(done(toy_cells()[0]).to_line()) | {"suite": "mine", "id": "f" * 20}) + "\n")
    assert "This folder also has records of suites that are not shown: mine." in page_of(tmp_path).text


def test_a_suite_that_is_named_by_its_file_is_not_missing(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(read_suite("toy", REGISTRY).path.read_text())
    write_results(tmp_path, lambda cell: done(replace(cell, suite="mine")))
    page = Page(report(REGISTRY, Request(suite="", results=tmp_path), [str(file)]))
    assert "20 of 20 cells" in page.text
    assert "not shown" not in page.text


def test_a_claim_on_a_value_is_shown_in_the_metrics_own_numbers(tmp_path):
    registry = load_registry((TOY,))
    base = claims_of(registry).by_id["toy/lifted-is-higher"]
    content = base.model_dump() | {
        "id": "toy/above",
        "paper": {},
        "test": {"kind": "greater", "metric": "total", "task": "toy/total", "method": "plain", "value": 2.0, "by": 1.5},
    }
    claim = type(base).model_validate(content)
    registry = with_claims(registry, {"toy/above": claim}, tmp_path)
    records = write_results(tmp_path, registry=registry)
    values = [sum(r.metrics["total"] for r in records if r.method == "plain" and r.seed == s) / 2 for s in range(5)]
    text = page_of(tmp_path, registry).text
    assert f"{sum(values) / 5:.2f} [" in text
    assert "needs > 3.5" in text


def test_methods_share_a_chart_where_only_their_own_defaults_differ(page):
    captions = re.findall(r"<figcaption>(norm.*?)</figcaption>", page.source)
    assert captions == ["norm, slope=1.0, over steps", "norm, slope=2.0, over steps"]
    for chart in re.findall(r'<svg[^>]*class="picture curves".*?</svg>', page.source, flags=re.S)[:2]:
        assert "plain" in chart
        assert "lifted" in chart
