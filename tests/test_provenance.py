"""The state of the source that a record names: the commit, and what differs from it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from harness.records import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own that the code seems to run from."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "provenance.py").write_text("one\n")
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], [*person, "commit", "--quiet", "-m", "First"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    monkeypatch.setattr(provenance, "__file__", str(folder / "provenance.py"))
    return folder


def state():
    """Not remembered from an earlier call."""
    return provenance.source_state.__wrapped__()


def test_commit_is_that_of_the_checkout(checkout):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    assert state() == {"commit": head.stdout.strip(), "dirty": False, "diff": None}


def test_every_change_of_the_source_has_a_digest_of_its_own(checkout):
    digests = set()
    for text in ("two\n", "three\n"):
        (checkout / "provenance.py").write_text(text)
        changed = state()
        assert changed["dirty"] is True
        digests.add(changed["diff"])
    (checkout / "provenance.py").write_text("one\n")
    (checkout / "new.py").write_text("")
    digests.add(state()["diff"])
    assert len(digests) == 3
    assert all(digest and len(digest) == 16 for digest in digests)


def test_package_outside_of_a_checkout_has_no_commit(checkout, monkeypatch):
    nothing = {"commit": None, "dirty": None, "diff": None}
    untracked = checkout / "installed"
    untracked.mkdir()
    (untracked / "provenance.py").write_text("one\n")
    monkeypatch.setattr(provenance, "__file__", str(untracked / "provenance.py"))
    assert state() == nothing, "a package installed inside of a checkout is none of its files"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(provenance, "__file__", str(checkout / "provenance.py"))
    assert state() == nothing, "without git"


def test_name_of_an_environment_depends_on_its_content_and_not_on_its_order():
    first = provenance.environment_digest({"a": 1, "b": {"c": 2}})
    assert first == provenance.environment_digest({"b": {"c": 2}, "a": 1})
    assert first != provenance.environment_digest({"a": 1, "b": {"c": 3}})
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_packages_are_those_installed_and_not_what_one_of_them_brings(tmp_path, monkeypatch):
    installed = tmp_path / "lib" / "site-packages"
    for folder, name in ((installed, "one"), (installed / "one" / "vendored", "hidden"), (tmp_path / "mine", "other")):
        (folder / f"{name}-1.0.dist-info").mkdir(parents=True)
        (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    monkeypatch.setattr("sys.path", [str(installed / "one" / "vendored"), str(installed), str(tmp_path / "mine")])
    assert provenance.packages.__wrapped__() == {"one": "1.0", "other": "1.0"}
