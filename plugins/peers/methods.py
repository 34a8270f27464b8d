"""The methods; each names the method of ours whose result it must have."""

from __future__ import annotations

from harness.spec import Method, Option

_HERE = "harness_plugins.peers"
_CONTRASTIVE_OPTIONS = {"temperature": Option(0.1, "divides the cosines", low=1e-3, high=100)}
_PENALTY_OPTIONS = {"weight": Option(0.01, "multiplies the penalty", low=0.0)}

METHODS = (
    Method(
        name="lightly-nt-xent",
        role="contrastive-loss",
        build=f"{_HERE}.contrastive:lightly_nt_xent",
        options=_CONTRASTIVE_OPTIONS,
        reference="infonce-dense",
        help="lightly's NT-Xent",
    ),
    Method(
        name="pml-nt-xent",
        role="contrastive-loss",
        build=f"{_HERE}.contrastive:metric_learning_nt_xent",
        options=_CONTRASTIVE_OPTIONS,
        reference="infonce-dense",
        help="pytorch-metric-learning's NT-Xent, cubic in the batch",
    ),
    Method(
        name="infonce-cross-entropy-compiled",
        role="contrastive-loss",
        build=f"{_HERE}.contrastive:compiled_cross_entropy",
        options=_CONTRASTIVE_OPTIONS,
        reference="infonce-dense",
        help="softmax cross-entropy of all scores through torch.compile, whose first call takes long",
    ),
    Method(
        name="sentence-transformers-cosent",
        role="pair-ranking-loss",
        build=f"{_HERE}.ranking:sentence_transformers_cosent",
        options={"scale": Option(20.0, "multiplies the cosines", low=1e-3, high=1e6)},
        reference="cosent-dense",
        help="sentence-transformers' CoSENT loss: all pairs before 6.2, sorted labels since",
    ),
    Method(
        name="opacus-ghost-norms",
        role="gradient-penalty",
        build=f"{_HERE}.penalties:GhostNorms",
        options=_PENALTY_OPTIONS,
        reference="parameter-vmap",
        help="opacus' norms of each sample's gradient without these; not differentiable; with wrapping the model",
    ),
    Method(
        name="opacus-sample-gradients",
        role="gradient-penalty",
        build=f"{_HERE}.penalties:SampleGradients",
        options=_PENALTY_OPTIONS,
        reference="parameter-vmap",
        help="norms of each sample's whole gradient as opacus has it; not differentiable; with wrapping the model",
    ),
)
