"""Bad input ends with exit code 2 and one sentence that names the place, the value and what is allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

SUITE = """
title = "T"
[[cross]]
task = "toy/total"
methods = ["plain"]
"""


def assert_refused(result, *parts: str) -> str:
    """Check that a command result as bad input does, with these parts in its message; return the message."""
    assert result.code == 2, (result.code, result.out, result.err)
    assert result.out == ""
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err, result.err
    return result.err


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("toy/total", "toy/totl"), ["cross[0].task", "'toy/totl'", "did you mean 'toy/total'?"]),
        (('"plain"', '"plan"'), ["cross[0].methods", "'plan'", "did you mean 'plain'?"]),
        (('"plain"', '"zz*"'), ["cross[0].methods", "'zz*'", "lifted, plain"]),
        (('["plain"]', '["infonce"]'), ["infonce fills the role contrastive-loss", "needs toy", "lifted, plain"]),
        (('["plain"]', "[]"), ["cross[0].methods = []"]),
        (('["plain"]', '"plain"'), ["cross[0].methods = 'plain'", "list"]),
        (("methods", "metods"), ["unknown key 'cross[0].metods'", "did you mean 'methods'?"]),
        (("title", "titel"), ["unknown key 'titel'", "did you mean 'title'?"]),
        (('title = "T"', "title = "), ["not valid TOML", "line 2"]),
        (('title = "T"', "title = 3"), ["title = 3: a text in quotes is needed"]),
        (("methods =", "seeds = 0\nmethods ="), ["cross[0].seeds = 0: at least 1 or a list is needed"]),
        (("methods =", 'seeds = "3"\nmethods ='), ["cross[0].seeds", "'3'"]),
        (("methods =", 'dtype = "float8"\nmethods ='), ["cross[0].dtype", "float8", "float16"]),
        (("methods =", "options = { slpe = 1.0 }\nmethods ="), ["unknown option 'slpe'", "did you mean 'slope'?"]),
        (("methods =", 'options = { slope = "x" }\nmethods ='), ["option slope of plain = 'x'", "float"]),
        (("methods =", "options = { slope = [] }\nmethods ="), ["cross[0].options.slope"]),
        (("methods =", "options = { dict_size = {x=1}, slope = 1.0 }\nmethods ="), ["cross[0].options.dict_size"]),
        (('"toy/total"', "3"), ["cross[0].task = 3: a text in quotes or a list is needed"]),
        (("methods =", "options = { slope = nan }\nmethods ="), ["slope of plain = nan", "finite"]),
        (("[[cross]]", 'claims = ["toy/nothing"]\n[[cross]]'), ["claims", "'toy/nothing'", "toy/no-violations"]),
        ((SUITE, 'title = "T"\n'), ["'cross' is missing"]),
        (("methods =", 'seeds = "3"\ndtype = 3\nmethods ='), ["(also wrong: cross[0].dtype)"]),
    ],
)  # fmt: skip
def test_error_about_a_suite_file_names_file_key_value_and_allowed_values(harness_cli, change, parts):
    path = harness_cli.write("s.toml", SUITE.replace(*change))
    assert_refused(harness_cli.toy(path), "s.toml", *parts)
    assert not (harness_cli.folder / "results" / "records.jsonl").exists() or not harness_cli.records


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["tooy"], ["unknown suite 'tooy'", "did you mean 'toy'?"]),
        (["absent.toml"], ["no suite file absent.toml"]),
        (["toy", "--only", "slop=1"], ["--only slop=1", "unknown axis 'slop'", "did you mean 'slope'?"]),
        (["toy", "--only", "slope"], ["--only slope", "AXIS=VALUE"]),
        (["toy", "--only", "slope=3"], ["--only slope=3", "1.0, 2.0"]),
        (["toy", "--only", "method=lifte"], ["did you mean 'lifted'?"]),
        (["toy", "--device", "cud"], ["unknown device 'cud'", "did you mean 'cuda'?"]),
        (["toy", "--device", "gpu"], ["--device gpu", "cuda (NVIDIA, AMD)", "mps (Apple)"]),
        (["toy", "--address", "here:1"], ["--address here:1", "--engine ray"]),
        (["toy", "--device", "cpu:0"], ["--device cpu:0"]),
        (["toy", "--device", "cuda:x"], ["--device cuda:x", "cuda:0"]),
        (["toy", "--fresh", "--retry-failed"], ["--fresh and --retry-failed contradict"]),
        (["toy", "--until-decided", "--seeds", "4"], ["--until-decided and --seeds contradict"]),
        (["toy", "--jobs", "0"], ["--jobs 0", "at least 1"]),
        (["toy", "--seeds", "0"], ["--seeds 0", "at least 1"]),
        (["toy", "--timeout", "soon"], ["--timeout soon", "10m"]),
        (["toy", "--timeout", "0"], ["--timeout 0"]),
        (["toy", "--engine", "locl"], ["unknown engine 'locl'", "did you mean 'local'?"]),
        (["toy", "--jbos", "2"], ["--jbos"]),
    ],
)
def test_error_about_a_flag_names_the_flag_and_allowed_values(harness_cli, arguments, parts):
    assert_refused(harness_cli.toy(*arguments), *parts)
    assert not (harness_cli.folder / "results").exists()


def test_error_about_cuda_without_a_gpu_says_how_many_devices_torch_sees(harness_cli):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert_refused(harness_cli.toy("toy", "--device", "cuda"), "--device cuda", "0 cuda devices")


def test_results_folder_that_cannot_be_written_is_refused(harness_cli):
    (harness_cli.folder / "file").write_text("")
    assert_refused(harness_cli.toy("toy", "--results", "file"), "results folder file cannot be written")
    if os.geteuid() != 0:
        (harness_cli.folder / "closed").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        assert_refused(harness_cli.toy("toy", "--results", "closed/in"), "cannot be written")


def test_unreadable_records_are_an_error_and_not_an_empty_file(harness_cli):
    (harness_cli.folder / "results" / "records.jsonl").mkdir(parents=True)
    assert_refused(harness_cli("claims"), "records.jsonl cannot be read: Is a directory")
    assert_refused(harness_cli.toy("toy", "--plan"), "records.jsonl cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("plugin", "message"),
    [("s.toml", "s.toml is no Python file"), (".", "there is no plugin file")],
)
def test_path_that_is_no_plugin_is_refused(harness_cli, plugin, message):
    harness_cli.write("s.toml", SUITE)
    assert_refused(harness_cli("check", plugin), message)
    assert_refused(harness_cli("-p", plugin, "list"), message)


def test_unreadable_claim_file_is_reported_first_and_fails_a_requirement(harness_cli):
    harness_cli.write("good.toml", GOOD)
    harness_cli.write("torn.toml", "[[claim]")
    plugin = harness_cli.write("two_files.py", TWO_FILES)
    suite = harness_cli.write("s.toml", SUITE.replace("[[cross]]", 'claims = ["good/*"]\n[[cross]]') + "seeds = 3\n")
    assert harness_cli.toy(suite, "-p", plugin).code == 0
    toy = str(Path(__file__).parent / "toy")
    result = harness_cli("-p", toy, "-p", plugin, "claims", suite, "--require", "reproduced")
    assert result.code == 3
    assert "1 reproduced" in result.out
    assert "warning" in result.err
    assert "torn.toml: not valid TOML" in result.err
    problems = harness_cli("-p", toy, "-p", plugin, "doctor", "--json").document["amiss"]
    assert any("torn.toml: not valid TOML" in problem for problem in problems)
    suite = harness_cli.write("s.toml", SUITE.replace("[[cross]]", 'claims = ["torn/*"]\n[[cross]]'))
    message = assert_refused(
        harness_cli.toy(suite, "-p", plugin), "torn.toml: not valid TOML", "names a claim 'torn/*'"
    )
    assert message.index("torn.toml") < message.index("torn/*")


GOOD = """
[[claim]]
id = "good/no-violations"
says = "nothing is violated"
source = { article = "tests" }
origin = "article"
fidelity = "identity"
test = { kind = "holds", metric = "violations", task = "toy/total", method = "plain" }
"""
TWO_FILES = """
from pathlib import Path
import harness
@harness.hookimpl
def harness_claims():
    return [Path(__file__).with_name(name) for name in ("good.toml", "torn.toml")]
"""


def test_damaged_records_are_counted_and_the_others_are_used(harness_cli):
    harness_cli.toy("toy", "--only", "seed=0")
    path = harness_cli.folder / "results" / "records.jsonl"
    first, second, *rest = path.read_text().splitlines()
    newer = second.replace('"schema":1', '"schema":2')
    path.write_text("\n".join([first, "garbage", newer, '{"schema": 1}', *rest, '{"schema":1,"id":"to']))
    result = harness_cli.toy("toy", "--only", "seed=0")
    assert result.code == 0
    assert "2 damaged line(s) skipped: 2, 4" in result.err
    assert "1 record(s) of a newer schema" in result.err
    assert "last line is torn" in result.err
    lines = path.read_text().splitlines()
    assert lines[:5] == [first, "garbage", newer, '{"schema": 1}', rest[0]], "existing lines do not change"
    assert len(lines) == 7, "the cell whose record could not be read ran again, and its record replaced the torn line"


def test_error_about_an_unknown_name_suggests_the_nearest(harness_cli):
    assert_refused(harness_cli("show", "flatnse"), "unknown name 'flatnse'", "did you mean 'flatnce'?")
    assert_refused(harness_cli("claims", "contrastve"), "contrastve", "did you mean 'contrastive'?")
    assert_refused(harness_cli("claims", "--require", "reprodced"), "did you mean 'reproduced'?")
    assert_refused(harness_cli("data", "fetch", "mnst"), "did you mean 'mnist'?")
    assert_refused(harness_cli("data", "fetch"), "needs the name")
    assert_refused(harness_cli("list", "metods"), "metods")
    assert_refused(
        harness_cli("-p", "no_such_module", "list"), "plugin no_such_module cannot be used", "No module named"
    )
    assert_refused(harness_cli("-p", "absent.py", "list"), "absent.py")


TWINS = """
import harness
@harness.hookimpl
def harness_methods():
    return [harness.Method(name="twin", role="toy", build=lambda seconds: abs, options={{"seconds": {default}}})]
"""


@pytest.mark.parametrize(
    ("default", "message"), [("2.0", "0.0 and 2.0; give one value"), ("2", "float and int; rename")]
)
def test_option_that_task_and_method_declare_differently_is_refused_before_cells_run(harness_cli, default, message):
    plugin = harness_cli.write(f"twins_{len(default)}.py", TWINS.format(default=default))
    suite = harness_cli.write("s.toml", SUITE.replace('"plain"', '"twin"'))
    assert_refused(harness_cli.toy(suite, "-p", plugin), "both toy/total and twin have an option seconds", message)


def test_claim_about_an_unknown_method_is_refused(harness_cli):
    claim = """[[claim]]
id = "wrong/names"
says = "nobody knows this method"
source = { article = "tests" }
test = { kind = "greater", metric = "total", task = "toy/total", method = "plan", than = "lifted" }
"""
    harness_cli.write("wrong.toml", claim)
    code = "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
    plugin = harness_cli.write("wrong.py", code + "    return [pathlib.Path(__file__).with_suffix('.toml')]\n")
    suite = harness_cli.write("s.toml", SUITE.replace("[[cross]]", 'claims = ["wrong/*"]\n[[cross]]'))
    assert_refused(harness_cli.toy(suite, "-p", plugin), "claim wrong/names", "'plan'", "did you mean 'plain'?")
    harness_cli.write("wrong.toml", claim.replace("toy/total", "toy/totl"))
    plugin = harness_cli.write("wrong2.py", code + "    return [pathlib.Path(__file__).parent / 'wrong.toml']\n")
    assert_refused(harness_cli.toy(suite, "-p", plugin), "claim wrong/names: test.task", "did you mean 'toy/total'?")


def test_folder_as_report_file_is_refused(harness_cli):
    assert_refused(harness_cli("report", "-o", "."), "-o .: this is a folder", "report.html")


def test_claims_without_records_are_reported(harness_cli):
    result = harness_cli("claims", "can/can10-*")
    assert (result.code, result.out) == (0, "")
    assert "nothing to judge: no suite with records in" in result.err
