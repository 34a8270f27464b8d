"""One sentence for the first mistake in a file: where, what was found, what is allowed."""

from __future__ import annotations

import os

import pytest

from harness.errors import FileError
from harness.files.claims import ClaimFile
from harness.files.suite import SuiteFile
from harness.files.toml import read_toml

SUITE = 'title = "S"\n[[cross]]\ntask = "t"\nmethods = ["a"]\n'
CLAIM = """
[[claim]]
id = "toy/x"
says = "a is better than b"
source = { article = "x" }
test = { kind = "greater", than = "b", metric = "score", task = "t", method = "a" }
"""


def mistake(tmp_path, text, model=SuiteFile):
    path = tmp_path / "f.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FileError) as error:
        read_toml(path, model)
    start = f"{path}: "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


def test_sound_files_are_read(tmp_path):
    path = tmp_path / "f.toml"
    path.write_text(SUITE + "options = { 'é' = 1 }\n", encoding="utf-8")
    assert read_toml(path, SuiteFile).cross[0].options == {"é": 1}
    path.write_text(CLAIM)
    assert read_toml(path, ClaimFile).claim[0].id == "toy/x"


def test_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(FileError, match=r"absent\.toml: cannot be read: No such file or directory"):
        read_toml(tmp_path / "absent.toml", SuiteFile)
    assert mistake(tmp_path, b'title = "\xff"') == "not UTF-8 text: invalid start byte at byte 9"
    assert mistake(tmp_path, "title = ").startswith("not valid TOML: Invalid value (at ")


ADDED = [
    ("seeds = 0", "cross[0].seeds = 0: at least 1 or a list is needed"),
    ("seeds = 10001", "cross[0].seeds = 10001: at most 10000 or a list is needed"),
    ("seeds = true", "cross[0].seeds = True: a whole number or a list is needed"),
    ("seeds = []", "cross[0].seeds = []: a whole number or a list of at least 1 is needed"),
    ("seeds = [1, -1]", "cross[0].seeds[1] = -1: at least 0 is needed"),
    ('dtype = ["float32", "float31"]', "cross[0].dtype[1] = 'float31': not allowed; did you mean 'float32'? "),
    ('dtype = "float31"', "cross[0].dtype = 'float31': not allowed; did you mean 'float32'? "),
    ("seed = 1", "unknown key 'cross[0].seed'; did you mean 'seeds'? "),
    ("options = 1", "cross[0].options = 1: a table is needed"),
    ("options = { size = [] }", "cross[0].options.size"),
    ("options = { size = [[1]] }", "cross[0].options.size"),
    ("options = { int = [[1]] }", "cross[0].options.int"),
]


@pytest.mark.parametrize(("line", "message"), ADDED)
def test_mistake_in_a_suite_names_key_value_and_what_is_allowed(tmp_path, line, message):
    assert mistake(tmp_path, SUITE + line + "\n").startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "S"\n', "", "key 'title' is missing"),
        ('title = "S"', 'title = ""', "title = '': a text of at least 1 characters is needed"),
        ('title = "S"', "title = 3", "title = 3: a text in quotes is needed"),
        ('methods = ["a"]', "methods = []", "cross[0].methods = []: a list of at least 1 is needed"),
        ('methods = ["a"]', 'methods = "a"', "cross[0].methods = 'a': a list is needed"),
        ("[[cross]]", "[cross]", "cross: a list is needed"),
        ('title = "S"', 'title = "S"\nlooks = [2]', "looks[0] = 2: at least 3 is needed"),
        ('title = "S"', 'title = "S"\ncross = [1]\n[[crosses]]', "unknown key 'crosses'; did you mean 'cross'?"),
        ('title = "S"', 'title = "S"\ncross = [1]\n[x]', "unknown key 'x'"),
    ],
)
def test_mistake_at_the_top_of_a_suite(tmp_path, old, new, message):
    text = SUITE.replace(old, new)
    if "cross = [1]" in new:
        text = text[: text.index(new) + len(new)] + "\n"
    assert mistake(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'kind = "greater"',
            'kind = "grater"',
            "claim[0] (toy/x).test.kind = 'grater': not allowed; did you mean 'greater'?",
        ),
        ('kind = "greater", ', "", "claim[0] (toy/x).test"),
        ('than = "b"', 'then = "b"', "unknown key 'claim[0] (toy/x).test.greater.then'; did you mean 'than'?"),
        ('"toy/x"', '"Toy"', "claim[0] (Toy).id = 'Toy': String should match pattern"),
        ('article = "x"', 'artikel = "x"', "unknown key 'claim[0] (toy/x).source.artikel'; did you mean 'article'?"),
        ('than = "b"', 'than = "b", value = 1.0', "claim[0] (toy/x).test.greater: give either value, or than"),
        ('than = "b"', 'than = "b", by = "x"', "claim[0] (toy/x).test.greater.by = 'x': a number is needed"),
        ('than = "b"', 'than = "b", each = 2', "claim[0] (toy/x).test.greater.each = 2: "),
        ("test = {", 'test = "x"  # {', "claim[0] (toy/x).test = 'x': "),
        (
            'kind = "greater"',
            'kind = "equal", tol = 0',
            "claim[0] (toy/x).test.equal.tol = 0: a number above 0 is needed",
        ),
    ],
)
def test_mistake_in_a_claim_names_the_claim(tmp_path, old, new, message):
    assert old in CLAIM
    assert mistake(tmp_path, CLAIM.replace(old, new), ClaimFile).startswith(message)


def test_other_wrong_keys_are_listed_after_the_first_and_unknown_ones_come_first(tmp_path):
    text = SUITE.replace('title = "S"', "titel = 3") + "seeds = 0\n"
    assert mistake(tmp_path, text) == (
        "unknown key 'titel'; did you mean 'title'? Known: answer, checks, claims, cross, jobs, looks, show, title "
        "(also wrong: title, cross[0].seeds)"
    )
    many = SUITE + "".join(f"unknown{i} = {i}\n" for i in range(8))
    others = mistake(tmp_path, many).partition(" (also wrong: ")[2]
    assert others.count(",") == 4, "five of them"


def test_folder_is_no_file(tmp_path):
    with pytest.raises(FileError, match="cannot be read: " + os.strerror(21)):
        read_toml(tmp_path, SuiteFile)
