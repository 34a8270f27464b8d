"""Label forms: what is timed makes the same step, and the suite speed decides the claim on it."""

from __future__ import annotations

import pytest
import torch
from plugin_run import METHODS, REGISTRY, make_run

from harness.errors import UsageError
from harness.files.claims import claims_of
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness_plugins.efficient_global_pointer import label_forms

CLAIM = "efficient_global_pointer/cost-eg12-sparse-step"


def test_the_suite_speed_decides_the_claim_on_the_sparse_form():
    suite = read_suite("speed", REGISTRY)
    needed = needed_cells(suite.claims[CLAIM], list(cells_of(suite, REGISTRY)))
    assert len(needed) == 5
    assert suite.claims[CLAIM].test.value == 1.0
    assert claims_of(REGISTRY).by_id["efficient_global_pointer/eg12-sparse-trains-faster"].untestable


def test_both_forms_train_the_same_scorer_and_the_ratio_is_of_their_times(monkeypatch):
    made, clock = [], [0.0]

    class Timed(label_forms.DenseEfficientGlobalPointer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

        def loss(self, *arguments):
            # The multi-hot form takes three times as long.
            clock[0] += 1.0 if self.form.sparse else 3.0
            return super().loss(*arguments)

    monkeypatch.setattr(label_forms, "DenseEfficientGlobalPointer", Timed)
    monkeypatch.setattr(label_forms, "_now", lambda device: clock[0])
    run = make_run("ner/label-forms", batch_size=2, kinds=3, length=8, steps=4)
    found = label_forms.training_step(METHODS["zlpr-sparse-published"].create(), run)
    assert found == {"steps_per_second": 1.0, "times_multi_hot": 3.0}
    for mine, theirs in zip(*(head.parameters() for head in made), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_a_loss_of_another_kind_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="forms of the loss"):
        label_forms.training_step(torch.nn.BCEWithLogitsLoss(), make_run("ner/label-forms"))
