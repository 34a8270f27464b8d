"""``harness bench`` as it is typed: the table, the document, the picture, what cannot be timed, and wrong input."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch

from harness.cli import main
from harness.registry import load_registry
from harness_plugins.speed import measurements
from harness_plugins.speed.conditions import Conditions
from harness_plugins.speed.gate import Examined, NotForThisWorkload, examine
from harness_plugins.speed.inputs import smallest_size
from harness_plugins.speed.selection import Selection, comparisons

REGISTRY = load_registry()
PLUGIN = """
import os, time
import torch
import harness

def inputs(generator, device, dtype, n):
    return (torch.randn(n, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_(),)

def call(method, x):
    return method(x).sum()

def plain(x):
    return torch.sin(x) * x

def refused(x):
    raise harness.UsageError("sines only")

def missing():
    raise ImportError("pip install sines")

def only_small(x):
    if len(x) > 1000:
        torch.empty(10**15)
    return plain(x)

def dies(x):
    os._exit(3)

class FailsLate:
    # Right while it is examined; fails at its hundredth call.
    def __init__(self, fail):
        self.calls, self.fail = 0, fail

    def __call__(self, x):
        self.calls += 1
        if self.calls == 100:
            self.fail()
        return plain(x)

def leaks():
    raise ValueError("no handles left")

METHODS = {
    "plain": lambda: plain,
    "twice": lambda: lambda x: plain(plain(x) * 0 + x) + 0 * plain(x),
    "wrong": lambda: lambda x: plain(x) * 1.01,
    "no-slope": lambda: lambda x: plain(x.detach()) + 0 * x,
    "refused": lambda: refused,
    "missing": missing,
    "greedy": lambda: only_small,
    "dies": lambda: dies,
    "dies-late": lambda: FailsLate(lambda: os._exit(3)),
    "leaks": lambda: FailsLate(leaks),
    "hangs": lambda: lambda x: time.sleep(1000),
}

@harness.hookimpl
def harness_methods():
    return [harness.Method(name=n, role="sine", build=b, reference="plain") for n, b in METHODS.items()]

@harness.hookimpl
def harness_workloads():
    return [
        harness.Workload(
            name="sine/row", role="sine", sizes={"n": [1000, 4000]}, inputs=inputs, call=call, baseline="plain",
            bytes=lambda itemsize, n: 5 * itemsize * n, flops=lambda n: 4 * n,
        )
    ]
"""


def bench(folder, *arguments):
    command = [sys.executable, "-c", "from harness.cli import main; main()", "bench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    (folder / "sines.py").write_text(PLUGIN)
    ended = bench(folder, "sine", "-p", "sines.py", "--threads", "1", "--timeout", "3s", "-o", "all.json")
    return folder, ended, json.loads((folder / "all.json").read_text())


@pytest.mark.slow
def test_each_method_has_its_status_and_costs_no_other(ran):
    _, ended, document = ran
    assert ended.returncode == 1, ended.stderr
    rows = {(p["size"]["n"], r["method"]): r for p in document["points"] for r in p["rows"]}
    status = {
        name: rows[1000, name]["status"]
        for name in ("plain", "twice", "wrong", "refused", "missing", "dies", "dies-late", "leaks", "hangs")
    }
    assert status == {
        "plain": "timed",
        "twice": "timed",
        "wrong": "wrong",
        "refused": "refused",
        "missing": "not-installed",
        "dies": "crashed",
        "dies-late": "crashed",
        "leaks": "raised",
        "hangs": "time",
    }
    assert rows[1000, "greedy"]["status"] == "timed"
    assert rows[4000, "greedy"]["status"] == "memory"
    assert rows[1000, "dies-late"]["cause"] == "while timed: its process ended with exit status 3"
    assert rows[1000, "leaks"]["cause"].startswith("while timed: ValueError: no handles left")
    assert "off by 0.01" in rows[1000, "wrong"]["cause"]
    assert rows[1000, "wrong"]["both"]["seconds"] is None
    assert rows[1000, "missing"]["cause"] == "pip install sines"


@pytest.mark.slow
def test_ratios_controls_and_shares_are_those_of_the_blocks(ran):
    _, _, document = ran
    (machine,) = document["machines"]
    for point in document["points"]:
        rows = {row["method"]: row for row in point["rows"]}
        assert set(point["controls"]) == {"forward", "both"}
        twice, base = rows["twice"]["both"], rows["plain"]["both"]
        assert twice["against_baseline"]["times"] < 1
        assert len(twice["blocks"]) == len(base["blocks"]) >= 7
        assert sorted(base["blocks"])[0] <= base["seconds"] <= sorted(base["blocks"])[-1]
        moved = 5 * 4 * point["size"]["n"] / base["seconds"]
        assert rows["plain"]["copy_share"] == pytest.approx(moved / machine["rates"]["copy_bytes_per_second"])


@pytest.mark.slow
def test_the_table_names_what_has_no_time_with_its_reason(ran):
    folder, ended, _ = ran
    assert "sine/row on cpu, 1 thread, float32; against plain" in ended.stdout
    assert re.search(r"wrong wrong: .* is off by 0\.01", ended.stdout)
    assert "not installed missing: pip install sines" in ended.stdout
    assert "does not fit greedy at n=4000: out of memory" in ended.stdout
    assert re.search(r"A/A control: no difference|too noisy to judge", ended.stdout)
    picture = next((folder / "results/bench").glob("*.html"))
    assert str(picture.relative_to(folder)) in ended.stdout
    page = picture.read_text()
    assert page.count("<svg") >= 2 and "<script" not in page and "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["activatoin"], "unknown role or workload 'activatoin'; did you mean 'activation'?"),
        (["activation", "--device", "cpuu"], "unknown device 'cpuu'; did you mean 'cpu'?"),
        (["activation", "--only", "elments=5"], "unknown axis 'elments'; did you mean 'elements'?"),
        (["activation", "--only", "elements=5"], "no workload has the size elements=5"),
        (["activation", "--only", "method=nothing"], "nothing is left of activation/elements"),
        (["activation", "--only", "elements"], "AXIS=VALUE is needed"),
        (["activation", "--against", "softpls"], "unknown method 'softpls'; did you mean 'softplus'?"),
        (["activation", "--against", "infonce"], "unknown baseline for what is measured 'infonce'"),
        (["activation", "--size", "elements"], "DIMENSION=N is needed"),
        (["activation", "--size", "elements=0"], "with numbers above 0, such as batch=16384"),
        (["activation", "--size", "elments=5"], "unknown dimension 'elments'; did you mean 'elements'?"),
        (["activation", "--size", "elements=5", "--only", "elements=100000"], "give one of the two"),
        (["contrastive-loss", "--option", "temperature"], "NAME=VALUE is needed"),
        (["contrastive-loss", "--option", "temprature=1"], "'temprature'; did you mean 'temperature'?"),
        (["contrastive-loss", "--option", "temperature=warm"], "a value of type float is needed"),
        (["activation", "--dtype", "float23"], "unknown dtype 'float23'; did you mean 'float32'?"),
        (["activation", "--timeout", "soon"], "a length of time is needed"),
        (["activation", "-o", "."], "-o .: that is a folder; a file's name is needed"),
        (["activation", "-o", "."], "as bench.json"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["harness", "bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_one_axis_given_twice_takes_both_values():
    only = ("grades=2", "grades=6", "pairs=1024", "method=cosent", "method=cosine-mse")
    (comparison,) = comparisons(Selection(["matching/pairs"], only), REGISTRY)
    assert comparison.sizes == ({"pairs": 1024, "grades": 2}, {"pairs": 1024, "grades": 6})
    assert {m.name for m in comparison.methods} == {"cosent", "cosine-mse", "cosent-dense"}


def test_sizes_of_ones_own_stand_in_place_of_the_listed_ones_and_meet_those_of_other_dimensions():
    own = Selection(["matching/pairs"], sizes=["pairs=65536,512", "pairs=512"])
    (comparison,) = comparisons(own, REGISTRY)
    grades = REGISTRY.workloads["matching/pairs"].sizes["grades"]
    assert comparison.sizes == tuple({"pairs": n, "grades": g} for n in (512, 65536) for g in grades)
    others = comparisons(Selection(["matching/pairs", "activation"], sizes=["pairs=512"]), REGISTRY)
    listed = REGISTRY.workloads["activation/elements"].sizes["elements"]
    assert [s["elements"] for c in others if c.workload.role == "activation" for s in c.sizes] == list(listed)


def test_an_option_goes_to_the_methods_that_have_it_and_to_their_references(monkeypatch):
    temperature, batch = ["temperature=0.05"], ["batch=8"]
    both = Selection(["contrastive-loss", "activation"], sizes=batch, options=temperature)
    of_roles = {comparison.workload.role: comparison.options for comparison in comparisons(both, REGISTRY)}
    assert of_roles["activation"] == ()
    only = Selection(["contrastive-loss"], ["method=infonce"], sizes=batch, options=temperature)
    (comparison,) = comparisons(only, REGISTRY)
    seen = []

    def examine(family, *_, **__):
        seen.extend(method.create().temperature for method in (*family.methods, family.reference))
        return Examined({}, ())

    monkeypatch.setattr(measurements, "examine_family", examine)
    conditions = Conditions(
        workload=comparison.workload.name,
        size=tuple(comparison.sizes[0].items()),
        device="cpu",
        dtype="float32",
        threads=torch.get_num_threads(),
        options=comparison.options,
    )
    measurements.send_faults([].append, conditions, measurements.Check(("infonce",), "infonce-dense", False))
    assert seen == [0.05, 0.05]


@pytest.mark.slow
def test_forward_alone_asks_for_no_gradient_and_shows_none(tmp_path):
    (tmp_path / "sines.py").write_text(PLUGIN)
    only = ("--only", "method=no-slope", "--size", "n=1000", "--threads", "1")
    both = bench(tmp_path, "sine", "-p", "sines.py", *only)
    assert both.returncode == 1
    assert "wrong no-slope: gradient of input 0 is off" in both.stdout
    forward = bench(tmp_path, "sine", "-p", "sines.py", *only, "--forward", "-o", "forward.json")
    assert forward.returncode == 0, forward.stdout
    assert "both" not in forward.stdout and "matmul" not in forward.stdout
    (point,) = json.loads((tmp_path / "forward.json").read_text())["points"]
    rows = {row["method"]: row for row in point["rows"]}
    assert set(point["controls"]) == {"forward"}
    assert rows["no-slope"]["status"] == "timed"
    assert rows["no-slope"]["forward"]["seconds"] > 0
    assert "both" not in rows["no-slope"] and rows["plain"]["matmul_share"] is None
    pages = sorted((tmp_path / "results/bench").glob("*.html"))
    assert "forward and backward" not in pages[-1].read_text()


#: A plain form that overflows, and sums over paths whose scores are thousands.
KNOWN = {"softplus-naive": "large", "crf-bio": "huge scores"}


@pytest.mark.parametrize(
    ("workload", "method"),
    [(w.name, m.name) for w in REGISTRY.workloads.values() for m in REGISTRY.methods.values() if m.role == w.role],
)
# torch.compile warns of what torch itself does inside of it.
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_every_method_is_right_at_the_smallest_size_of_its_workload(workload, method):
    declared, inputs = REGISTRY.methods[method], REGISTRY.workloads[workload]
    reference = REGISTRY.methods[declared.reference or method]
    try:
        faults = examine(declared, inputs, smallest_size(inputs), torch.device("cpu"), torch.float32, 0, reference)
    except (ImportError, NotForThisWorkload) as error:
        pytest.skip(str(error))
    assert {f.inputs for f in faults if f.blocks} == ({KNOWN[method]} if method in KNOWN else set()), faults
