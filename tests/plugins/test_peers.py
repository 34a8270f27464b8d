"""Losses of other packages give what ours give; where a package is missing, the error says what to install."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from plugin_run import METHODS, REGISTRY
from torch import nn

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins import peers
from harness_plugins.peers.packages import import_from

PACKAGES = {
    "lightly-nt-xent": ("lightly", "lightly"),
    "pml-nt-xent": ("pytorch_metric_learning", "pytorch-metric-learning"),
    "sentence-transformers-cosent": ("sentence_transformers", "sentence-transformers"),
    "opacus-ghost-norms": ("opacus", "opacus"),
    "opacus-sample-gradients": ("opacus", "opacus"),
}
SIZES = {"batch": 12, "dimension": 8, "pairs": 40, "grades": 5}


def built(name):
    module, package = PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{package} is not installed")
    return METHODS[name].create()


def drawn(workload, seed=0):
    declared = REGISTRY.workloads[workload]
    size = {name: SIZES[name] for name in declared.sizes}
    return resolve(declared.inputs)(torch.Generator().manual_seed(seed), torch.device("cpu"), torch.float64, **size)


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        ("lightly-nt-xent", "contrastive/two-view-batch"),
        ("pml-nt-xent", "contrastive/two-view-batch"),
        ("sentence-transformers-cosent", "matching/pairs"),
    ],
)
def test_loss_and_gradient_are_those_of_the_method_it_names(name, workload):
    tensors = drawn(workload)
    variables = [tensor for tensor in tensors if tensor.requires_grad]
    reference = METHODS[METHODS[name].reference].create()
    value, expected = built(name)(*tensors), reference(*tensors)
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    for a, b in zip(torch.autograd.grad(value, variables), torch.autograd.grad(expected, variables), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


# Opacus 1.5.0 registers the hooks that torch deprecates.
@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("name", ["opacus-ghost-norms", "opacus-sample-gradients"])
def test_norms_are_those_of_whole_gradients_and_the_model_is_left_as_it_was(name):
    penalty = built(name)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, target = torch.randn(7, 6, dtype=torch.float64), torch.randint(3, (7,))
    loss = partial(F.cross_entropy, reduction="none")
    expected = METHODS["parameter-vmap"].create().norms(model, x, target, loss)
    for _ in range(2):
        norms = penalty.norms(model, x, target, loss)
        torch.testing.assert_close(norms.parameter, expected.parameter, rtol=1e-10, atol=0)
        torch.testing.assert_close(norms.input, expected.input, rtol=1e-10, atol=0)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert not any(hasattr(p, "grad_sample") or hasattr(p, "_norm_sample") for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())


def test_norms_that_cannot_be_differentiated_are_no_penalty():
    with pytest.raises(UsageError, match=r"\[7, 6\] cannot be differentiated"):
        built("opacus-ghost-norms")(nn.Linear(6, 1), torch.ones(7, 6), torch.ones(7), F.mse_loss)


@pytest.mark.slow
# The compiler uses what torch has itself deprecated.
@pytest.mark.filterwarnings("ignore")
def test_compiled_cross_entropy_is_the_plain_one():
    views = drawn("contrastive/two-view-batch")
    loss, plain = (METHODS[name].create() for name in ("infonce-cross-entropy-compiled", "infonce-cross-entropy"))
    torch.testing.assert_close(torch.autograd.grad(loss(*views), views), torch.autograd.grad(plain(*views), views))


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_error_on_a_missing_package_says_what_installs_it(name, monkeypatch):
    module, package = PACKAGES[name]
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    real = importlib.import_module

    def without(name, *rest):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=f"the package {package} is not installed: pip install {package}$"):
        METHODS[name].create()


def test_package_that_is_broken_is_not_called_missing(monkeypatch):
    def broken(_):
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ImportError, match=r"lightly is installed but cannot be imported: .*torchvision"):
        import_from("lightly.loss", "lightly")


def test_every_peer_names_the_method_whose_result_it_must_have():
    assert all(method.reference for method in peers.harness_methods())
    assert PACKAGES.keys() <= {method.name for method in peers.harness_methods()}


# Opacus 1.5.0 registers the hooks that torch deprecates.
@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("name", ["opacus-ghost-norms", "opacus-sample-gradients"])
def test_help_says_that_wrapping_the_model_is_timed_too(name):
    assert "wrapping the model" in METHODS[name].help
