"""The roles that multi-label losses and span scorers fill."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.efficient_global_pointer.role_inputs"

ROLES = (
    Role(
        name="multilabel-loss",
        help="the mean loss of rows with several labels each; target bool or 0 and 1; a logit of -inf is no label",
        signature="loss(logits [N, C], target [N, C]) -> scalar",
        inputs=f"{_HERE}:logits_and_labels",
    ),
    Role(
        name="span-scorer",
        help="a module that scores spans of tokens; mask bool; spans are rows (text, type, start, end), end inclusive",
        signature="scorer(hidden [B, L, D], mask [B, L]) -> logits [B, T, L, L]; "
        "scorer.loss(hidden, mask, spans [M, 4]) -> scalar",
        inputs=f"{_HERE}:texts_and_spans",
        call=f"{_HERE}:logits_and_loss",
        returns=f"{_HERE}:problem_of_scores",
        any_rows=False,  # the loss is a mean over texts, of which there must be one
    ),
)
