"""The same techniques as other packages and torch's compiler have them, as methods to compare with: ``harness bench``.

The packages are no part of the harness (``pip install "harness[peers]"`` brings them); a method whose package is not
installed says so when it is built. Tasks that look below a loss's scores cannot run these methods.
"""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Method, Option

_HERE = "harness_plugins.peers"
_TEMPERATURE = {"temperature": Option(0.1, "divides the cosines", low=1e-3, high=100)}
_SCALE = {"scale": Option(20.0, "multiplies the cosines", low=1e-3, high=1e6)}
_WEIGHT = {"weight": Option(0.01, "multiplies the penalty", low=0.0)}


@hookimpl
def harness_methods() -> list[Method]:
    """Losses and gradient norms; each names our method of the same function that its result must have."""
    contrastive, pairs, penalty = "contrastive-loss", "pair-ranking-loss", "gradient-penalty"
    told = [
        (
            "lightly-nt-xent",
            contrastive,
            "contrastive:lightly_nt_xent",
            _TEMPERATURE,
            "infonce-dense",
            "lightly's NT-Xent",
        ),
        (
            "pml-nt-xent",
            contrastive,
            "contrastive:metric_learning_nt_xent",
            _TEMPERATURE,
            "infonce-dense",
            "pytorch-metric-learning's NT-Xent, cubic in the batch",
        ),
        (
            "infonce-cross-entropy-compiled",
            contrastive,
            "contrastive:compiled_cross_entropy",
            _TEMPERATURE,
            "infonce-dense",
            "softmax cross-entropy of all scores through torch.compile, whose first call takes long",
        ),
        (
            "sentence-transformers-cosent",
            pairs,
            "ranking:sentence_transformers_cosent",
            _SCALE,
            "cosent-dense",
            "sentence-transformers' CoSENT loss: all pairs before 6.2, sorted labels since",
        ),
        (
            "opacus-ghost-norms",
            penalty,
            "penalties:GhostNorms",
            _WEIGHT,
            "parameter-vmap",
            "opacus' norms of each sample's gradient without these; not differentiable; with wrapping the model",
        ),
        (
            "opacus-sample-gradients",
            penalty,
            "penalties:SampleGradients",
            _WEIGHT,
            "parameter-vmap",
            "norms of each sample's whole gradient as opacus has it; not differentiable; with wrapping the model",
        ),
    ]
    return [
        Method(name=name, role=role, build=f"{_HERE}.{address}", options=options, reference=reference, help=text)
        for name, role, address, options, reference, text in told
    ]
