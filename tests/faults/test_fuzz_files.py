"""Whatever stands in a suite, a claim file, a table of scores or a command line, no command ends with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import ARGUMENT_TOKENS, CSV_TOKENS, TOML_TOKENS, damaged_tokens

from harness.files.claims import claims_of

TOY = Path(__file__).parent.parent / "toy"
SUITE = """title = "A toy"
claims = ["toy/*"]
answer = ["toy/lifted-is-higher"]
checks = []
looks = [5, 10]
jobs = 2

[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 3
dtype = "float32"
options = { slope = [1.0, 2.0] }
"""
CLAIMS = """[[check]]
id = "mine/sane"
says = "the toy is sane"
kind = "control"
inherited = true
test = { kind = "reaches", metric = "noise", task = "toy/total", method = "plain", value = 0.5, tol = 9.0 }

[[claim]]
id = "mine/lifted"
says = "lifted is higher"
source = { article = "tests", also = ["a"] }
origin = "paper"
primary = true
paper = { lifted = 2.0, plain = "1" }
checks = ["mine/sane"]
test = { kind = "greater", metric = "total", task = "toy/total", method = "lifted", than = "plain", by = 0.5 }
"""
PLUGIN = """
from pathlib import Path
import harness

@harness.hookimpl
def harness_claims():
    return [Path(__file__).with_name("mine.toml")]
"""
TABLE = "system,CoLA,MRPC,RTE\nA,70.1,90/80,60\nB,-,88/78,61.5\nC,1e1,85/75,70\nhuman,66.4,86.3/80.8,93.6\n"


@pytest.fixture
def write(harness_cli):
    """Write a file into the folder of the command, and give its path."""

    def write_bytes(name: str, content: bytes) -> str:
        path = harness_cli.folder / name
        path.write_bytes(content)
        return str(path)

    return write_bytes


def ends_well(ended, *codes):
    """A command ended with one of the codes, and said why where it refused."""
    assert ended.code in codes, ended
    if ended.code == 2:
        assert ended.err.strip(), ended
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("examples", [25, pytest.param(1500, marks=pytest.mark.slow)])
def test_no_suite_ends_with_a_traceback(harness_cli, write, fuzz, examples):
    @fuzz(examples)
    @given(damaged_tokens(SUITE, TOML_TOKENS, " \n[],{}"))
    def attack(text):
        path = write("s.toml", text)
        ends_well(harness_cli("-p", str(TOY), "suite", path, "--plan", "--json"), 0, 2)
        ends_well(harness_cli("-p", str(TOY), "claims", path), 0, 2)

    attack()
    ends_well(harness_cli("-p", str(TOY), "suite", write("s.toml", SUITE.encode()), "--plan"), 0)


@pytest.mark.parametrize("examples", [25, pytest.param(1500, marks=pytest.mark.slow)])
def test_no_file_of_claims_ends_with_a_traceback(harness_cli, write, fuzz, examples):
    plugins = ("-p", str(TOY), "-p", write("mine.py", PLUGIN.encode()))
    suite = write("s.toml", SUITE.replace('["toy/*"]', '["mine/*", "toy/*"]').encode())

    @fuzz(examples)
    @given(damaged_tokens(CLAIMS, TOML_TOKENS, " \n[],{}"), st.sampled_from(["list", "show", "claims"]))
    def attack(text, command):
        write("mine.toml", text)
        # The registry is loaded once for each set of plugins, and its claims are read once.
        claims_of.cache_clear()
        ends_well(harness_cli(*plugins, "suite", suite, "--plan"), 0, 2)
        what = {"list": ("claims",), "show": ("mine/lifted",), "claims": (suite,)}[command]
        ends_well(harness_cli(*plugins, command, *what), 0, 2)

    attack()
    write("mine.toml", CLAIMS.encode())
    claims_of.cache_clear()
    ends_well(harness_cli(*plugins, "suite", suite, "--plan"), 0)
    claims_of.cache_clear()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("examples", [25, pytest.param(1500, marks=pytest.mark.slow)])
def test_no_table_of_scores_ends_with_a_traceback(harness_cli, write, fuzz, examples):
    @fuzz(examples)
    @given(
        damaged_tokens(TABLE, CSV_TOKENS, ",\n/"),
        st.sampled_from([(), ("--json",), ("--of", "human"), ("--nonpositive", "drop"), ("--nonpositive", "clip")]),
    )
    def attack(text, more):
        ends_well(harness_cli("leaderboard", write("t.csv", text), *more), 0, 2)

    attack()
    ends_well(harness_cli("leaderboard", write("t.csv", TABLE.encode())), 0)


#: Commands that end by themselves whatever follows; what they run is decided by records, of which there are none.
COMMANDS = [
    ("list",), ("show",), ("claims",), ("suite", "--plan"), ("report", "-o", "r.html"), ("records", "check"),
    ("records", "repair"), ("records", "merge"), ("records", "anonymise"), ("leaderboard",), ("leaderboard", "t.csv"),
    ("schema",), ("rerun",), ("new",), ("new", "plugin"), ("check", "absent"), ("bench", "absent"), ("data",), (),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("examples", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_argument_ends_with_a_traceback(harness_cli, write, fuzz, examples):
    write("s.toml", SUITE.encode())
    write("t.csv", TABLE.encode())
    words = st.sampled_from(ARGUMENT_TOKENS) | st.text(
        st.characters(exclude_characters="\0", codec="utf-8"), max_size=6
    )

    @fuzz(examples)
    @given(st.sampled_from(COMMANDS), st.lists(words, max_size=4), st.booleans())
    def attack(command, arguments, before):
        line = (*arguments[:1], *command, *arguments[1:]) if before else (*command, *arguments)
        ended = harness_cli(*line)
        assert ended.code in (0, 1, 2, 3), (line, ended)
        assert "Traceback" not in ended.err

    attack()
