"""Whatever stands in a results folder, no command ends with a traceback, and no good line is lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import damaged_json, damaged_line

from harness.planning.plan import make_plan
from harness.planning.request import Request
from harness.records import RecordsFile
from harness.records.provenance import environment_digest
from harness.records.seals import seal
from harness.registry import load_registry
from harness.running.execute import record_of

TOY = str(Path(__file__).parent.parent / "toy")
#: Lines that are damaged in each example; times the examples of the slow run they are 5,000.
LINES = 5
ENVIRONMENT = {
    "python": "3.11.7", "platform": "Linux", "machine": "host-7", "cpu": "A Processor", "cpus": 4, "device": "cuda:0",
    "threads": 1, "source": {"commit": "c" * 40, "dirty": True, "diff": "d" * 16}, "packages": {"torch": "2.6.0"},
    "torch": {"version": "2.6.0", "deterministic": True}, "blas": [{"name": "mkl", "version": None, "num_threads": 1}],
    "switches": {"OMP_NUM_THREADS": "1"}, "plugins": {"toy": {"version": "1", "code": "e" * 16}},
    "gpu": {"name": "A GPU", "memory_bytes": 80_000_000_000, "cuda": "12.4", "cudnn": 90100, "driver": None},
}  # fmt: skip


@pytest.fixture
def folder(harness_cli):
    """A results folder of the toy suite: good records, failed ones, an environment and seals."""
    results = harness_cli.folder / "whole"
    plan = make_plan(Request(suite="toy", results=results), load_registry((TOY,)))
    file = RecordsFile(results)
    file.prepare()
    digest = environment_digest(ENVIRONMENT)
    file.add_environment(digest, ENVIRONMENT)
    seal(results, plan.suite, "2026-01-01T00:00:00.000+00:00")
    for number, cell in enumerate(plan.scope):
        more = {"environment": digest, "seconds": 1.5, "peak_bytes": 10**6}
        if number % 9 == 8:
            file.append(record_of(cell, "failed", "ValueError: planted", output="Traceback", **more))
        else:
            metrics = {"total": number + 2.0 * (cell.method == "lifted"), "violations": 0.0, "noise": 0.5}
            file.append(record_of(cell, "done", None, metrics=metrics, curves={"norm": [(0, 1.5), (1, 2.5)]}, **more))
    return results


class Commands:
    """Runs commands on a damaged copy of a results folder, and checks how each ends."""

    def __init__(self, harness_cli, folder):
        self._cli = harness_cli
        self._whole = folder
        self.results = harness_cli.folder / "results"

    def restore(self):
        """Put the whole folder back."""
        for name in ("results", "merged", "shared"):
            shutil.rmtree(self.results.with_name(name), ignore_errors=True)
        shutil.copytree(self._whole, self.results)

    def ends_with(self, codes, *arguments):
        ended = self._cli("-p", TOY, *arguments)
        assert ended.code in codes, (arguments, ended)
        return ended

    def any_other(self, which):
        """One of the commands that read the folder."""
        first = json.loads((self._whole / "records.jsonl").read_bytes().splitlines()[0])["id"]
        match which:
            case "report":
                self.ends_with({0}, "report", "--suite", "toy")
            case "compare":
                self.ends_with({0, 2}, "report", "results", "whole", "--suite", "toy")
            case "plan":
                self.ends_with({0}, "suite", "toy", "--plan")
            case "merge":
                self.ends_with({0}, "records", "merge", "results", "--results", "merged")
                self.ends_with({0}, "records", "check", "--results", "merged")
            case "show":
                self.ends_with({0, 2}, "show", first)
            case "anonymise":
                self.ends_with({0}, "records", "anonymise", "shared")
                self.ends_with({0}, "records", "check", "--results", "shared")


OTHERS = ("report", "compare", "plan", "merge", "show", "anonymise")


@pytest.fixture
def commands(harness_cli, folder):
    return Commands(harness_cli, folder)


@pytest.mark.parametrize("examples", [15, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_line_of_records_ends_a_command_or_costs_another_line(commands, folder, fuzz, examples):
    whole = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)

    @fuzz(examples)
    @given(st.data())
    def attack(data):
        commands.restore()
        places = data.draw(st.sets(st.integers(0, len(whole) - 1), min_size=LINES, max_size=LINES))
        lines = list(whole)
        for place in places:
            lines[place] = data.draw(damaged_line(whole[place].rstrip())) + b"\n"
        path = commands.results / "records.jsonl"
        # The last line may be torn.
        path.write_bytes(b"".join(lines)[: -1 if data.draw(st.booleans()) else None])
        good = [line.rstrip() for place, line in enumerate(whole) if place not in places]
        commands.ends_with({0}, "claims", "toy")
        commands.ends_with({0, 1}, "records", "check")
        commands.any_other(data.draw(st.sampled_from(OTHERS)))
        commands.ends_with({0}, "records", "repair")
        after = path.read_bytes().splitlines()
        assert [line for line in good if line not in after] == []
        commands.ends_with({0}, "records", "check")
        commands.ends_with({0}, "claims", "toy", "--json")

    attack()


@pytest.mark.parametrize("examples", [15, pytest.param(800, marks=pytest.mark.slow)])
def test_no_environment_ends_a_command(commands, folder, fuzz, examples):
    (whole,) = (folder / "environments").iterdir()

    @fuzz(examples)
    @given(damaged_line(whole.read_bytes().replace(b"\n", b" ")), st.booleans(), st.sampled_from(OTHERS))
    def attack(text, forged, other):
        commands.restore()
        path = commands.results / "environments" / whole.name
        path.write_bytes(text)
        if forged:
            _give_its_own_digest(path)
        commands.ends_with({0}, "report", "--suite", "toy")
        commands.any_other(other)
        commands.ends_with({0, 1}, "records", "check")
        commands.ends_with({0}, "records", "repair")
        commands.ends_with({0}, "records", "check")

    attack()


def _give_its_own_digest(path):
    """What somebody does who forges an environment: its file and its records have the digest of its content."""
    try:
        digest = environment_digest(json.loads(path.read_bytes()))
    except (ValueError, RecursionError):
        return
    records = path.parent.parent / "records.jsonl"
    records.write_text(records.read_text().replace(path.stem, digest))
    path.rename(path.with_stem(digest))


@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_no_seal_ends_a_command(commands, folder, fuzz, examples):
    whole = (folder / "seals.jsonl").read_bytes().splitlines(keepends=True)

    @fuzz(examples)
    @given(damaged_json(whole[0].rstrip()) | damaged_line(whole[0].rstrip()), st.sampled_from(OTHERS))
    def attack(line, other):
        commands.restore()
        path = commands.results / "seals.jsonl"
        path.write_bytes(line.replace(b"\n", b" ") + b"\n" + b"".join(whole[1:]))
        commands.ends_with({0}, "claims", "toy")
        commands.any_other(other)
        commands.ends_with({0, 1}, "records", "check")
        commands.ends_with({0}, "records", "repair")
        assert path.read_bytes().endswith(b"".join(whole[1:]))
        commands.ends_with({0}, "records", "check")

    attack()


def test_a_damaged_record_costs_its_own_cell_alone(commands, folder):
    commands.restore()
    path = commands.results / "records.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "metrics": {"total": "high"}}), *rest]) + "\n")
    loaded = RecordsFile(commands.results).load()
    whole = RecordsFile(folder).load().by_id
    lost = json.loads(first)["id"]
    assert {i: replace(r, curves={}) for i, r in loaded.by_id.items()} == {
        i: replace(r, curves={}) for i, r in whole.items() if i != lost
    }
    assert "1 damaged line(s) skipped: 1;" in loaded.warnings[0]
