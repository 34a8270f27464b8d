"""``--until-decided --budget TIME``: which claims get further seeds, and what is left out and why."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

METHODS = ("plain", "lifted")
HEAD = 'source = { article = "tests" }\ntest = { kind = "greater", metric = "noise", task = "toy/total", '
SUITE = """
title = "Noise"
claims = ["noise/*"]
answer = [{answer}]
[[cross]]
task = "toy/total"
methods = ["plain", "lifted"]
seeds = 5
"""
#: Differences of ten seeds around 0: undecided at the looks at five and ten seeds.
AROUND_ZERO = [1.0, -1.1, 0.6, -0.4, 0.2, 0.9, -0.8, -0.7, 0.4, -0.3]
#: Differences of five seeds, undecided at the first look.
NEAR, FAR = [1.0, -0.3, 0.9, 0.2, 0.4], [0.9, -0.6, 0.8, -0.2, 0.5]


@dataclass
class Noise:
    """A suite with a claim on each method: that its noise is above a number. A seed's noise is known."""

    cli: Any
    suite: str
    plugin: str

    def run(self, *arguments: str) -> Any:
        return self.cli.toy(self.suite, "-p", self.plugin, "--jobs", "1", "--json", *arguments)

    def until(self, budget: str) -> Any:
        result = self.run("--until-decided", "--budget", budget)
        assert result.code == 0, result.err
        return result.document

    def rewrite(self, seconds: float, noise: dict[str, list[float]] | None = None) -> None:
        """As if each cell had taken so long, and had measured this noise."""
        records = self.cli.records
        for record in records:
            record["seconds"] = seconds
            own = (noise or {}).get(record["method"], [])
            if record["seed"] < len(own):
                record["metrics"]["noise"] = own[record["seed"]]
        path = self.cli.folder / "results" / "records.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    @property
    def seeds(self) -> dict[str, int]:
        """How many seeds of each method have a record."""
        return {method: len({r["seed"] for r in self.cli.records if r["method"] == method}) for method in METHODS}


@pytest.fixture
def noise_suite(harness_cli):
    def make(answer: str = "", **values: float) -> Noise:
        values = {"plain": 0.0, "lifted": 0.0, **values}
        claims = "".join(
            f'[[claim]]\nid = "noise/{m}"\nsays = "the noise is high"\n{HEAD}method = "{m}", value = {values[m]} }}\n'
            for m in METHODS
        )
        harness_cli.write("noise_claims.toml", claims)
        plugin = harness_cli.write(
            "noise_claims.py",
            "import harness, pathlib\n@harness.hookimpl\ndef harness_claims():\n"
            "    return [pathlib.Path(__file__).parent / 'noise_claims.toml']\n",
        )
        named = f'"noise/{answer}"' if answer else '"noise/plain", "noise/lifted"'
        return Noise(harness_cli, harness_cli.write("noise.toml", SUITE.format(answer=named)), plugin)

    return make


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--budget", "10m"], "--budget needs --until-decided: it limits the seeds that are added"),
        (["--until-decided", "--budget", "soon"], "--budget soon: a length of time is needed, such as 90s, 10m or 2h"),
        (["--until-decided", "--budget", "0"], "--budget 0: a length of time is needed"),
    ],
)
def test_budget_of_nothing_is_an_error_of_usage(harness_cli, arguments, sentence):
    result = harness_cli.toy("toy", *arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert sentence in result.err
    assert not (harness_cli.folder / "results").exists()


def test_first_look_that_takes_longer_by_past_records_is_refused_before_anything_runs(noise_suite):
    noise = noise_suite()
    noise.run("--only", "seed=0")
    noise.rewrite(seconds=100.0)
    result = noise.run("--until-decided", "--budget", "10m")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--budget 10 min 0 s: the first look, 8 cells, would take about 13 min 20 s by past records" in result.err
    assert noise.seeds == {"plain": 1, "lifted": 1}


def test_look_that_does_not_fit_is_not_begun_and_is_named_with_the_reason(noise_suite):
    noise = noise_suite(answer="plain", plain=0.1, lifted=0.1)
    noise.run()
    noise.rewrite(seconds=3600.0, noise={"plain": NEAR, "lifted": NEAR})
    document = noise.until("3h")
    assert noise.seeds == {"plain": 5, "lifted": 5}
    assert [out["claim"] for out in document["left_out"]] == ["noise/plain", "noise/lifted"]
    assert document["left_out"][0]["why"].startswith("10 seeds would take about 5 h 0 min, ")
    assert document["left_out"][0]["why"].endswith(" are left")
    assert document["cells"]["run"] == 0
    lines = noise.cli.toy(noise.suite, "-p", noise.plugin, "--until-decided", "--budget", "1h", "--jobs", "1").out
    assert "no more seeds for noise/plain: 10 seeds would take about 5 h 0 min" in lines


def test_answer_of_the_suite_comes_first_and_then_the_claim_that_is_nearer_to_a_decision(noise_suite):
    """Five seeds of one method fit. That of the other claim is nearer to a decision."""
    noise = noise_suite(answer="plain", plain=-0.1, lifted=-0.1)
    noise.run()
    noise.rewrite(seconds=600.0, noise={"plain": FAR, "lifted": NEAR})
    document = noise.until("80m")
    assert noise.seeds == {"plain": 10, "lifted": 5}
    left_out = {out["claim"]: out["why"] for out in document["left_out"]}
    assert left_out["noise/lifted"].startswith("10 seeds would take about 50 min 0 s, ")


def test_without_an_answer_among_them_the_claim_that_is_nearer_to_a_decision_comes_first(noise_suite):
    noise = noise_suite(plain=-0.1, lifted=-0.1)
    noise.run()
    noise.rewrite(seconds=600.0, noise={"plain": FAR, "lifted": NEAR})
    noise.until("80m")
    assert noise.seeds == {"plain": 5, "lifted": 10}


def test_claim_that_no_look_within_the_budget_will_decide_gets_no_more_seeds(noise_suite):
    """Both lie on the border at ten seeds. One is all but decided; the looks that fit end at 20 seeds."""
    noise = noise_suite(answer="lifted")
    noise.run("--seeds", "10")
    near = [0.5 + x for x in AROUND_ZERO]
    noise.rewrite(seconds=60.0, noise={"plain": AROUND_ZERO, "lifted": near})
    document = noise.until("25m")
    assert noise.seeds == {"plain": 10, "lifted": 20}
    why = {out["claim"]: out["why"] for out in document["left_out"]}["noise/plain"]
    assert why == "20 seeds would decide with a probability of 2 %; the budget ends before 40 seeds"


def test_ample_budget_runs_what_may_be_decided_and_the_next_command_goes_on(noise_suite):
    noise = noise_suite()
    noise.run()
    noise.rewrite(seconds=0.01, noise={"plain": AROUND_ZERO[:5], "lifted": [2.0, 2.1, 1.9, 2.0, 2.2]})
    document = noise.until("1h")
    assert noise.seeds["lifted"] == 5, "decided at the first look"
    assert noise.seeds["plain"] in (10, 20, 40)
    assert {v["n"] for v in document["verdicts"]} <= {5, 10, 20, 40}
    again = noise.until("1h")
    assert again["cells"]["run"] == 0
    assert [v["sentence"] for v in again["verdicts"]] == [v["sentence"] for v in document["verdicts"]]
    assert again["left_out"] == document["left_out"]


def test_without_a_budget_nothing_is_left_out(noise_suite):
    noise = noise_suite()
    noise.run()
    noise.rewrite(seconds=3600.0, noise={"plain": AROUND_ZERO[:5], "lifted": [2.0, 2.1, 1.9, 2.0, 2.2]})
    document = noise.run("--until-decided").document
    assert document["left_out"] == []
    assert noise.seeds["plain"] > 5
