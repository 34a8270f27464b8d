"""The README's examples run as printed, its commands exist, and the page on design names what there is."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def write_files(harness_cli, page: str) -> set[str]:
    """Write the files that a page shows, each after a comment with its name."""
    files = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page, flags=re.DOTALL))
    for name, text in files.items():
        harness_cli.write(name, text)
    return set(files)


def test_the_plugin_in_one_file_runs_as_printed(harness_cli):
    assert {"spread.py", "spread-claims.toml", "spread.toml"} <= write_files(harness_cli, PLUGINS)
    assert "harness -p spread.py suite spread.toml" in PLUGINS
    result = harness_cli("-p", "spread.py", "suite", "spread.toml", "--json")
    assert result.code == 0, result.err
    assert [v["verdict"] for v in result.document["verdicts"]] == ["reproduced"]


def test_a_librarys_module_is_a_method_as_the_readme_says(harness_cli):
    assert write_files(harness_cli, README) == {"library.py", "mine.toml"}
    (command,) = re.findall(r"^harness (-p library.py .*)$", README, flags=re.MULTILINE)
    result = harness_cli(*command.split(), "--only", "seed=0")
    assert result.code == 0, result.err
    assert "hardswish" in result.out
    from harness.registry import load_registry

    loss = load_registry((str(harness_cli.folder / "library.py"),)).methods["torch-ce"].create(label_smoothing=0.2)
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]), label_smoothing=0.2)
    assert torch.equal(loss(logits, torch.tensor([0, 1])), expected)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(harness_cli, monkeypatch, capsys):
    (example,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(harness_cli.folder)
    exec(compile(example, "README.md", "exec"), {})
    assert "flatnce/fn6-softmax-form-loses-the-positive reproduced" in capsys.readouterr().out


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 150
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


def test_every_block_of_the_readme_is_run_or_printed():
    """Shell blocks are commands of ours; the others are files, code that a test runs, or what a command printed."""
    blocks = re.findall(r"(<!-- [^\n]* -->\n)?```(\w*)\n(.*?)```", README, flags=re.DOTALL)
    for mark, language, text in blocks:
        assert mark or language in ("sh", ""), text
    printed = [text for _, language, text in blocks if not language]
    assert len(printed) == 1
    assert printed[0].startswith("$ harness suite contrastive\n")
    assert max(map(len, printed[0].splitlines())) <= 80


def test_every_command_and_option_in_the_readme_exists(harness_cli):
    commands = set(re.findall(r"`harness (?:-p \S+ )?(\w+)", README))
    assert {"suite", "claims", "list", "show", "ui", "publish", "data", "doctor"} <= commands
    for command in commands:
        result = harness_cli(command, "--help")
        assert result.code == 0, command
        for option in re.findall(rf"`harness {command}[^`]*?(--[a-z-]+)", README):
            assert option in result.out, (command, option)


def section(heading: str) -> str:
    """The text of a section of the page on design."""
    return DESIGN.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of the rows of a section's table."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def names_in(file: Path) -> set[str]:
    """The functions, classes and constants of a module, and the methods of its classes as ``Class.method``."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
            methods = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{method.name}" for method in methods if isinstance(method, ast.FunctionDef)}
    return names


def test_the_readme_links_to_the_table_of_where_to_look():
    assert "(docs/design.md#where-to-look)" in README
    assert len(rows("Where to look")) >= 20


@pytest.mark.parametrize(("question", "link", "names"), rows("Where to look"))
def test_what_the_table_of_where_to_look_names_exists(question, link, names):
    shown, target = re.fullmatch(r"\[(.*)\]\(\.\./(.*)\)", link).groups()
    assert shown.replace("\\", "") == target, question
    listed = re.findall(r"`([\w.]+)`", names)
    assert listed
    assert set(listed) <= names_in(ROOT / target), question


def test_every_step_of_a_request_names_functions_that_exist():
    steps = section("How a request flows")
    pairs = re.findall(r"`([A-Za-z_.]+)` in\s+`([\w/]+\.py)`", steps)
    assert len(pairs) >= 20
    for name, file in pairs:
        assert name in names_in(ROOT / file), (name, file)


def test_every_file_that_the_page_on_design_names_exists():
    for file in re.findall(r"`((?:harness|plugins|tests)/[\w/]+(?:\.py|/))`", DESIGN):
        assert (ROOT / file).exists(), file


def test_the_table_of_rooms_is_the_order_of_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    expected = [room for layer in reversed(layers) for room in layer.split(" | ") if room != "__main__"]
    rooms = [room.strip("`").removesuffix("/").removesuffix(".py") for room, _ in rows("Layout of the core")]
    assert rooms == expected


def test_the_tables_of_plugins_name_every_plugin():
    named = re.findall(r"`(\w+)`", " ".join(names for names, _ in rows("The plugins of this distribution")))
    plugins = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    assert sorted(named) == sorted(plugins)
