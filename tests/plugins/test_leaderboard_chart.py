"""The bump chart: whole, legible, in the page's own colours, and true to the records."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from plugin_run import METHODS, make_run

from harness.cell import Record
from harness.spec import file_digest
from harness_plugins.leaderboard import audit, chart

SVG = "{http://www.w3.org/2000/svg}"
METHOD_NAMES = [name for name, method in METHODS.items() if method.role == "score-aggregate"]


def record(task, run_task, method, data=None, **options):
    run = make_run(task, **options)
    metrics = run_task(METHODS[method].create(), run)
    return Record(
        id=f"{method}{options}",
        suite="s",
        method=method,
        task=task,
        options=run.options,
        device="cpu",
        dtype="float32",
        seed=0,
        status="done",
        metrics=metrics,
        curves=run.curves,
        data=data or {},
    )


@pytest.fixture(scope="module")
def glue():
    """Records in an order of their own, among them settings that are not drawn."""
    settings = [{"tasks": "11", "incomplete": "keep"}, {"tasks": "10"}, {"tasks": "10", "scale": "error"}]
    return [record("leaderboard/glue", audit.glue, m, **s) for s in settings for m in reversed(METHOD_NAMES)]


def parsed(svg):
    return ElementTree.fromstring(svg)


def texts(group):
    return [element.text for element in group.iter(f"{SVG}text")]


def test_there_is_one_chart_for_each_task_set_with_the_aggregates_in_order(glue):
    charts = chart.charts_of(glue)
    assert [c.title for c in charts] == [
        "tasks = 10: 10 columns, the same for every system; 13 systems",
        "tasks = 11: 11 columns, each system by those it has; 13 systems",
    ]
    assert all(c.columns == chart.COLUMNS for c in charts)


def test_ranks_are_those_of_the_records_under_the_systems_names(glue):
    same, mixed = chart.charts_of(glue)
    assert mixed.ranks["Human"][:3] == (6, 3, 1)
    assert same.ranks["Human"][:3] == (13, 13, 13)
    assert len(same.ranks) == 13
    arithmetic = next(r for r in glue if r.method == "arithmetic" and r.options["tasks"] == "10")
    assert same.ranks["Turing ULR v6"][0] == dict(arithmetic.curves["rank"])[0] == 1


def test_the_order_of_records_does_not_matter(glue):
    assert chart.draw(glue[::-1]) == chart.draw(glue)


def test_systems_of_one_column_never_share_a_place(glue):
    for bumps in chart.charts_of(glue):
        for column in range(len(bumps.columns)):
            places = bumps.places(column)
            assert sorted(places.values()) == list(range(len(bumps.ranks)))
            in_order = sorted(places, key=places.get)
            assert [bumps.ranks[s][column] for s in in_order] == sorted(ranks[column] for ranks in bumps.ranks.values())


def test_the_picture_is_one_svg_that_loads_nothing_and_takes_the_pages_colours(glue):
    svg = chart.draw(glue)
    root = parsed(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("class") == "bump-charts", "the report's rules for its own pictures would overrule these colours"
    assert not re.search(r"<script|href|url\(|<image|<style", svg)
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
    assert colours == {"none", "currentColor", "var(--accent, #0b6bcb)", "var(--on-accent, #fff)"}
    title = root.find(f"{SVG}title").text
    assert "Human has rank 6 by arithmetic, 3 by geometric, 1 by harmonic" in title


def test_every_system_is_named_at_both_ends_and_labels_keep_apart(glue):
    root = parsed(chart.draw(glue))
    width, height = map(float, root.get("viewBox").split()[2:])
    for group in root.findall(f"{SVG}g"):
        shown = texts(group)
        for system in ("Human", "T5", "DeBERTa / TuringNLRv4"):
            assert shown.count(system) == 2
        # Nothing at the same height is nearer than a line's height, within one column of text.
        by_x = {}
        for element in group.iter(f"{SVG}text"):
            by_x.setdefault(element.get("x"), []).append(float(element.get("y")))
        for ys in by_x.values():
            assert all(b - a >= 14 for a, b in zip(sorted(ys), sorted(ys)[1:], strict=False))
    assert all(0 <= float(t.get("x")) <= width and 0 <= float(t.get("y")) <= height for t in root.iter(f"{SVG}text"))


def test_the_human_alone_is_in_colour_and_above_all_others(glue):
    for group in parsed(chart.draw(glue)).findall(f"{SVG}g"):
        accented = [g for g in group.findall(f"{SVG}g") if g.find(f"{SVG}circle") is not None]
        assert [g.find(f"{SVG}title").text for g in accented] == ["Human"]
        assert group.findall(f"{SVG}g")[-1] is accented[0]
        assert len(accented[0].findall(f"{SVG}circle")) == 9


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"<b>&{n}</b> with a name too long for a label,{100 - n}" for n in range(40)]
    path.write_text("\n".join(["system,A", *rows, "me,30"]) + "\n")

    def made(method):
        data = {"option table": file_digest(path)[:32]}
        options = {"table": str(path), "human": "me"}
        return record("leaderboard/table", audit.own_table, method, data, **options)

    return path, [made("arithmetic"), made("median")]


def test_of_a_large_table_the_best_systems_and_the_named_one_are_drawn(own):
    path, records = own
    (only,) = chart.charts_of(records)
    assert len(only.ranks) == chart.SHOWN + 1
    assert only.ranks["me"] == (41, 41)
    assert only.places(0)["me"] == chart.SHOWN
    assert only.title.startswith(f"{path}: 1 column, ")
    assert "41 systems, 16 of them drawn" in only.title


def test_names_are_escaped_and_shortened(own):
    _, records = own
    shown = texts(parsed(chart.draw(records)))
    assert "<b>&0</b> with a name too l…" in shown


def test_where_the_table_is_gone_or_edited_rows_are_numbered(own):
    path, records = own
    path.write_text("system,A\nme,1\nother,2\n")
    assert {"row 1", "row 2"} <= chart.charts_of(records)[0].ranks.keys()
    path.unlink()
    assert "row 1" in texts(parsed(chart.draw(records)))


def test_one_aggregate_alone_is_drawn_too(glue):
    (only,) = chart.charts_of(glue[:1])
    assert len(only.columns) == 1
    parsed(chart.draw(glue[:1]))
