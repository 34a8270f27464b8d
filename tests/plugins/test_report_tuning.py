"""What the report shows of tuning: each metric over the tuned option, what was chosen how often, optima at the edge."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from tuned_plans import GRID, RATES, judged, plan_of, record, registry

from harness_plugins.report.report import rendered
from harness_plugins.report.suites import suite_section
from harness_plugins.report.tuning import geometric

SCORES = {"new": (0.5, 0.9, 0.7, 0.6), "old": (0.5, 0.6, 0.7, 0.8)}


def numbers(cell):
    score = SCORES[cell.method][RATES.index(cell.options["rate"])] + 0.001 * cell.seed
    return score, score - 0.1


@pytest.fixture
def result(tmp_path):
    return judged(plan_of(tmp_path, "seeds = 5\noptions = { steps = [5, 6] }\n" + GRID), numbers)


def section(result, tmp_path):
    (task,) = suite_section(result, tmp_path, ()).tasks
    return task.tuning


def test_a_chart_for_each_metric_and_setting_has_a_line_and_all_means_of_each_method(result, tmp_path):
    pictures = section(result, tmp_path).pictures
    assert [picture.caption for picture in pictures] == [
        f"{metric} over rate, steps={steps}" for metric in ("valid_accuracy", "accuracy") for steps in (5, 6)
    ]
    for picture in pictures:
        drawing = str(picture.drawing)
        assert drawing.count('class="curve') == 2
        tips = re.findall(r"<title>((?:new|old) rate[^<]*)</title>", drawing)
        assert [tip.split(":")[0] for tip in tips] == [f"{m} rate={rate}" for m in ("new", "old") for rate in RATES]
    assert "new rate=0.01: 0.8020 [0.8005, 0.8035]" in str(pictures[2].drawing)


def test_rates_that_grow_by_a_factor_are_evenly_apart(result, tmp_path):
    drawing = str(section(result, tmp_path).pictures[0].drawing)
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawing)][:4]
    steps = [later - earlier for earlier, later in pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_an_axis_names_the_values_that_were_tried(tmp_path):
    tried = (0.003, 0.01, 0.03)
    table = f'tune = {{ by = "valid_accuracy", rate = {list(tried)} }}'
    result = judged(plan_of(tmp_path, f"seeds = 5\n{table}"), lambda cell: (tried.index(cell.options["rate"]), 0.5))
    drawing = str(section(result, tmp_path).pictures[0].drawing)
    assert re.findall(r">([\d.]+)</text>", drawing)[-3:] == ["0.003", "0.01", "0.03"]


def test_the_table_counts_what_was_chosen_and_what_failed(tmp_path):
    def one_fails(cell):
        if cell.method == "new" and cell.options["rate"] == 1.0 and cell.seed < 2:
            return record(cell, "failed", "the loss is nan")
        return numbers(cell)

    tuning = section(judged(plan_of(tmp_path, "seeds = 5\n" + GRID), one_fails), tmp_path)
    columns = tuning.table.columns
    rows = [dict(zip(columns, row, strict=True)) for row in tuning.table.rows]
    assert [(row["method"], row["trial"], row["chosen"], row["failed"]) for row in rows] == [
        ("new", "rate=0.001", "0 of 5", "none"),
        ("new", "rate=0.01", "5 of 5", "none"),
        ("new", "rate=0.1", "0 of 5", "none"),
        ("new", "rate=1.0", "0 of 5", "2"),
        ("old", "rate=0.001", "0 of 5", "none"),
        ("old", "rate=0.01", "0 of 5", "none"),
        ("old", "rate=0.1", "0 of 5", "none"),
        ("old", "rate=1.0", "5 of 5", "none"),
    ]
    assert rows[1]["accuracy"].startswith("0.802")
    assert "rate over 4 values, chosen by valid_accuracy, 4 trials" in tuning.explanation
    assert tuning.warnings == ["old on tuned/fit: 5 of 5 studies chose rate=1.0, the largest tried"]


def test_tables_of_a_task_have_studies_in_place_of_their_trials(result, tmp_path):
    (task,) = suite_section(result, tmp_path, ()).tasks
    assert [row[:2] for row in task.estimates.rows] == [[m, s] for m in ("new", "old") for s in ("5", "6")]
    assert "rate" not in task.estimates.columns


def test_the_metric_that_chose_is_drawn_against_no_cost(tmp_path):
    result = judged(plan_of(tmp_path, "seeds = 5\n" + GRID, claims=""), numbers)
    (task,) = suite_section(result, tmp_path, ()).tasks
    captions = [picture.caption for picture in task.costs]
    assert "accuracy against seconds" in captions
    assert not [caption for caption in captions if caption.startswith("valid_")]


def test_the_page_has_all_of_it_and_says_it_in_the_answer(result, tmp_path):
    page = rendered([result], tmp_path, registry())
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "both tuned alike: rate over 4 values, chosen by valid_accuracy, 4 trials each" in text
    assert "5 of 5 studies chose rate=1.0, the largest tried. A wider grid may do better." in text
    assert page.count("over rate, steps=5</figcaption>") == 2


def test_a_suite_that_tunes_nothing_has_no_such_section(tmp_path):
    result = judged(plan_of(tmp_path, "seeds = 5\noptions = { rate = [0.01, 0.1] }"), numbers)
    assert section(result, tmp_path) is None


def test_random_draws_are_points_and_a_grid_of_two_options_has_a_line_for_each(tmp_path):
    table = '{ by = "valid_accuracy", trials = 6, rate = { low = 0.001, high = 1, log = true } }'
    drawn = judged(plan_of(tmp_path, f"seeds = 3\ntune = {table}"), lambda c: (c.options["rate"], c.options["rate"]))
    (picture, _) = section(drawn, tmp_path).pictures
    assert 'class="curve' not in str(picture.drawing)
    assert str(picture.drawing).count("<title>new rate=") == 6
    table = '{ by = "valid_accuracy", rate = [0.1, 0.2, 0.3], steps = [5, 6] }'
    crossed = judged(
        plan_of(tmp_path, f"seeds = 3\ntune = {table}"), lambda c: (c.options["rate"] + c.options["steps"], 0.5)
    )
    pictures = section(crossed, tmp_path).pictures
    assert [p.caption for p in pictures[:2]] == ["valid_accuracy over rate", "valid_accuracy over steps"]
    assert "new rate=0.1 steps=6" in str(pictures[0].drawing)
    assert "new rate=0.1 steps=5" not in str(pictures[0].drawing), "steps is at the value that was chosen"


def test_numbers_are_geometric_where_their_ratios_are_more_alike_than_their_steps():
    assert geometric([8, 32, 128])
    assert geometric([0.001, 0.003, 0.01, 0.03])
    assert geometric([0.01, 0.1])
    assert not geometric([1, 2])
    assert not geometric([10, 20, 30, 40])
    assert not geometric([0, 1, 10])
