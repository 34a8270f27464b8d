"""Outcomes of scored items: from the task to the verdict, and what commands do with the files that hold them."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from harness.cell import Cell, Record
from harness.errors import UsageError
from harness.records import parse_record
from harness.records.items import MOST_ITEMS, are_outcomes, item_digest, items_path, read_items, write_items
from harness.running.engines.outcome import parse_message
from harness.running.run import Run

SCORED = str(Path(__file__).parent / "scored")
SUITE = """
title = "Scored"
claims = ["scored/*"]

[[cross]]
task = "scored/sort"
methods = ["keen", "dull"]
seeds = {seeds}
options = {{ {options} }}
"""


@pytest.fixture
def scored(harness_cli):
    """Run the suite of scored items; give its document."""

    def run(*arguments, seeds=5, **options):
        listed = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
        path = harness_cli.write("scored.toml", SUITE.format(seeds=seeds, options=listed))
        result = harness_cli("-p", SCORED, "suite", path, "--json", *arguments)
        assert result.code == 0, result.err
        return result.document

    return run


@pytest.fixture
def results(scored, harness_cli):
    scored()
    return harness_cli.folder / "results"


def files_of(results):
    return sorted((results / "items").iterdir())


def judged(harness_cli, folder="results"):
    """The verdict of a results folder."""
    (verdict,) = harness_cli("-p", SCORED, "claims", "scored.toml", "--json", "--results", folder).document
    return verdict


# Handing over -------------------------------------------------------------------------------------------------


def make_run():
    return Run(Cell("s", "m", "t", {}, "cpu", "float32", 0, "code"), {}, {})


@pytest.mark.parametrize("kind", ["list", "bool", "uint8", "int64", "torch"])
def test_outcomes_become_one_byte_an_item(kind):
    import torch

    right = [True, False, True]
    outcomes = {
        "list": right,
        "bool": np.array(right),
        "uint8": np.array(right, np.uint8),
        "int64": np.array(right, np.int64),
        "torch": torch.tensor(right),
    }[kind]
    run = make_run()
    run.outcomes("accuracy", outcomes)
    assert run.items == {"accuracy": b"\x01\x00\x01"}


@pytest.mark.parametrize(
    "outcomes", [[], [[1, 0]], 1, [0.0, 1.0], [1, 2], [-1, 1], ["1"], [None], [[1], [1, 0]], {1, 0}]
)
def test_what_is_no_row_of_zeros_and_ones_is_refused(outcomes):
    run = make_run()
    with pytest.raises(UsageError, match="outcomes of accuracy"):
        run.outcomes("accuracy", outcomes)
    assert run.items == {}


def test_the_items_of_all_metrics_of_a_cell_have_one_limit():
    run = make_run()
    run.outcomes("a", np.zeros(MOST_ITEMS - 1, bool))
    with pytest.raises(UsageError, match="at most 10,000,000 items in all"):
        run.outcomes("b", [0, 1])
    run.outcomes("b", [0])


def outcome_line(items, **changes):
    outcome = {
        "status": "done", "cause": None, "metrics": {"a": 0.5}, "seconds": 1.0, "peak_bytes": None, "curves": {},
        "items": items, **changes,
    }  # fmt: skip
    return json.dumps({"outcome": outcome}).encode()


def test_the_parent_reads_outcomes_and_nothing_else():
    message = parse_message(outcome_line({"a": "AAE="}))
    assert message is not None
    assert message.outcome is not None
    assert message.outcome.items == {"a": b"\x00\x01"}
    strange = [
        {"a": "YWI="},
        {"a": "AA"},
        {"a": "A?E="},
        {"a": ""},
        {"a": 1},
        {"a": [0]},
        {"b": "AAE="},
        ["AAE="],
        None,
    ]
    assert [parse_message(outcome_line(items)) for items in strange] == [None] * len(strange)


def test_the_parent_has_the_limit_of_the_cell(monkeypatch):
    monkeypatch.setattr("harness.running.engines.outcome.MOST_ITEMS", 3)
    metrics = {"metrics": {"a": 0.5, "b": 0.5}}
    assert parse_message(outcome_line({"a": "AAE=", "b": "AA=="}, **metrics)) is not None
    assert parse_message(outcome_line({"a": "AAE=", "b": "AAE="}, **metrics)) is None


# Files --------------------------------------------------------------------------------------------------------


def test_the_same_content_is_written_once(tmp_path):
    digest = write_items(tmp_path, b"\x00\x01")
    before = items_path(tmp_path, digest).stat()
    assert write_items(tmp_path, b"\x00\x01") == digest == item_digest(b"\x00\x01")
    assert items_path(tmp_path, digest).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in files_of(tmp_path)] == [f"{digest}.bin"]


def test_a_damaged_file_is_written_anew_and_a_link_is_not_followed(tmp_path):
    digest = item_digest(b"\x00\x01")
    path, elsewhere = items_path(tmp_path, digest), tmp_path / "elsewhere"
    path.parent.mkdir()
    elsewhere.write_bytes(b"theirs")
    path.symlink_to(elsewhere)
    write_items(tmp_path, b"\x00\x01")
    assert elsewhere.read_bytes() == b"theirs"
    assert read_items(path) == b"\x00\x01"


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x00\x01\x01", b"\x00\x02", b"01", b"\x01" * 1000])
def test_content_that_does_not_have_the_digest_in_its_name_is_damaged(tmp_path, content):
    path = items_path(tmp_path, write_items(tmp_path, b"\x00\x01"))
    path.write_bytes(content)
    assert read_items(path) == "damaged"


def test_bytes_that_are_no_outcomes_are_damaged_whatever_their_digest(tmp_path):
    for content in (b"", b"ab", b"\x00\x02"):
        assert not are_outcomes(content)
        path = tmp_path / f"{item_digest(content)}.bin"
        path.write_bytes(content)
        assert read_items(path) == "damaged"


def test_a_pipe_or_a_folder_in_place_of_a_file_is_damaged(tmp_path):
    digest = item_digest(b"\x01")
    os.mkfifo(tmp_path / f"{digest}.bin")
    assert read_items(tmp_path / f"{digest}.bin") == "damaged"
    (tmp_path / "0123456789abcdef.bin").mkdir()
    assert read_items(tmp_path / "0123456789abcdef.bin") == "damaged"
    assert read_items(tmp_path / "fedcba9876543210.bin") == "missing"


@pytest.mark.parametrize("digest", ["../../seals", "0123456789abcde/", "0123456789ABCDEF", "0" * 15, "0" * 17, ""])
def test_a_digest_is_no_path(tmp_path, digest):
    with pytest.raises(ValueError, match="no digest"):
        items_path(tmp_path, digest)
    record = Record(
        id="0" * 20, suite="s", method="m", task="t", options={}, device="cpu", dtype="float32", seed=0,
        status="done", metrics={"a": 1.0}, items={"a": digest},
    )  # fmt: skip
    assert parse_record(record.to_line().encode()) == "damaged"


def test_a_record_from_before_has_no_items(results):
    line = (results / "records.jsonl").read_bytes().splitlines()[0]
    content = json.loads(line)
    assert content["items"]
    del content["items"]
    record = parse_record(json.dumps(content).encode())
    assert isinstance(record, Record)
    assert record.items == {}


# Commands -----------------------------------------------------------------------------------------------------


def test_each_record_names_the_outcomes_of_its_cell(scored, harness_cli):
    records = scored()["records"]
    assert len(records) == 10
    for record in records:
        content = read_items(items_path(harness_cli.folder / "results", record["items"]["accuracy"]))
        assert isinstance(content, bytes)
        assert len(content) == 400
        assert content.count(1) / 400 == record["metrics"]["accuracy"]
    assert len(files_of(harness_cli.folder / "results")) == 10
    assert harness_cli("records", "check").code == 0


def test_the_verdict_says_what_it_covers_and_what_other_items_would_give(scored, harness_cli):
    document = scored()
    (verdict,) = document["verdicts"]
    items = verdict["items"]
    assert (items["items"], items["seeds"]) == (400, 5)
    assert items["estimate"] == pytest.approx(verdict["estimate"])
    assert items["both_low"] < items["low"] < items["estimate"] < items["high"] < items["both_high"]
    text = r"over seeds on one fixed test set; other test items: \+0\.\d+, 95 % from [+-]0\.\d+ to \+0\.\d+; "
    more = ", which leaves the claim open" if items["leaves_open"] else ""
    assert re.search(text + rf"other items and seeds: from [+-]0\.\d+ to \+0\.\d+{more}$", verdict["sentence"])
    assert items["leaves_open"] == (items["both_low"] <= 0)
    (answer,) = document["answers"]
    assert answer["items"] in verdict["sentence"]
    assert answer["covers"] == "93 % interval over seeds, on one fixed test set"
    printed = " ".join(harness_cli("-p", SCORED, "claims", "scored.toml").out.split())
    assert answer["items"] in printed
    assert judged(harness_cli)["items"] == items


def test_report_and_mlflow_say_the_same_of_other_items(results, harness_cli):
    from harness.judge import judged_suites
    from harness.planning.request import Request
    from harness.registry import load_registry
    from harness_plugins.tracking.claim_runs import claim_run

    assert harness_cli("-p", SCORED, "report", "-o", "r.html").code == 0
    page = html.unescape((harness_cli.folder / "r.html").read_text(encoding="utf-8"))
    request = Request(suite="", results=results)
    (result,) = judged_suites(load_registry([SCORED]), [str(harness_cli.folder / "scored.toml")], request)
    (verdict,) = result.verdicts
    assert f"<dt>other test items</dt><dd>{verdict.items}</dd>" in page
    assert page.count(f"over seeds on one fixed test set; {verdict.items}") >= 1
    run = claim_run(result.plan.suite.claims[verdict.claim], verdict, 0)
    assert run.tags["items"] == str(verdict.items)


def test_a_redrawn_test_set_has_other_items_under_each_seed(scored):
    (verdict,) = scored(split="redraw")["verdicts"]
    assert (verdict["items"], verdict["covers"]) == (None, "seeds and test sets")


def test_cells_of_both_splits_are_said_to_cover_seeds(scored):
    (verdict,) = scored(split=["fixed", "redraw"])["verdicts"]
    assert (verdict["items"], verdict["covers"]) == (None, "seeds")


def test_without_outcomes_nothing_is_said_of_items(scored):
    (verdict,) = scored(outcomes=False)["verdicts"]
    assert verdict["items"] is None
    assert "test items" not in verdict["sentence"]


def test_settings_with_different_numbers_of_items_are_not_paired(scored):
    (verdict,) = scored(items=[300, 400])["verdicts"]
    assert "some cells have outcomes of 300 items and some of 400" in verdict["items"]["cause"]
    assert verdict["items"]["low"] is None


def test_one_seed_gives_mcnemar_and_no_interval_over_seeds(scored):
    (verdict,) = scored(seeds=1)["verdicts"]
    items = verdict["items"]
    assert verdict["verdict"] == "inconclusive"
    assert items["both_low"] is None
    assert 0 < items["p"] < 1
    assert items["better"] - items["worse"] == pytest.approx(400 * items["estimate"])
    assert "(one seed; McNemar p = " in verdict["sentence"]


def test_a_damaged_file_is_said_and_costs_the_item_statistics_alone(results, harness_cli):
    before = judged(harness_cli)
    damaged = files_of(results)[3]
    content = damaged.read_bytes()
    damaged.write_bytes(bytes([1 - content[0]]) + content[1:])
    after = judged(harness_cli)
    assert after["items"]["cause"] == f"items/{damaged.name} is damaged"
    assert [before[name] for name in ("verdict", "estimate", "low", "high", "p")] == [
        after[name] for name in ("verdict", "estimate", "low", "high", "p")
    ]
    checked = harness_cli("records", "check")
    assert checked.code == 1
    assert f"damaged items/{damaged.name}" in checked.out
    repaired = harness_cli("records", "repair", "--json").document
    assert [Path(copy).name for copy in repaired["copies"]] == [f"{damaged.name}.damaged"]
    checked = harness_cli("records", "check")
    assert checked.code == 0
    assert f"missing items/{damaged.name}: nothing is known of other test items" in checked.out
    after = judged(harness_cli)
    assert after["items"]["cause"] == f"items/{damaged.name} is missing"


def test_outcomes_of_another_mean_than_the_record_has_are_not_used(results, harness_cli):
    lines = (results / "records.jsonl").read_text().splitlines()
    contents = [json.loads(line) for line in lines]
    first, other = contents[0]["items"]["accuracy"], contents[1]["items"]["accuracy"]
    (results / "records.jsonl").write_text("\n".join([lines[0].replace(first, other), *lines[1:]]) + "\n")
    verdict = judged(harness_cli)
    assert "does not have the mean that record" in verdict["items"]["cause"]


def test_merge_brings_the_outcomes_of_the_records_that_come(results, harness_cli):
    lost = files_of(results)[0]
    damaged = files_of(results)[1]
    lost.unlink()
    damaged.write_bytes(b"\x01")
    merged = harness_cli("records", "merge", str(results), "--results", "merged")
    assert merged.code == 0
    assert f"{lost} is missing" in merged.err
    assert f"{damaged} is damaged" in merged.err
    expected = [path.name for path in files_of(results) if path != damaged]
    assert [path.name for path in files_of(harness_cli.folder / "merged")] == expected
    assert len(expected) == 8


def test_an_anonymous_copy_has_the_same_outcomes_and_verdict(results, harness_cli):
    assert harness_cli("-p", SCORED, "records", "anonymise", "copy").code == 0
    copy = harness_cli.folder / "copy"
    assert {p.name: p.read_bytes() for p in files_of(copy)} == {p.name: p.read_bytes() for p in files_of(results)}
    sentences = [judged(harness_cli, folder)["sentence"] for folder in ("copy", "results")]
    assert sentences[0] == sentences[1]


def test_a_rerun_compares_the_outcomes_too(results, harness_cli):
    record = harness_cli.records[0]
    (outcome,) = harness_cli("-p", SCORED, "rerun", record["id"], "--json").document["outcomes"]
    assert (outcome["outcome"], outcome["items_that_differ"]) == ("bit-equal", [])
    path = results / "records.jsonl"
    content = read_items(items_path(results, record["items"]["accuracy"]))
    assert isinstance(content, bytes)
    # As many are right, but others.
    other = write_items(results, content[::-1])
    path.write_text(path.read_text().replace(record["items"]["accuracy"], other))
    ended = harness_cli("-p", SCORED, "rerun", record["id"], "--json")
    (outcome,) = ended.document["outcomes"]
    assert (outcome["outcome"], outcome["items_that_differ"]) == ("within tolerance", ["accuracy"])
    assert "outcomes of items that differ: accuracy" in harness_cli("-p", SCORED, "rerun", record["id"]).out


def test_a_folder_that_takes_no_items_keeps_the_records(scored, harness_cli, monkeypatch):
    monkeypatch.setattr("harness.records.writing.WAITS", ())
    (harness_cli.folder / "results").mkdir()
    (harness_cli.folder / "results" / "items").write_text("no folder")
    (verdict,) = scored()["verdicts"]
    assert verdict["verdict"] == "reproduced"
    assert "is damaged" in verdict["items"]["cause"] or "is missing" in verdict["items"]["cause"]
