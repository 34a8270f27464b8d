"""Claims as they stand in files: keys that contradict each other, names taken twice, checks handed on by tasks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from harness.errors import FileError
from harness.files.claims import Check, Claim, checks_of, claims_of, has_chance, read_claims
from harness.spec import Metric, Task

SIDES = "give either value, or than and/or than_where"
NO_OTHER_SIDE = "give than, than_where or both"


def claim(kind="greater", **keys):
    fields = {
        name: keys.pop(name)
        for name in ("origin", "primary", "fidelity", "checks", "untestable", "paper")
        if name in keys
    }
    test = {"metric": "score", "task": "t", "method": "a", "kind": kind, **keys}
    content = {"id": "toy/x", "says": "a is better", "source": {"article": "example.org"}, "test": test, **fields}
    return Claim.model_validate(content)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "greater"}, SIDES),
        ({"kind": "greater", "value": 1.0, "than": "b"}, SIDES),
        ({"kind": "greater", "value": 1.0, "than_where": {"size": 8}}, SIDES),
        ({"kind": "greater", "than_where": {"size": 8}, "gap_than_where": {"size": 1}}, "than is missing"),
        (
            {"kind": "greater", "than": "b", "than_where": {"size": 8}, "gap_than_where": {"size": 1}},
            "give gap_than_where or than_where, not both",
        ),
        ({"kind": "greater", "than": "b", "by": float("inf")}, "finite"),
        ({"kind": "equal", "tol": 0.1}, NO_OTHER_SIDE),
        ({"kind": "equal", "than": "b", "tol": 0.0}, "greater than 0"),
        ({"kind": "ratio", "by": 2.0}, NO_OTHER_SIDE),
        ({"kind": "ratio", "than": "b", "by": -1.0}, "greater than 0"),
        ({"kind": "reaches", "value": 1.0, "tol": 0.1, "than": "b"}, "None"),
        ({"kind": "reaches", "value": 1.0, "tol": 0.1, "value_runs": 0}, "greater than or equal to 1"),
        ({"kind": "greater", "than": "b", "untestable": "no data"}, "give either test, or untestable"),
        ({"kind": "greater", "than": "b", "primary": True}, "primary = true is for what a source stands for"),
        ({"kind": "greater", "than": "b", "paper": {"x": float("nan")}}, "x = nan: a finite number is needed"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys, message):
    with pytest.raises(ValidationError) as error:
        claim(**keys)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "greater", "value": 0.0},
        {"kind": "greater", "than": "b"},
        {"kind": "greater", "than_where": {"size": 8}},
        {"kind": "greater", "than": "b", "than_where": {"size": 8}},
        {"kind": "greater", "than": "b", "gap_than_where": {"size": 8}},
        {"kind": "equal", "than_where": {"size": 8}, "tol": 0.1},
        {"kind": "equal", "than": "b", "tol": 0.1},
        {"kind": "ratio", "than": "b", "by": 0.5},
        {"kind": "ratio", "than_where": {"size": 8}, "by": 0.5},
        {"kind": "reaches", "value": 0.0, "tol": 0.1, "value_runs": "exact"},
        {"kind": "greater", "than": "b", "primary": True, "origin": "paper"},
        {"kind": "greater", "than": "b", "paper": {"x": 1, "y": "2", "z": 0.5}},
    ],
)
def test_keys_that_fit_are_read(keys):
    assert claim(**keys).test.kind == keys["kind"]


def test_claim_without_a_test_says_why():
    content = {"id": "toy/x", "says": "all users like it", "source": {"article": "example.org"}}
    assert Claim.model_validate({**content, "untestable": "no data"}).test is None
    with pytest.raises(ValidationError, match="give either test, or untestable with the reason"):
        Claim.model_validate(content)


def test_names_that_a_test_speaks_of():
    assert claim(than="b").test.names == ("a", "b")
    assert claim(value=1.0).test.names == ("a",)
    assert claim("holds", method=["a", "c"]).test.names == ("a", "c")
    assert claim("holds").test.names == ("a",)
    assert claim(value=1.0).test.tasks == ("t",)
    assert claim(value=1.0, task=["t", "u"]).test.tasks == ("t", "u")


# Files ------------------------------------------------------------------------------------------------------

ENTRY = """
[[{noun}]]
id = "{id}"
says = "a is better than chance"
{source}test = {{ kind = "greater", value = 0.0, metric = "score", task = "t", method = "a" }}
"""


def entry(name, noun="claim"):
    return ENTRY.format(noun=noun, id=name, source='source = { article = "x" }\n' if noun == "claim" else "")


@pytest.mark.parametrize(("noun", "plural"), [("claim", "claims"), ("check", "checks")])
def test_id_may_stand_once_in_a_file(tmp_path, noun, plural):
    path = tmp_path / "c.toml"
    path.write_text(entry("toy/x", noun) + entry("toy/y", noun) + entry("toy/y", noun))
    with pytest.raises(FileError, match=f"c.toml: two {plural} have the id 'toy/y'; give one of them another"):
        read_claims(path)


def test_claims_of_several_files_are_together_and_the_first_of_a_name_stays(tmp_path):
    texts = {
        "a.toml": entry("toy/x") + entry("toy/c", "check"),
        "torn.toml": "[[claim",
        "b.toml": (entry("toy/x") + entry("toy/z") + entry("toy/c", "check") + entry("toy/d", "check")).replace(
            "better", "no better"
        ),
    }
    paths = []
    for name, text in texts.items():
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    read = claims_of.__wrapped__(SimpleNamespace(claim_files=tuple(paths)))
    assert {name: c.says for name, c in read.by_id.items()} == {
        "toy/x": "a is better than chance",
        "toy/z": "a is no better than chance",
    }
    assert {name: c.says for name, c in read.checks.items()} == {
        "toy/c": "a is better than chance",
        "toy/d": "a is no better than chance",
    }
    torn, claims, checks = read.problems
    assert "torn.toml: not valid TOML" in torn
    assert claims.endswith("b.toml: claims that another plugin has too are left out: toy/x")
    assert checks.endswith("b.toml: checks that another plugin has too are left out: toy/c")


# Chance and checks ------------------------------------------------------------------------------------------

METRICS = {"score": Metric(), "sure": Metric(deterministic=True)}
TASKS = {
    "t": Task(name="t", role="toy", run="math:hypot", metrics=METRICS),
    "u": Task(name="u", role="toy", run="math:hypot", metrics={"sure": Metric()}),
    "v": Task(name="v", role="toy", run="math:hypot", metrics={"sure": Metric(deterministic=True)}),
}


def test_chance_has_no_part_in_identities_and_deterministic_metrics():
    assert has_chance(claim(than="b"), TASKS)
    assert has_chance(claim(than="b", fidelity="exact"), TASKS)
    assert not has_chance(claim(than="b", fidelity="identity"), TASKS)
    assert not has_chance(claim(than="b", fidelity="recomputed"), TASKS)
    assert not has_chance(claim(than="b", metric="sure"), TASKS)
    assert has_chance(claim(than="b", metric="sure", task=["t", "u"]), TASKS)
    assert not has_chance(claim(than="b", metric="sure", task=["t", "v"]), TASKS)
    assert has_chance(claim(than="b", metric="sure", task="gone"), TASKS), "of an unknown task nothing is known"
    assert has_chance(claim(than="b", metric="none"), TASKS)


def check(name, task, inherited):
    test = {"kind": "greater", "value": 0.0, "metric": "score", "task": task, "method": "a"}
    return Check.model_validate({"id": name, "says": "a has learned", "inherited": inherited, "test": test})


def test_claim_rests_on_its_checks_and_on_those_that_its_tasks_hand_on(monkeypatch):
    checks = [check("toy/own", "v", False), check("toy/t", "t", True), check("toy/named", "t", False)]
    checks += [check("toy/u", ["u", "v"], True), check("toy/both", "t", True)]
    claims = SimpleNamespace(checks={c.id: c for c in checks})
    monkeypatch.setattr("harness.files.claims.claims_of", lambda _: claims)
    registry = SimpleNamespace(tasks=TASKS)
    assert checks_of(claim(than="b", checks=["toy/own", "toy/both"]), registry) == ("toy/own", "toy/both", "toy/t")
    assert checks_of(claim(than="b", task=["t", "u"]), registry) == ("toy/t", "toy/u", "toy/both")
    assert checks_of(claim(than="b", fidelity="identity", checks=["toy/own"]), registry) == ("toy/own",)
    untested = {"id": "toy/y", "says": "all users like it", "source": {"article": "x"}, "checks": ["toy/own"]}
    assert checks_of(Claim.model_validate({**untested, "untestable": "no data"}), registry) == ()
