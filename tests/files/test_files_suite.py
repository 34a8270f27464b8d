"""Suites as they stand in files: the claims, checks and looks that they name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.errors import FileError, UnknownName, UsageError
from harness.files import suite as module
from harness.files.claims import Check, Claim, Claims
from harness.files.suite import LOOKS, read_suite
from harness.registry.registry import Names
from harness.spec import Method, Metric, Task

TEST = {"kind": "greater", "value": 0.0, "metric": "score", "task": "t", "method": "a"}


def named(kind, items):
    names = Names(kind)
    names.update(items)
    return names


def claim(name, checks=(), **test):
    content = {"id": name, "says": "a is better", "source": {"article": "x"}, "checks": list(checks)}
    return Claim.model_validate({**content, "test": {**TEST, **test}})


def check(name, inherited=False, **test):
    return Check.model_validate({"id": name, "says": "a has learned", "inherited": inherited, "test": {**TEST, **test}})


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a suite with these keys; claims and checks are those below unless others are given."""

    def read(keys="", claims=None, problems=()):
        claims = claims or [claim("toy/x", ["toy/own"]), claim("toy/y"), claim("more/z", ["toy/own", "toy/handed-on"])]
        untested = {"id": "more/no", "says": "all users like it", "source": {"article": "x"}, "untestable": "no data"}
        claims = [*claims, Claim.model_validate(untested)]
        checks = [check("toy/own"), check("toy/handed-on", inherited=True), check("toy/suite")]
        known = Claims(
            named("claim", {c.id: c for c in claims}), named("check", {c.id: c for c in checks}), tuple(problems)
        )
        monkeypatch.setattr(module, "claims_of", lambda _: known)
        monkeypatch.setattr("harness.files.claims.claims_of", lambda _: known)
        path = tmp_path / "own.toml"
        path.write_text(f'title = "Own"\n{keys}\n[[cross]]\ntask = "t"\nmethods = ["a"]\n')
        task = Task(name="t", role="toy", run="math:hypot", metrics={"score": Metric()})
        registry = SimpleNamespace(
            suites=named("suite", {"registered": path}),
            tasks=named("task", {"t": task}),
            methods=named("method", {"a": Method(name="a", role="toy", build="math:hypot")}),
        )
        return read_suite(str(path), registry), read_suite("registered", registry)

    return read


def test_suite_is_read_by_its_name_and_by_its_path(read):
    by_path, by_name = read()
    assert by_path == by_name
    assert (by_path.name, by_path.title, by_path.looks, by_path.jobs) == ("own", "Own", LOOKS, None)
    assert (by_path.cross[0].task, by_path.cross[0].methods, by_path.cross[0].seeds) == ("t", ["a"], 1)
    assert not by_path.claims
    assert by_path.answer == ()
    more, _ = read("jobs = 2\nlooks = [3, 7]")
    assert (more.jobs, more.looks) == (2, (3, 7))


def test_claims_are_named_by_globs_and_come_once_in_order(read):
    suite, _ = read('claims = ["more/z", "toy/*", "*/x", "more/no"]\nanswer = ["toy/y", "more/z"]')
    assert list(suite.claims) == ["more/z", "toy/x", "toy/y", "more/no"]
    assert suite.answer == ("toy/y", "more/z")


def test_claim_rests_on_its_checks_those_of_its_tasks_and_those_of_the_suite(read):
    suite, _ = read('claims = ["*"]\nchecks = ["toy/suite", "toy/own"]')
    assert suite.rests_on == {
        "toy/x": ("toy/own", "toy/handed-on", "toy/suite"),
        "toy/y": ("toy/handed-on", "toy/suite", "toy/own"),
        "more/z": ("toy/own", "toy/handed-on", "toy/suite"),
        "more/no": ("toy/suite", "toy/own"),
    }
    assert {name: c.id for name, c in suite.checks.items()} == {n: n for n in ("toy/own", "toy/handed-on", "toy/suite")}
    alone, _ = read('claims = ["toy/y"]')
    assert list(alone.checks) == ["toy/handed-on"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('claims = ["tpy/x"]', "own.toml: claims: unknown claim 'tpy/x'; did you mean 'toy/x'?"),
        ('claims = ["toy/*", "none/*"]', "unknown claim 'none/*'"),
        ('claims = ["none/*"]', "(a plugin that is not installed is named with -p)"),
        ('claims = ["toy/x"]\nanswer = ["toy/x", "toy/y"]', "own.toml: answer: unknown claim of the suite 'toy/y'"),
        ('checks = ["toy/sweet"]', "own.toml: checks: unknown check 'toy/sweet'; did you mean 'toy/suite'?"),
        ("looks = [10, 5]", "own.toml: looks = [10, 5]: numbers of seeds in growing order are needed"),
        ("looks = [5, 5]", "own.toml: looks = [5, 5]: numbers of seeds in growing order are needed"),
    ],
)
def test_names_that_do_not_exist_are_refused(read, keys, message):
    with pytest.raises(FileError) as error:
        read(keys)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (claim("toy/x", task="tt"), "claim toy/x: test.task: unknown task 'tt'"),
        (claim("toy/x", task=["t", "u"]), "claim toy/x: test.task: unknown task 'u'"),
        (claim("toy/x", method="aa"), "claim toy/x: test.method: unknown method 'aa'; did you mean 'a'?"),
        (claim("toy/x", value=None, than="b"), "claim toy/x: test.method: unknown method 'b'"),
        (claim("toy/x", ["toy/gone"]), "claim toy/x: checks: unknown check 'toy/gone'"),
    ],
)
def test_claims_about_what_does_not_exist_are_refused(read, changed, message):
    with pytest.raises(FileError) as error:
        read('claims = ["toy/x"]', [changed])
    assert message in str(error.value)


def test_claim_missing_from_the_files_that_could_be_read_is_blamed_on_the_others(read):
    with pytest.raises(
        FileError, match=r"^a.toml: torn; b.toml: torn; and .*own.toml names a claim 'none/\*', which no"
    ):
        read('claims = ["none/*"]', problems=["a.toml: torn", "b.toml: torn"])


def test_suite_that_does_not_exist_is_refused(read):
    suite, _ = read()
    registry = SimpleNamespace(suites=named("suite", {"registered": suite.path}))
    with pytest.raises(UsageError, match=r"there is no suite file absent\.toml"):
        read_suite("absent.toml", registry)
    with pytest.raises(UsageError, match="there is no suite file no/such"):
        read_suite("no/such", registry)
    with pytest.raises(UnknownName, match="unknown suite 'registred'; did you mean 'registered'"):
        read_suite("registred", registry)
