"""The page on tuning: its example prints what the page shows, and its table is what the simulation gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL))
PRINTED = dict(re.findall(r"<!-- printed: (\S+) -->\n```\n(.*?)```", PAGE, flags=re.DOTALL))
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def answer(out: str) -> str:
    """What a suite prints from its title on, without the line that draws the interval."""
    return re.sub(r"^ \w+ lower-loss .*\n", "", out[out.index("Momentum against") :], flags=re.MULTILINE)


@pytest.fixture
def ran(harness_cli):
    """What each suite of the page prints."""
    for name, text in FILES.items():
        harness_cli.write(name, text)
    printed = {}
    for name in PRINTED:
        command = ("-p", "momentum.py", "suite", name)
        assert f"harness {' '.join(command)}\n" in PAGE
        ended = harness_cli(*command, COLUMNS="100")
        assert ended.code == 0, ended.err
        printed[name] = answer(ended.out)
    return printed


def test_the_straw_man_of_the_page_falls_once_both_are_tuned(ran):
    assert [*FILES] == ["momentum.py", "claims.toml", "one-rate.toml", "tuned.toml"]
    assert "SHOWN: Momentum ends with a lower test loss than plain gradient descent" in ran["one-rate.toml"]
    assert "NOT SHOWN: Momentum ends with a lower test loss than plain gradient descent" in ran["tuned.toml"]
    for name, out in ran.items():
        shown = PRINTED[name]
        assert NUMBER.sub("#", shown).split() == NUMBER.sub("#", out).split(), f"replace what the page shows by:\n{out}"
        # Another BLAS rounds otherwise.
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (shown, out)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.01), out
