"""Two results folders side by side: planted differences are found, noise is called noise."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from report_results import ENVIRONMENT, REGISTRY, TOY, Page, done, total, write_results
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from harness.errors import UsageError
from harness.planning.request import Request
from harness_plugins.report.compare import compare
from harness_plugins.report.report import comparison


def requests(*folders):
    return tuple(Request(suite="", results=folder) for folder in folders)


def shifted(by, noise=0.0, luck="", method="plain"):
    """A maker of records whose totals are higher by ``by`` for one method, and by some noise for all."""

    def make(cell):
        generator = random.Random(cell.id + luck)
        shift = by if cell.method == method else 0.0
        return done(cell, metrics={**total(cell), "total": total(cell)["total"] + shift + generator.gauss(0, noise)})

    return make


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "mine", tmp_path / "theirs"


def compared(folders, metric="total"):
    """The word of each setting for one metric, and all of the comparison of the suite."""
    (pair,) = compare(REGISTRY, requests(*folders)).suites
    rows = [row for of_task in pair.differences.values() for row in of_task if row.metric == metric]
    return {row.setting: row.word for row in rows}, pair


def test_the_same_records_have_the_same_bits(folders):
    for folder in folders:
        write_results(folder)
    words, pair = compared(folders)
    assert set(words.values()) == {"same bits"}
    assert pair.counts == {"same bits": 12}
    assert not any(row.changed for row in pair.claims)


def test_chance_is_called_noise_and_a_planted_shift_is_found(folders):
    write_results(folders[0], seeds=8)
    write_results(folders[1], shifted(0.6, 0.02), seeds=8)
    words, pair = compared(folders)
    assert words == {
        "plain slope=1.0": "differs",
        "plain slope=2.0": "differs",
        "lifted slope=1.0": "noise",
        "lifted slope=2.0": "noise",
    }
    changed = {row.id for row in pair.claims if row.changed}
    assert changed == {"toy/lifted-is-higher"}, "the lead falls below the margin of a half"


def test_intervals_and_words_are_those_of_a_paired_test_with_holms_correction(folders):
    first = write_results(folders[0], shifted(0.0, 0.1), seeds=6)
    second = write_results(folders[1], shifted(0.1, 0.1, "other"), seeds=6)
    _, pair = compared(folders)
    rows = [row for of_task in pair.differences.values() for row in of_task if row.metric == "total"]
    expected = []
    for method in ("plain", "lifted"):
        for slope in (1.0, 2.0):
            a, b = (
                [r.metrics["total"] for r in sorted(records, key=lambda r: r.seed)
                 if r.method == method and r.options["slope"] == slope]
                for records in (first, second)
            )  # fmt: skip
            expected.append(ttest_rel(b, a))
    _, adjusted, *_ = multipletests([test.pvalue for test in expected], 0.05, "holm")
    for row, test, p in zip(rows, expected, adjusted, strict=True):
        interval = test.confidence_interval(0.9)
        assert (row.interval.low, row.interval.high) == pytest.approx((interval.low, interval.high))
        assert row.p == pytest.approx(p)
        assert row.word == ("differs" if p <= 0.05 else "noise")
    assert {row.word for row in rows}


def test_two_seeds_decide_nothing(folders):
    write_results(folders[0], seeds=2)
    write_results(folders[1], shifted(0.5), seeds=2)
    words, _ = compared(folders)
    assert words["plain slope=1.0"] == "too few seeds"
    assert words["lifted slope=1.0"] == "same bits"


def test_environments_are_compared_and_the_page_names_what_differs(folders):
    write_results(folders[0])
    other = {**ENVIRONMENT, "cpu": "Another <b>Processor</b>", "packages": {"torch": "2.7.0", "numpy": "2.0.0"}}
    write_results(folders[1], shifted(0.0), environment=other)
    comparison_of_both = compare(REGISTRY, requests(*folders))
    assert set(comparison_of_both.environment) == {
        ("cpu", "A Processor", "Another <b>Processor</b>"),
        ("packages.torch", "2.6.0", "2.7.0"),
    }
    page = Page(comparison(REGISTRY, requests(*folders)))
    assert "What changed from mine to theirs" in page.text
    assert "Another <b>Processor</b>" in page.text
    assert page.all("b") == page.all("script") == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} <= set(ids)


def test_another_device_is_compared_setting_by_setting(folders):
    write_results(folders[0])
    write_results(folders[1], lambda cell: done(replace(cell, device="cuda")))
    words, pair = compared(folders)
    assert set(words.values()) == {"same bits"}
    assert [row.id for row in pair.claims] == ["toy/lifted-is-higher", "toy/plain-is-higher", "toy/no-violations"]
    assert {row.second.device for row in pair.claims} == {"cuda"}


def test_how_many_times_as_long_it_took(folders):
    write_results(folders[0])
    write_results(folders[1], lambda cell: done(cell, seconds=3 * done(cell).seconds))
    (pair,) = compare(REGISTRY, requests(*folders)).suites
    assert {row[-1] for row in pair.costs} == {"3 ×"}


def test_settings_that_one_folder_lacks_are_named(folders):
    write_results(folders[0])
    write_results(folders[1], lambda cell: done(cell) if cell.method == "plain" else None)
    _, pair = compared(folders)
    assert pair.alone == ["toy/total lifted slope=1.0", "toy/total lifted slope=2.0"]


def test_folders_without_a_common_suite_cannot_be_compared(folders):
    write_results(folders[0])
    folders[1].mkdir()
    with pytest.raises(UsageError, match="no records of the same suite"):
        compare(REGISTRY, requests(*folders))


def test_the_command_compares_two_folders_and_refuses_three(harness_cli):
    for name in ("mine", "theirs", "others"):
        write_results(harness_cli.folder / name)
    ended = harness_cli("-p", TOY, "report", "-o", "r.html", "mine", "theirs")
    assert ended.code == 0, ended.err
    assert "What changed from mine to theirs" in (harness_cli.folder / "r.html").read_text()
    ended = harness_cli("-p", TOY, "report", "mine", "theirs", "others")
    assert ended.code == 2
    assert "name one to report, or two to compare" in ended.err
