"""Every check reports the fault that it is about, in a plugin that passes all other checks."""

from __future__ import annotations

import itertools
import sys

import pytest

from harness.errors import UnknownName, UsageError
from harness_plugins.authors import running
from harness_plugins.authors.checks import all_checks, load_plugin, run_checks, subject_of
from harness_plugins.authors.new import rendered

NUMBERS = itertools.count()
INIT, LOSS, TRAINING, CLAIMS, SUITE = "__init__.py", "loss.py", "training.py", "claims.toml", "{name}.toml"
METHODS, TASKS, WORKLOADS, LOGITS = "methods.py", "tasks.py", "workloads.py", "logits.py"
TIMEOUT = "timeout: timed out after 2 s"
RETURN = "return -(rest**self.gamma * log_p).mean()"

#: Check, file, a passage of the template, its replacement, and a part of the problem's message.
FAULTS = [
    ("hooks", INIT, "@hookimpl\ndef harness_tasks", "def harness_metods():\n    pass\n\n\n@hookimpl\ndef harness_tasks",
     "harness_metods is not a hook"),
    ("light-import", INIT, "from pathlib import Path", "from pathlib import Path\n\nimport torch", "numpy, torch"),
    ("light-import", INIT, "from pathlib import Path", "from pathlib import Path\nsum(x for x in range(30_000_000))",
     "s of processor time"),
    ("quiet-import", INIT, "from pathlib import Path", "from pathlib import Path\nprint('welcome')", "'welcome'"),
    ("names", METHODS, 'name="{method}"', 'name="{method}_V2"', "method '{method}_V2'"),
    ("names", TASKS, 'name="{name}/digits"', 'name="digits-{name}"', "task 'digits-{name}'"),
    ("names", CLAIMS, 'id = "{name}/better', 'id = "mine/better', "claim 'mine/better-calibrated'"),
    ("metadata", METHODS, 'help="focal loss: cross-entropy times (1 - p)^gamma"', 'help=""',
     "method {method} has no help"),
    ("metadata", METHODS, 'url="https://arxiv.org/abs/1708.02002"', 'url="1708.02002"', "Paper(title="),
    ("metadata", TASKS, '"higher", "fraction",', '"higher", "",', "metric accuracy has no unit"),
    ("metadata", TASKS, "test images whose most probable class is right", "", "metric accuracy has no help"),
    ("options", METHODS, "reduces the weight of rows that are already right", "", "option gamma has no help"),
    ("options", METHODS, '"gamma": Option', '"gama": Option', "does not take its options"),
    ("addresses", METHODS, "loss:FocalLoss", "loss:Focal", "has no attribute 'Focal'"),
    ("addresses", WORKLOADS, "logits:sure", "logit:sure", "No module named '{name}.logit'"),
    ("roles", TASKS, 'datasets=("digits",)', 'datasets=("digit",)', "unknown data set 'digit'; did you mean 'digits'"),
    ("roles", TASKS, 'role="classification-loss"', 'role="classification"',
     "no method has the role 'classification'; did you mean 'classification-loss'"),
    ("roles", METHODS, 'role="classification-loss"', 'role="classification"',
     "no task and no workload has the role 'classification'; did you mean 'classification-loss'"),
    ("files", CLAIMS, 'kind = "greater"', 'kind = "grater"', "'grater': not allowed; did you mean 'greater'"),
    ("files", SUITE, "seeds = 5", "sedes = 5", "unknown key 'cross[0].sedes'; did you mean 'seeds'"),
    ("claims", CLAIMS, 'metric = "accuracy"', 'metric = "acuracy"', "'acuracy'; did you mean 'accuracy'"),
    ("claims", CLAIMS, 'than = "cross-entropy", by', 'than = "infonce", by', "infonce has the role contrastive-loss"),
    ("claims", CLAIMS, "tol = 0.01", "tol = 0.01, where = { epoch = 3 }", "'epoch'; did you mean 'epochs'"),
    ("claims", CLAIMS, "tol = 0.01", 'tol = 0.01, where = { dtype = "double" }', "where.dtype = 'double'"),
    ("claims", CLAIMS, "tol = 0.01", "tol = 0.01, where = { epochs = 0 }", "at least 1 is needed"),
    ("decided", SUITE, ', "cross-entropy"]', "]", "better-calibrated: no suite that names it has its cells"),
    ("decided", SUITE, "seeds = 5", "seeds = 2", "its cells have 2 seeds, and the first look is at 5"),
    ("claims", CLAIMS, 'method = "cross-entropy", value', 'method = "entropy", value',
     "check {name}/baseline-learns: unknown method 'entropy'"),
    ("grounded", CLAIMS, "inherited = true\n", "", "better-calibrated: it rests on no check"),
    ("no-chance", TASKS, "most probable class is right\"", "most probable class is right\", deterministic=True",
     "accuracy is declared deterministic, but is"),
    ("decided", SUITE, '"{name}/*"', '"{name}/no-*"', "claim {name}/better-calibrated: no suite names it"),
    ("decided", SUITE, '["{method}"', '["{method}s"', "unknown method '{method}s'; did you mean"),
    ("builds", LOSS, "        self.gamma = gamma", "        assert gamma < 5\n        self.gamma = gamma",
     "cannot be built with gamma = 10.0: AssertionError"),
    ("protocol", LOSS, RETURN, RETURN.replace(".mean()", ""),
     "returns float32 [6]; a floating scalar tensor is expected"),
    ("protocol", LOSS, RETURN, RETURN.replace("log_p)", "log_p / 0)"), "which is not finite"),
    ("gradient", LOSS, RETURN, RETURN.replace("rest**", "rest.detach()**"),
     "its gradient is not the derivative of its value: Jacobian mismatch"),
    ("reference", METHODS, 'help="focal', 'reference="cross-entropy", help="focal', "is off by"),
    ("reference", LOSS, "F.log_softmax(logits, dim=1)", "logits.softmax(dim=1).log()",
     "sure inputs: value is not finite"),
    ("reference", LOGITS, "return loss(logits, target)", "return (loss(logits, target) + 1e6) - 1e6",
     "; the same holds for the baseline cross-entropy: value is off by"),
    ("deterministic", LOSS, RETURN, RETURN + " + torch.rand((), generator=G)", "another result the second time"),
    ("global-state", LOSS, RETURN, "return F.dropout(-(rest**self.gamma * log_p), 0.0).mean() + 0 * torch.rand(())",
     "the global generator of torch"),
    ("inputs-kept", LOSS, RETURN, "logits.data.mul_(1.5)\n        " + RETURN, "changes its inputs"),
    ("edges", LOSS, " or len(logits) == 0", "", "no row: returns nan, which is not finite"),
    ("edges", LOSS, RETURN, "if len(log_p) == 1:\n            raise RuntimeError('one')\n"
     "        " + RETURN, "one row: raises RuntimeError: one"),
    ("edges", LOSS, "F.log_softmax(logits, dim=1)", "F.log_softmax(logits.view(-1).view(logits.shape), dim=1)",
     "not contiguous: raises RuntimeError"),
    ("edges", LOSS, RETURN, "if not logits.is_contiguous():\n            return 2 * -log_p.mean()\n        " + RETURN,
     "gives another result than for the same numbers laid out contiguously"),
    ("edges", LOSS, RETURN, "assert logits.dtype != torch.float16\n        " + RETURN,
     "float16: raises AssertionError"),
    ("tasks", TRAINING, '"accuracy": right.mean().item(), ', "", "did not return the metric it promises: accuracy"),
    ("tasks", TRAINING, "return scores",
     "import os\n\n    return {'calibration_error': os.urandom(1)[0], 'accuracy': 0.5} or scores",
     "other metrics the second time"),
    ("tasks", TRAINING, "    with torch.no_grad():", "    while True:\n        pass\n    with torch.no_grad():",
     TIMEOUT),
]  # fmt: skip


def filled(text: str, name: str) -> str:
    return text.replace("{name}", name).replace("{method}", name.replace("_", "-"))


@pytest.fixture
def planted(tmp_path):
    """Write the template's plugin with one passage of one file replaced, and load it."""
    names = []

    def plant(file: str = "", old: str = "", new: str = ""):
        name = f"planted_{next(NUMBERS)}"
        names.append(name)
        file, old, new = (filled(text, name) for text in (file, old, new))
        for path, text in rendered(name).items():
            if path.startswith(f"{name}/"):
                if path == f"{name}/{file}":
                    assert old in text, "the template no longer has this passage"
                    text = text.replace(old, new)
                if path.endswith("loss.py"):
                    text = text.replace("\n\nclass", "\n\nG = torch.Generator()\nG.seed()\n\n\nclass", 1)
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(text)
        return subject_of(*load_plugin(str(tmp_path / name))), name

    yield plant
    for name in [n for n in sys.modules if n.partition(".")[0] in names]:
        del sys.modules[name]


def parameters(fault):
    """A fault that shows only when tasks run is slow; one of them, the time-out, is planted in the ordinary run too."""
    runs_tasks = fault[0] in ("tasks", "no-chance") and fault[-1] != TIMEOUT
    return pytest.param(*fault, marks=pytest.mark.slow if runs_tasks else ())


@pytest.mark.parametrize(("check", "file", "old", "new", "message"), list(map(parameters, FAULTS)))
def test_a_planted_fault_is_reported_with_advice(planted, monkeypatch, check, file, old, new, message):
    if message == TIMEOUT:
        monkeypatch.setattr(running, "LIMIT", 2.0)
    subject, name = planted(file, old, new)
    (outcome,) = run_checks(subject, [check])
    assert outcome.state == "does not hold"
    assert any(filled(message, name) in problem.message for problem in outcome.problems), outcome.problems
    assert all(problem.advice for problem in outcome.problems)


def test_every_check_has_a_planted_fault():
    assert {check.name for check in all_checks()} == {fault[0] for fault in FAULTS}


@pytest.mark.slow
def test_a_plugin_without_a_fault_passes_every_check(planted):
    outcomes = run_checks(planted()[0])
    assert [(o.check, o.problems, o.notes) for o in outcomes if o.state != "holds"] == [("no-chance", (), ())], (
        "it declares no metric deterministic"
    )


def test_an_excepted_method_is_noted_with_its_reason_and_a_needless_exception_is_a_problem(planted):
    subject, name = planted(LOSS, "        self.gamma = gamma", "        assert gamma < 5\n        self.gamma = gamma")
    method = name.replace("_", "-")
    sys.modules[name].HARNESS_EXCEPTIONS = {"builds": {method: "on purpose"}, "edges": {method: "for fun"}}
    builds, edges = run_checks(subject, ["builds", "edges"])
    assert (builds.state, builds.notes) == ("holds", (f"{method} is excepted: on purpose",))
    assert edges.problems[0].message == f"{method} is excepted from edges, but passes it"


def test_methods_of_a_role_that_nobody_registers_are_noted_as_not_called(planted):
    role = 'role="classification-loss",  #', 'role="strange-role",  #'
    (outcome,) = run_checks(planted(METHODS, *role)[0], ["protocol"])
    assert outcome.state == "holds"
    assert outcome.notes[0].startswith("no plugin registers the role strange-role or a workload of it")


def test_a_check_that_fails_itself_is_a_problem_and_no_crash(planted):
    subject, _ = planted(WORKLOADS, 'sizes={"rows": [128, 8192], "classes": [10]}', 'sizes={"rows": [128]}')
    (outcome,) = run_checks(subject, ["reference"])
    assert "classes" in outcome.problems[0].message


def test_a_plugin_that_cannot_be_loaded_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "broken_one.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match="cannot be used: ZeroDivisionError"):
        load_plugin(str(tmp_path / "broken_one.py"))
    with pytest.raises(UnknownName, match="did you mean 'flatnce'"):
        load_plugin("flatnse")
    with pytest.raises(UnknownName, match="did you mean 'tasks'"):
        run_checks(subject_of(*load_plugin("images")), ["task"])


@pytest.mark.parametrize("plugin", ["images", "harness_plugins.images"])
def test_an_installed_plugin_goes_by_its_name_and_its_module(plugin):
    registry, name = load_plugin(plugin)
    assert name == "images"
    assert registry.extra == ()
