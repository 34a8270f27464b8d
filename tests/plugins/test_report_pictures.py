"""Pictures of the report: values stand at their places, and figures of plugins cannot harm the page."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.files.claims import Equal, Greater, Ratio, Reaches
from harness.judge import Verdict, position, t_interval
from harness.judge.scales import scale_of
from harness.numbers import decimals, number
from harness_plugins.report import charts, forest
from harness_plugins.report.figures import Refused, harmless
from harness_plugins.report.svg import Axis

SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
WORDS = {"inside": "reproduced", "outside": "contradicted", "across": "inconclusive"}


def verdict(values, test, sign=1):
    """A verdict on values that are positive in the method's favour, in the test's own unit and direction."""
    interval, scale = t_interval(values), scale_of(test, sign)
    word = WORDS[position(interval, scale.region)]
    low, high = scale.between(interval.low, interval.high)
    return Verdict(
        claim="toy/claim",
        device="cpu",
        verdict=word,
        alone=word,
        region=scale.between(*scale.region),
        scale=scale.kind,
        better="lower" if sign < 0 else "higher",
        estimate=scale.shown(interval.mean),
        low=low,
        high=high,
        values=tuple(map(scale.shown, values)),
        n=len(values),
        alpha=0.05,
    )


def places(text):
    """The region and the interval of a strip, as drawn."""
    root = Tree.fromstring(text)
    (region,) = (e for e in root.iter("rect") if e.get("class") == "region")
    bar = next(e for e in root.iter("line") if e.get("class", "").startswith("interval"))
    left = float(region.get("x"))
    seeds = [float(e.get("cx")) for e in root.iter("circle") if "seed" in e.get("class")]
    ends = left, left + float(region.get("width"))
    return ends, (float(bar.get("x1")), float(bar.get("x2"))), seeds, float(root.get("viewBox").split()[2])


@pytest.mark.parametrize("seed", range(60))
def test_a_strip_shows_inside_outside_and_across_as_the_judge_decides(seed):
    generator = random.Random(seed)
    centre, spread = generator.choice([-1, 0, 1]) * 10 ** generator.uniform(-4, 2), 10 ** generator.uniform(-4, 1)
    values = [generator.gauss(centre, spread) for _ in range(5)]
    margin = 10 ** generator.uniform(-3, 1)
    kind = generator.choice(["greater", "equal", "ratio", "reaches", "below"])
    compared = {"metric": "m", "task": "t", "method": "a"}
    sign = -1 if kind == "below" else 1
    if kind == "equal":
        test = Equal(kind="equal", tol=margin, than="b", **compared)
    elif kind == "ratio":
        # The logarithms of ratios that doubles can hold.
        values, margin = [min(max(value, -300), 300) for value in values], min(margin, 5)
        test = Ratio(kind="ratio", by=math.exp(margin), than="b", **compared)
    elif kind == "reaches":
        test = Reaches(kind="reaches", value=centre, tol=margin, **compared)
    elif kind == "below":
        test = Greater(kind="greater", value=centre, by=margin, **compared)
    else:
        test = Greater(kind="greater", by=margin, than="b", **compared)
    judged = verdict(values, test, sign)
    (left, right), (low, high), seeds, width = places(forest.strip(test, [judged], "title"))
    assert 0 <= low <= high <= width
    assert len(seeds) == 5
    assert all(0 <= x <= width for x in seeds)
    slack = 0.11  # coordinates are rounded to tenths
    if judged.verdict == "reproduced":
        assert left - slack <= low
        assert high <= right + slack
    elif judged.verdict == "contradicted":
        assert high <= left + slack or low >= right - slack
    else:
        assert low <= right + slack
        assert high >= left - slack
    # Places keep the order and the proportions of the numbers.
    if high - low > 5:
        even = math.log if kind == "ratio" else float
        bottom, top = even(judged.low), even(judged.high)
        for place, value in zip(seeds, judged.values, strict=True):
            expected = (even(value) - bottom) / (top - bottom)
            assert (place - low) / (high - low) == pytest.approx(expected, rel=0.1, abs=0.1)


def test_a_ratio_is_drawn_on_a_logarithmic_axis_with_its_labels_as_times():
    test = Ratio(kind="ratio", by=4.0, metric="m", task="t", method="a", than="b")
    text = forest.strip(test, [verdict([math.log(8), math.log(16), math.log(32)], test)], "title")
    assert "4 times" in text
    assert "1 times" in text, "where both sides are alike"
    _, _, seeds, _ = places(text)
    assert seeds[1] - seeds[0] == pytest.approx(seeds[2] - seeds[1], abs=0.2)


def test_a_verdict_that_is_not_informative_has_a_mark_of_its_own():
    test = Greater(kind="greater", metric="m", task="t", method="a", than="b")
    judged = dataclasses.replace(verdict([1.0, 1.1, 1.2], test), verdict="not-informative")
    text = forest.strip(test, [judged], "title")
    assert forest.MARKS["not-informative"] == "triangle"
    assert len(set(forest.MARKS.values())) == len(forest.MARKS)
    assert 'class="mark not-informative"' in text


def test_a_verdict_without_numbers_has_no_strip():
    test = Greater(kind="greater", metric="m", task="t", method="a", than="b")
    empty = Verdict(
        claim="c",
        device="cpu",
        verdict="not-run",
        alone="not-run",
        region=(0, math.inf),
        scale="difference",
        alpha=0.05,
    )
    assert forest.strip(test, [empty], "title") == ""


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6))
def test_ticks_are_inside_the_axis_even_and_few(low, spread):
    axis = Axis(low, low + spread, 0, 100)
    if not axis.low < axis.high:
        return
    ticks = axis.ticks()
    slack = 1e-6 * spread + 1e-9 * abs(low)
    assert all(low - slack <= tick <= low + spread + slack for tick in ticks)
    assert len(ticks) <= 8
    assert sorted(ticks) == ticks


@given(st.floats(1e-12, 1e12), st.floats(1.01, 1e12))
def test_logarithmic_ticks_are_inside_too(low, factor):
    axis = Axis.around([low, low * factor], 0, 100, log=True)
    assert all(-1e-6 <= axis(tick) <= 100 + 1e-6 for tick in axis.ticks())
    assert len(axis.ticks()) <= 9


@given(st.floats(-1e12, 1e12, allow_subnormal=False))
def test_a_number_is_written_to_four_digits(value):
    parts = re.fullmatch("(−?[\\d.]+)?(?:·?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?", number(value))
    power = int((parts[2] or "⁰").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert float((parts[1] or "1").replace("−", "-")) * 10.0**power == pytest.approx(value, rel=6e-4)


def test_decimals_show_two_digits_of_the_width():
    assert [decimals(w) for w in (0.5, 0.05, 0.018, 3.0, 30.0)] == [2, 3, 3, 1, 0]


def test_curves_are_averaged_where_all_seeds_have_points():
    first, second = [(0, 1.0), (2, 3.0), (4, 5.0)], [(0, 3.0), (4, 7.0)]
    assert charts.averaged([first, second]) == [(0, 2.0), (4, 6.0)]
    assert charts.averaged([]) == []


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<script>alert(1)</script>", "script"),
        ("<foreignObject><p/></foreignObject>", "foreignObject"),
        ('<a xlink:href="https://host"/>', "<a>"),
        ('<image xlink:href="https://host/x.png"/>', "outside of the figure"),
        ('<image xlink:href="data:image/svg+xml;base64,AAAA"/>', "outside of the figure"),
        ('<use href="other.svg#a"/>', "outside of the figure"),
        ('<rect onclick="go()"/>', "onclick"),
        ('<rect ONLOAD="go()"/>', "ONLOAD"),
        ('<rect style="fill:url(https://host/x)"/>', "from elsewhere"),
        ('<rect style="fill: u\\rl(https://host/x)"/>', "from elsewhere"),
        ("<rect style=\"fill:url( 'https://host/x')\"/>", "from elsewhere"),
        ('<rect fill="url(//host/x)"/>', "from elsewhere"),
        ('<animate attributeName="href"/>', "animate"),
        ('<set attributeName="onload"/>', "set"),
        ('<g><g><iframe src="x"/></g></g>', "iframe"),
        ("<g>", "not well-formed"),
    ],
)
def test_a_figure_that_runs_or_loads_something_is_refused(inside, message):
    with pytest.raises(Refused, match=message):
        harmless(f"<svg {SVG}>{inside}</svg>", "mine")


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ("<p>no picture</p>", "outer element is <p>"),
        (None, "returned NoneType"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>', "declares entities"),
        ("<svg>" + " " * 500_000 + "</svg>", "characters"),
        ("", "not well-formed"),
    ],
)
def test_text_that_is_no_picture_is_refused(whole, message):
    with pytest.raises(Refused, match=message):
        harmless(whole, "mine")


def test_a_figure_of_matplotlib_is_accepted_and_does_not_restyle_the_page():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("svg")
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot([1, 2, 3], label="a < b")
    axes.imshow([[0.0, 1.0], [1.0, 0.0]])
    axes.legend()
    stream = io.StringIO()
    figure.savefig(stream, format="svg")
    text = harmless(stream.getvalue(), "my/figure")
    root = Tree.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "path" in tags
    assert not tags & {"style", "metadata", "script"}
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids
    assert all(name.startswith("my-figure-") for name in ids)
    references = {v[1:] for e in root.iter() for k, v in e.attrib.items() if k.endswith("href") and v.startswith("#")}
    assert references
    assert references <= set(ids)
