"""Seals: a test that changes after its first record says so everywhere; a change of wording does not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Record
from harness.errors import UsageError
from harness.files.claims import Check, Claim, claims_of
from harness.files.suite import Suite
from harness.records.seals import Seal, add_seals, late_test, read_seals, seal
from harness.records.seals import test_digest as digest_of

TOY = Path(__file__).parent / "toy"

TESTS: tuple[dict[str, Any], ...] = (
    {"kind": "greater", "method": "a", "than": "b", "by": 0.5},
    {"kind": "greater", "method": "a", "than": "b", "gap_than_where": {"size": 8}},
    {"kind": "greater", "method": "a", "value": 1.0, "where": {"size": [8, 32]}},
    {"kind": "equal", "method": "a", "than": "b", "tol": 0.5, "than_where": {"size": 8}},
    {"kind": "reaches", "method": "a", "value": 1.0, "tol": 0.5},
    {"kind": "ratio", "method": "a", "than": "b", "by": 2.0, "each": True},
    {"kind": "holds", "method": ["a", "b"]},
)
BEFORE, SEALED, AFTER = (f"2026-01-01T00:00:0{second}.000+00:00" for second in range(3))


def claim(test: dict[str, Any], **fields: Any) -> dict[str, Any]:
    test = {"metric": "score", "task": "toy/fit", **test}
    return {"id": "toy/x", "says": "a is better", "source": {"article": "example.org/1"}, "test": test, **fields}


def suite(content: dict[str, Any], checks: dict[str, Check] | None = None, looks: tuple[int, ...] = (5, 10)) -> Suite:
    one = Claim.model_validate(content)
    checks = checks or {}
    return Suite(
        "s", Path("s.toml"), "S", (), {one.id: one}, checks=checks, rests_on={one.id: tuple(checks)}, looks=looks
    )


def change_of_test(chance: random.Random, content: dict[str, Any]) -> dict[str, Any]:
    """Another test: one of its numbers, names, settings or its kind is not what it was."""
    test = dict(content["test"])
    changes = {
        "metric": "other",
        "task": "toy/other",
        "where": {"size": chance.randint(100, 999), "rate": chance.random()},
        **{name: test[name] * chance.uniform(1.001, 2) for name in ("by", "tol", "value") if name in test},
        **({"each": not test.get("each", False)} if test["kind"] != "holds" else {}),
        **({"method": "c"} if test["kind"] != "holds" else {"method": ["a", "c"]}),
        **({"value_runs": chance.choice([2, 3, "exact"])} if test["kind"] == "reaches" else {}),
        **({"than": "d"} if "than" in test else {}),
    }  # fmt: skip
    name = chance.choice(sorted(changes))
    return {**content, "test": {**test, name: changes[name]}}


def change_of_wording(chance: random.Random, content: dict[str, Any]) -> dict[str, Any]:
    """The same test in other words, with other figures and notes, in another order."""
    text = "".join(chance.choices("abc é<&\"'", k=20))
    source = {**content["source"], **chance.choice([{"id": text}, {"also": [text]}])}
    change = chance.choice(
        [{"says": text}, {"note": text}, {"paper": {"x": chance.random()}}, {"source": source}, {"confirmed": False}]
    )
    shuffled = list(content["test"].items())
    chance.shuffle(shuffled)
    return {**content, **change, "test": dict(shuffled)}


def test_of_a_thousand_changed_claims_each_change_of_a_test_is_seen_and_no_change_of_wording():
    chance = random.Random(7)
    for _ in range(500):
        content = claim(chance.choice(TESTS), fidelity=chance.choice(["exact", "near", "proxy"]))
        sealed = digest_of(suite(content), "toy/x")
        assert digest_of(suite(change_of_test(chance, content)), "toy/x") != sealed, content
        assert digest_of(suite(change_of_wording(chance, content)), "toy/x") == sealed, content


@pytest.mark.parametrize(
    "change",
    [{"origin": "article"}, {"fidelity": "identity"}, {"source": {"article": "example.org/2"}}],
)
def test_family_and_chance_are_part_of_the_seal(change):
    content = claim(TESTS[0], origin="paper")
    assert digest_of(suite({**content, **change}), "toy/x") != digest_of(suite(content), "toy/x")


def test_primary_looks_and_checks_are_part_of_the_seal():
    content = claim(TESTS[0], origin="paper")
    check = Check.model_validate({"id": "toy/c", "says": "a beats chance", "test": content["test"]})
    stricter = Check.model_validate({**check.model_dump(), "test": {**content["test"], "by": 0.9}})
    reworded = Check.model_validate({**check.model_dump(), "says": "a is better than chance"})
    sealed = digest_of(suite(content, {"toy/c": check}), "toy/x")
    assert digest_of(suite({**content, "primary": True}, {"toy/c": check}), "toy/x") != sealed
    assert digest_of(suite(content), "toy/x") != sealed
    assert digest_of(suite(content, {"toy/c": stricter}), "toy/x") != sealed
    assert digest_of(suite(content, {"toy/c": check}, looks=(5, 20)), "toy/x") != sealed
    assert digest_of(suite(content, {"toy/c": reworded}), "toy/x") == sealed


def records(*finished: str) -> list[Record]:
    fields = {
        "suite": "s",
        "method": "a",
        "task": "t",
        "options": {},
        "device": "cpu",
        "dtype": "float32",
        "status": "done",
    }
    return [Record(id=str(i), seed=i, finished=time, **fields) for i, time in enumerate(finished)]  # type: ignore[arg-type]


def test_records_are_counted_that_stand_before_the_seal_of_the_present_test():
    of = suite(claim(TESTS[0]))
    now, other = digest_of(of, "toy/x"), "0" * 32
    made = records(BEFORE, BEFORE, AFTER)
    assert late_test((), of, "toy/x", made) == ""
    assert late_test([Seal("s", "toy/x", now, BEFORE)], of, "toy/x", made) == ""
    changed = [Seal("s", "toy/x", other, BEFORE), Seal("s", "toy/x", now, SEALED)]
    assert late_test(changed, of, "toy/x", made) == "test changed after 2 records"
    assert late_test(changed[:1], of, "toy/x", made) == "test changed after 3 records"
    assert late_test(changed[1:], of, "toy/x", made) == "test first seen after 2 records"
    assert late_test([Seal("s", "toy/y", now, BEFORE)], of, "toy/x", made[:1]) == "test first seen after 1 record"
    # Changed and changed back: the test is as it was at first.
    back = [Seal("s", "toy/x", now, BEFORE), Seal("s", "toy/x", other, SEALED)]
    assert late_test(back, of, "toy/x", made) == ""
    assert late_test([Seal("t", "toy/x", other, BEFORE)], of, "toy/x", made) == "", "another suite's seals say nothing"


def test_a_seal_is_written_once_and_damaged_lines_are_left_out(tmp_path):
    of = suite(claim(TESTS[0]))
    first = seal(tmp_path, of, BEFORE)
    assert seal(tmp_path, of, AFTER) == first == read_seals(tmp_path)
    assert [s.sealed for s in first] == [BEFORE]
    changed = suite(claim({**TESTS[0], "by": 0.6}))
    assert [s.sealed for s in seal(tmp_path, changed, AFTER)] == [BEFORE, AFTER]
    with (tmp_path / "seals.jsonl").open("ab") as stream:
        stream.write(
            b'{"suite": 1, "claim": [], "digest": null, "sealed": "x"}\n[1]\n\xff\n{"suite": "s"}\n' + b"[" * 10**5
        )
    assert len(read_seals(tmp_path)) == 2


def test_a_torn_last_line_does_not_swallow_the_next_seal(tmp_path):
    (tmp_path / "seals.jsonl").write_bytes(b'{"suite": "s", "cla')
    (kept,) = seal(tmp_path, suite(claim(TESTS[0])), BEFORE)
    assert read_seals(tmp_path) == (kept,)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "seals.jsonl").mkdir()
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        add_seals(tmp_path, [Seal("s", "c", "0", BEFORE)])


PLUGIN = """
from pathlib import Path
import harness

@harness.hookimpl
def harness_claims():
    return [Path(__file__).with_name("claims.toml")]
"""
CLAIMS = """
[[claim]]
id = "mine/lifted"
says = "lifted is higher"
source = { article = "tests" }
test = { kind = "greater", metric = "total", task = "toy/total", method = "lifted", than = "plain", by = 0.5 }
[[claim]]
id = "mine/plain"
says = "plain is higher"
source = { article = "tests" }
test = { kind = "greater", metric = "total", task = "toy/total", method = "plain", than = "lifted" }
"""
SUITE = """
title = "Mine"
claims = ["mine/*"]
[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 2
"""


def test_a_changed_margin_is_said_by_claims_and_suite_and_changed_wording_is_not(harness_cli):
    for name, text in (("mine.py", PLUGIN), ("claims.toml", CLAIMS), ("s.toml", SUITE)):
        harness_cli.write(name, text)
    plugins = ("-p", str(TOY), "-p", "mine.py")
    assert harness_cli(*plugins, "suite", "s.toml", "--jobs", "1").code == 0
    seals = [json.loads(line) for line in (harness_cli.folder / "results" / "seals.jsonl").read_text().splitlines()]
    assert {(s["suite"], s["claim"]) for s in seals} == {("s", "mine/lifted"), ("s", "mine/plain")}
    assert min(record["finished"] for record in harness_cli.records) >= seals[0]["sealed"]

    def rewrite(text: str) -> None:
        harness_cli.write("claims.toml", text)
        # A process reads the files of claims once.
        claims_of.cache_clear()

    rewrite(CLAIMS.replace("lifted is higher", "lifted wins clearly"))
    out = harness_cli(*plugins, "claims", "s.toml").out
    assert "lifted wins clearly" in out
    assert "test changed" not in out
    rewrite(CLAIMS.replace("by = 0.5", "by = 0.25"))
    out = harness_cli(*plugins, "claims", "s.toml").out
    assert out.count("test changed after 4 records") == 2, "of the claim, and in the answer"
    # Sealed anew by the next run, which cannot undo that records were there before.
    again = harness_cli(*plugins, "suite", "s.toml", "--seeds", "3", "--jobs", "1", "--json").document["verdicts"]
    assert {v["claim"]: v["changed"] for v in again} == {
        "mine/lifted": "test changed after 4 records",
        "mine/plain": "",
    }
    assert "test changed after 4 records" in again[0]["sentence"]


def test_merged_folders_keep_their_seals(tmp_path):
    from harness_plugins.upkeep.merging import merge

    source, into = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    of = suite(claim(TESTS[0]))
    kept = seal(source, of, BEFORE)
    (source / "records.jsonl").write_text("".join(record.to_line() + "\n" for record in records(AFTER)))
    merge(into, [source])
    assert read_seals(into) == kept
    assert late_test(read_seals(into), replace(of), "toy/x", records(AFTER)) == ""
