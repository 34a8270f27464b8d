"""Every rule for plugins notices the fault that it is about, in a plugin that otherwise keeps them all."""

from __future__ import annotations

import itertools
import sys

import pytest

from harness.errors import UnknownName, UsageError
from harness_plugins.authors import running
from harness_plugins.authors.checks import all_checks, conformance, loaded, subject_of
from harness_plugins.authors.new import rendered

NUMBERS = itertools.count()
INIT, LOSS, TASK, CLAIMS, SUITE = "__init__.py", "loss.py", "task.py", "claims.toml", "{name}.toml"
RETURN = "return -(rest**self.gamma * log_p).mean()"

#: Check, file, what stands in the template, what is put there instead, and what the problem says.
FAULTS = [
    ("hooks", INIT, "@hookimpl\ndef harness_tasks", "def harness_metods():\n    pass\n\n\n@hookimpl\ndef harness_tasks",
     "harness_metods is no hook"),
    ("light-import", INIT, "from pathlib import Path", "from pathlib import Path\n\nimport torch", "numpy, torch"),
    ("light-import", INIT, "from pathlib import Path", "from pathlib import Path\nsum(x for x in range(30_000_000))",
     "s of the processor"),
    ("quiet-import", INIT, "from pathlib import Path", "from pathlib import Path\nprint('welcome')", "'welcome'"),
    ("names", INIT, 'name="{method}"', 'name="{method}_V2"', "method '{method}_V2'"),
    ("names", INIT, 'name="{name}/digits"', 'name="digits-{name}"', "task 'digits-{name}'"),
    ("names", CLAIMS, 'id = "{name}/better', 'id = "mine/better', "claim 'mine/better-calibrated'"),
    ("metadata", INIT, 'help="focal loss: cross-entropy times (1 - p)^gamma"', 'help=""',
     "method {method} has no help"),
    ("metadata", INIT, 'url="https://arxiv.org/abs/1708.02002"', 'url="1708.02002"', "Paper(title="),
    ("metadata", INIT, '"higher", "fraction",', '"higher", "",', "metric accuracy has no unit"),
    ("metadata", INIT, "test images whose most probable class is the right one", "", "metric accuracy has no help"),
    ("options", INIT, "how much less a row counts that is right already", "", "option gamma has no help"),
    ("options", INIT, '"gamma": Option', '"gama": Option', "does not take its options"),
    ("addresses", INIT, "loss:FocalLoss", "loss:Focal", "has no attribute 'Focal'"),
    ("addresses", INIT, "workload:sure", "workloads:sure", "No module named '{name}.workloads'"),
    ("roles", INIT, 'datasets=("digits",)', 'datasets=("digit",)', "unknown data set 'digit'; did you mean 'digits'"),
    ("roles", INIT, 'role="classification-loss",\n            run', 'role="classifier",\n            run',
     "no method has the role 'classifier'"),
    ("files", CLAIMS, 'kind = "greater"', 'kind = "grater"', "'grater': not allowed; did you mean 'greater'"),
    ("files", SUITE, "seeds = 5", "sedes = 5", "unknown key 'cross[0].sedes'; did you mean 'seeds'"),
    ("claims", CLAIMS, 'metric = "accuracy"', 'metric = "acuracy"', "'acuracy'; did you mean 'accuracy'"),
    ("claims", CLAIMS, 'than = "cross-entropy", by', 'than = "infonce", by', "infonce has the role contrastive-loss"),
    ("claims", CLAIMS, "tol = 0.01", "tol = 0.01, where = { epoch = 3 }", "'epoch'; did you mean 'epochs'"),
    ("claims", CLAIMS, "tol = 0.01", 'tol = 0.01, where = { dtype = "double" }', "where.dtype = 'double'"),
    ("claims", CLAIMS, "tol = 0.01", "tol = 0.01, where = { epochs = 0 }", "at least 1 is needed"),
    ("decided", SUITE, ', "cross-entropy"]', "]", "better-calibrated: no suite that names it has its cells"),
    ("decided", SUITE, "seeds = 5", "seeds = 2", "fewer than 3 seeds"),
    ("decided", CLAIMS, "by = 0.005", "by = 0.005, seeds = 1", "nothing in it depends on chance (seeds = 1), but"),
    ("decided", SUITE, '"{name}/*"', '"{name}/no-*"', "claim {name}/better-calibrated: no suite names it"),
    ("decided", SUITE, '["{method}"', '["{method}s"', "unknown method '{method}s'; did you mean"),
    ("builds", LOSS, "        self.gamma = gamma", "        assert gamma < 5\n        self.gamma = gamma",
     "cannot be built with gamma = 10.0: AssertionError"),
    ("protocol", LOSS, RETURN, RETURN.replace(".mean()", ""),
     "gives float32 [6]; a floating scalar tensor is promised"),
    ("protocol", LOSS, RETURN, RETURN.replace("log_p)", "log_p / 0)"), "which is not finite"),
    ("gradient", LOSS, RETURN, RETURN.replace("rest**", "rest.detach()**"), "its gradient says"),
    ("reference", INIT, 'help="focal', 'reference="cross-entropy", help="focal', "is off by"),
    ("reference", LOSS, "F.log_softmax(logits, dim=1)", "logits.softmax(dim=1).log()",
     "sure inputs: value is not finite"),
    ("reference", "workload.py", "return loss(logits, target)", "return (loss(logits, target) + 1e6) - 1e6",
     "; so is the baseline's, cross-entropy: value is off by"),
    ("deterministic", LOSS, RETURN, RETURN + " + torch.rand((), generator=G)", "another result the second time"),
    ("global-state", LOSS, RETURN, "return F.dropout(-(rest**self.gamma * log_p), 0.0).mean() + 0 * torch.rand(())",
     "the global generator of torch"),
    ("inputs-kept", LOSS, RETURN, "logits.data.mul_(1.5)\n        " + RETURN, "changes its inputs"),
    ("edges", LOSS, " or len(logits) == 0", "", "no row: gives nan, which is not finite"),
    ("edges", LOSS, RETURN, "if len(log_p) == 1:\n            raise RuntimeError('one')\n"
     "        " + RETURN, "one row: raises RuntimeError: one"),
    ("edges", LOSS, "F.log_softmax(logits, dim=1)", "F.log_softmax(logits.view(-1).view(logits.shape), dim=1)",
     "not contiguous: raises RuntimeError"),
    ("edges", LOSS, RETURN, "if not logits.is_contiguous():\n            return 2 * -log_p.mean()\n        " + RETURN,
     "gives another result than for the same numbers without"),
    ("edges", LOSS, RETURN, "assert logits.dtype != torch.float16\n        " + RETURN,
     "float16: raises AssertionError"),
    ("tasks", TASK, '"accuracy": right.mean().item(), ', "", "did not return the metric it promises: accuracy"),
    ("tasks", TASK, "return scores",
     "import os\n\n    return {'calibration_error': os.urandom(1)[0], 'accuracy': 0.5} or scores",
     "other metrics the second time"),
    ("tasks", TASK, "    with torch.no_grad():", "    while True:\n        pass\n    with torch.no_grad():",
     "timeout: "),
]  # fmt: skip


def filled(text: str, name: str) -> str:
    return text.replace("{name}", name).replace("{method}", name.replace("_", "-"))


@pytest.fixture
def planted(tmp_path):
    """Write a plugin from the template, with one passage of one file replaced, and give its subject."""
    made = []

    def plant(file: str = "", old: str = "", new: str = ""):
        name = f"planted_{next(NUMBERS)}"
        made.append(name)
        file, old, new = (filled(text, name) for text in (file, old, new))
        for path, text in rendered(name).items():
            if path.startswith(f"{name}/"):
                if path == f"{name}/{file}":
                    assert old in text, "the template no longer has what is to be replaced"
                    text = text.replace(old, new)
                if path.endswith("loss.py"):
                    text = text.replace("\n\nclass", "\n\nG = torch.Generator()\nG.seed()\n\n\nclass", 1)
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(text)
        return subject_of(*loaded(str(tmp_path / name))), name

    yield plant
    for name in [n for n in sys.modules if n.partition(".")[0] in made]:
        del sys.modules[name]


@pytest.mark.parametrize(("check", "file", "old", "new", "told"), FAULTS)
def test_a_planted_fault_is_found_and_told_with_what_to_do(planted, monkeypatch, check, file, old, new, told):
    monkeypatch.setattr(running, "LIMIT", 2.0)
    subject, name = planted(file, old, new)
    (outcome,) = conformance(subject, [check])
    assert outcome.state == "does not hold"
    assert any(filled(told, name) in problem.found for problem in outcome.problems), outcome.problems
    assert all(problem.advice for problem in outcome.problems)


def test_every_check_has_a_planted_fault():
    assert {check.name for check in all_checks()} == {fault[0] for fault in FAULTS}


def test_a_plugin_without_a_fault_keeps_every_rule(planted):
    outcomes = conformance(planted()[0])
    assert [(o.check, o.problems, o.notes) for o in outcomes if o.state != "holds"] == []


def test_an_excepted_method_is_told_with_its_reason_and_one_that_needs_no_exception_is_a_problem(planted):
    subject, name = planted(LOSS, "        self.gamma = gamma", "        assert gamma < 5\n        self.gamma = gamma")
    method = name.replace("_", "-")
    sys.modules[name].HARNESS_EXCEPTIONS = {"builds": {method: "on purpose"}, "edges": {method: "for fun"}}
    builds, edges = conformance(subject, ["builds", "edges"])
    assert (builds.state, builds.notes) == ("holds", (f"{method} is excepted: on purpose",))
    assert edges.problems[0].found == f"{method} is excepted from edges, and keeps it"


def test_a_role_that_nobody_knows_is_told_as_such(planted):
    role = 'role="classification-loss",  #', 'role="strange-role",  #'
    (outcome,) = conformance(planted(INIT, *role)[0], ["protocol"])
    assert outcome.state == "holds"
    assert outcome.notes[0].startswith("the role strange-role is not known and has no workload")


def test_a_check_that_stumbles_is_a_problem_and_no_crash(planted):
    subject, _ = planted(INIT, 'sizes={"rows": [128, 8192], "classes": [10]}', 'sizes={"rows": [128]}')
    (outcome,) = conformance(subject, ["reference"])
    assert "classes" in outcome.problems[0].found


def test_what_cannot_be_loaded_ends_in_one_sentence(tmp_path):
    (tmp_path / "broken_one.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match="cannot be used: ZeroDivisionError"):
        loaded(str(tmp_path / "broken_one.py"))
    with pytest.raises(UnknownName, match="did you mean 'flatnce'"):
        loaded("flatnse")
    with pytest.raises(UnknownName, match="did you mean 'tasks'"):
        conformance(subject_of(*loaded("images")), ["task"])


@pytest.mark.parametrize("given", ["images", "harness_plugins.images"])
def test_an_installed_plugin_goes_by_its_name_and_its_module(given):
    registry, name = loaded(given)
    assert name == "images"
    assert registry.extra == ()
