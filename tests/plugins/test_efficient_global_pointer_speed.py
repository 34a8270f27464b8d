"""The timed tasks: work is timed in turns, both sides do the same, and the suite speed decides the claim on it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from plugin_run import METHODS, REGISTRY, TASKS, make_run

from harness.errors import UsageError
from harness.files.claims import claims_of
from harness.files.suite import read_suite
from harness.judge import needed_cells
from harness.planning.cross import cells_of
from harness.spec import resolve
from harness_plugins.efficient_global_pointer import label_forms, turns

CLAIM = "efficient_global_pointer/cost-eg12-sparse-step"


def test_the_suite_speed_decides_the_claim_on_the_sparse_form():
    suite = read_suite("speed", REGISTRY)
    needed = needed_cells(suite.claims[CLAIM], list(cells_of(suite, REGISTRY)))
    assert len(needed) == 5
    assert suite.claims[CLAIM].test.value == 1.0
    assert claims_of(REGISTRY).by_id["efficient_global_pointer/eg12-sparse-trains-faster"].untestable


def test_both_forms_train_the_same_scorer_and_the_ratio_is_of_their_times(monkeypatch):
    heads, clock = [], [0.0]

    class Timed(label_forms.DenseEfficientGlobalPointer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            heads.append(self)

        def loss(self, *arguments):
            # The multi-hot form takes three times as long.
            clock[0] += 1.0 if self.form.sparse else 3.0
            return super().loss(*arguments)

    monkeypatch.setattr(label_forms, "DenseEfficientGlobalPointer", Timed)
    monkeypatch.setattr(turns, "_now", lambda device: clock[0])
    run = make_run("ner/label-forms", batch_size=2, kinds=3, length=8, steps=4)
    metrics = label_forms.training_step(METHODS["zlpr-sparse-published"].create(), run)
    assert metrics == {"steps_per_second": 1.0, "times_multi_hot": 3.0}
    for sparse, multi_hot in zip(*(head.parameters() for head in heads), strict=True):
        torch.testing.assert_close(sparse, multi_hot, rtol=1e-3, atol=1e-5)


def test_a_loss_of_another_kind_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="forms of the loss"):
        label_forms.training_step(torch.nn.BCEWithLogitsLoss(), make_run("ner/label-forms"))


def test_throughput_gives_speeds_and_their_ratio_to_a_crf():
    quick = {"dimension": 16, "layers": 1, "batch_size": 4, "block_batches": 2, "blocks": 5}
    metrics = resolve(TASKS["ner/throughput"].run)(METHODS["crf-bio"].create(), make_run("ner/throughput", **quick))
    assert metrics.keys() == TASKS["ner/throughput"].metrics.keys()
    assert min(metrics.values()) > 0


def test_turns_alternate_who_goes_first_and_the_first_turn_does_not_count(monkeypatch):
    calls, clock, progress = [], [0.0], []

    def work(name, seconds):
        calls.append(name)
        # The first turn is slow.
        clock[0] += seconds + (100.0 if len(calls) <= 2 else 0.0)

    monkeypatch.setattr(turns, "_now", lambda device: clock[0])
    pair = partial(work, "a", 2.0), partial(work, "b", 3.0)
    seconds = turns.time_in_turns(pair, 3, torch.device("cpu"), lambda done, of: progress.append((done, of)))
    assert "".join(calls) == "baabbaab"
    assert (seconds.work, seconds.rival) == ([2.0] * 3, [3.0] * 3)
    assert (seconds.median, seconds.speedup) == (2.0, 1.5)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
