"""The README's example runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_plugin_of_the_readme_runs_as_printed(harness_cli):
    files = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", README, flags=re.DOTALL))
    assert set(files) == {"spread.py", "spread-claims.toml", "spread.toml"}
    for name, text in files.items():
        harness_cli.write(name, text)
    assert "harness -p spread.py suite spread.toml" in README
    ended = harness_cli("-p", "spread.py", "suite", "spread.toml", "--json")
    assert ended.code == 0, ended.err
    assert [v["verdict"] for v in ended.document["verdicts"]] == ["reproduced"]


def test_every_command_and_option_that_the_readme_names_exists(harness_cli):
    commands = set(re.findall(r"`harness (?:-p \S+ )?(\w+)", README))
    assert {"suite", "claims", "list", "show", "ui", "publish", "data", "doctor"} <= commands
    for command in commands:
        ended = harness_cli(command, "--help")
        assert ended.code == 0, command
        for option in re.findall(rf"`harness {command}[^`]*?(--[a-z-]+)", README):
            assert option in ended.out, (command, option)
