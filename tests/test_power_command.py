"""``harness suite NAME --plan`` says what each claim can show, and an undecided verdict what it could have shown."""

import json
import re
import shutil
from pathlib import Path

import pytest

TOY = str(Path(__file__).parent / "toy")
CLAIM = """
[[claim]]
id = "{name}"
says = "lifted has more noise than plain"
source = {{ article = "tests" }}
test = {{ kind = "greater", metric = "noise", task = "toy/total", method = "lifted", than = "plain" }}
"""
SUITE = """
title = "Noise"
claims = ["noise/*"]
answer = ["noise/z-the-answer-of-a-suite-with-a-name-that-leaves-little-room"]
[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 5
"""
NAMES = ("noise/a-first", "noise/z-the-answer-of-a-suite-with-a-name-that-leaves-little-room")


@pytest.fixture
def noise(harness_cli):
    """Runs the suite of two claims on noise, which both methods have alike under one seed."""
    harness_cli.write("noise.toml", "".join(CLAIM.format(name=name) for name in NAMES))
    plugin = harness_cli.write(
        "noise_claims.py",
        "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
        "    return [pathlib.Path(__file__).parent / 'noise.toml']\n",
    )
    suite = harness_cli.write("noisy.toml", SUITE)
    return lambda *arguments, **environment: harness_cli.toy(suite, "-p", plugin, *arguments, **environment)


def spread_noise(folder):
    """Write the records anew: lifted has noise of its own, as if it had run with other code."""
    path = folder / "records.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["metrics"]["noise"] = float(record["seed"] % 3 if record["method"] == "lifted" else 0)
        record["id"] = record["id"][::-1]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return records


def test_plan_says_what_each_claim_shows_and_takes_a_pilot(harness_cli, noise):
    before = noise("--plan", "--json").document["power"]
    assert [power["claim"] for power in before] == [NAMES[1], NAMES[0]], "the answer first"
    assert {power["from"] for power in before} == {"not known: no records of the baseline; --pilot FOLDER"}
    assert {power["smallest"] for power in before} == {None}
    noise("--seeds", "4")
    shutil.move(harness_cli.folder / "results", harness_cli.folder / "pilot")
    spread_noise(harness_cli.folder / "pilot")
    (first, _) = noise("--plan", "--json", "--pilot", "pilot").document["power"]
    assert (first["seeds"], first["family"], first["from"]) == (5, 2, "pairs of 4 seeds")
    assert first["smallest"] > first["alone"] > 0
    assert noise("--plan", "--json").document["power"] == before, "the pilot is not part of the results"
    out = noise("--plan", "--pilot", "pilot", COLUMNS="80").out
    assert all(len(line) <= 80 for line in out.splitlines())
    names = [name.partition("/")[2] for name in NAMES]
    assert f"  {names[1]}\n    {first['text']}" in out, "below the name where there is no room beside it"
    assert re.search(rf"{first['smallest']:.2g} at 5 seeds \(alone {first['alone']:.2g}\), by pairs of 4 seeds", out)
    assert names[0] in out


def test_undecided_claim_says_what_its_seeds_could_have_shown(harness_cli, noise):
    noise()
    records = spread_noise(harness_cli.folder / "results")
    for record in records:
        record["id"] = record["id"][::-1]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (harness_cli.folder / "results" / "records.jsonl").write_text(text)
    result = noise("--json").document
    (verdict, _) = result["verdicts"]
    assert verdict["verdict"] == "inconclusive"
    said = f"could have seen {verdict['could_have_seen']:.2g}"
    assert said in verdict["sentence"]
    assert said in result["answers"][0]["why"]
    assert said in " ".join(noise(COLUMNS="200").out.split())
    planned = noise("--plan", "--json").document["power"]
    assert planned[0]["smallest"] == pytest.approx(verdict["could_have_seen"]), "by the same five pairs"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--pilot", "there"], "--pilot needs --plan: a run takes the spread from its own seeds"),
        (["--plan", "--pilot", "nowhere"], "--pilot nowhere: there are no records in this folder"),
    ],
)
def test_pilot_without_plan_or_records_is_refused(harness_cli, arguments, sentence):
    result = harness_cli.toy("toy", *arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert sentence in result.err
