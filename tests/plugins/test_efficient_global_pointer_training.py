"""Training on random corpora: batches, predictions, the best epoch, and what scorers share under one seed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness.errors import UsageError
from harness.spec import resolve
from harness_plugins.efficient_global_pointer import training
from harness_plugins.efficient_global_pointer.corpus import Corpus, Entity, Sentence
from harness_plugins.efficient_global_pointer.model import EntityModel, read_batch
from harness_plugins.efficient_global_pointer.prediction import predict, predict_with_candidates, tune_threshold
from harness_plugins.encoders.encoder import make_encoder
from harness_plugins.encoders.scratch import Architecture

QUICK = {"dimension": 32, "layers": 1, "epochs": 2}


def run(task, method, seed=0, dtype="float32", **options):
    task_run = make_run(task, seed=seed, dtype=dtype, **options)
    return resolve(TASKS[task].run)(METHODS[method].create(), task_run), task_run


@pytest.mark.parametrize("method", ["efficient-global-pointer", "global-pointer", "crf-bio"])
def test_training_learns_gives_every_metric_and_repeats_to_the_bit(method):
    metrics, task_run = run("ner/expressions", method, expressions=120, **QUICK, learning_rate=0.01)
    again, _ = run("ner/expressions", method, expressions=120, **QUICK, learning_rate=0.01)
    assert metrics.keys() == TASKS["ner/expressions"].metrics.keys()
    assert metrics == again
    assert metrics["valid_f1"] > 0.02
    losses = [value for _, value in task_run.curves["loss"]]
    # An epoch has eight batches, whose losses depend on the length of their sentences.
    assert np.mean(losses[8:]) < np.mean(losses[:8])
    assert metrics["threshold_gain"] == metrics["tuned_f1"] - metrics["f1"]
    if method == "crf-bio":
        assert (metrics["threshold"], metrics["threshold_gain"], metrics["nested_precision"]) == (0, 0, 0)
    else:
        assert metrics["nested_recall"] > 0


def test_scorers_share_encoder_order_and_dropout_under_one_seed(monkeypatch):
    weights, states, texts = [], [], []

    def recording(model, rows, corpus, run, generators, fit=training.fit):
        weights.append(torch.cat([p.detach().flatten() for p in model.encoder.parameters()]))
        states.append((generators.order.get_state().tolist(), generators.dropout.get_state().tolist()))
        texts.append([row.text for row in rows])
        return fit(model, rows, corpus, run, generators)

    monkeypatch.setattr(training, "fit", recording)
    for method in ("efficient-global-pointer", "global-pointer"):
        run("ner/expressions", method, expressions=40, **QUICK, train_rows=30)
    assert torch.equal(*weights)
    assert states[0] == states[1]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 30


def test_the_epoch_that_is_best_on_the_validation_split_is_tested(monkeypatch):
    f1_of_epochs = iter([0.2, 0.6, 0.4])
    snapshots = []

    def snapshot(model):
        snapshots.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))

    def staged(model, rows, types):  # noqa: ARG001  the signature of predict
        """As many of the entities as give the F1 of the epoch."""
        snapshot(model)
        f1 = next(f1_of_epochs)
        gold = [set(row.entities) for row in rows]
        predicted = round(f1 * sum(map(len, gold)) / (2 - f1))
        number = itertools.count()
        return [{entity for entity in row if next(number) < predicted} for row in gold]

    def recording(model, rows, types):
        snapshot(model)
        return predict_with_candidates(model, rows, types)

    monkeypatch.setattr(training, "predict", staged)
    monkeypatch.setattr(training, "predict_with_candidates", recording)
    metrics, _ = run("ner/expressions", "efficient-global-pointer", expressions=40, **(QUICK | {"epochs": 3}))
    assert metrics["best_epoch"] == 2
    assert torch.equal(snapshots[1], snapshots[3])
    assert torch.equal(snapshots[1], snapshots[4])
    assert not torch.equal(snapshots[2], snapshots[3])


def test_entities_become_spans_if_they_begin_and_end_with_a_token():
    rows = [
        Sentence("Ada99 won", (Entity(0, 4, "x"), Entity(0, 2, "x"), Entity(6, 8, "y"))),
        Sentence("  ", ()),
        Sentence("a b c d e f", (Entity(0, 0, "y"), Entity(8, 10, "x"))),
    ]
    encoder = make_encoder(
        "char-cnn", [row.text for row in rows], torch.Generator(), Architecture(dimension=8, max_length=5)
    )
    batch = read_batch(rows, encoder, ("x", "y"))
    # "Ada" is inside a word; "e f" is cut off after five tokens.
    assert batch.spans.tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [2, 1, 0, 0]]
    assert batch.mask.sum(1).tolist() == [2, 0, 5]


def test_predictions_have_offsets_in_characters():
    rows = [Sentence("Ada won Rome", ()), Sentence("Rome", ())]
    encoder = make_encoder("char-cnn", ["Ada won Rome"], torch.Generator(), Architecture(dimension=8))

    class Fixed(torch.nn.Module):
        def forward(self, _, mask):
            logits = torch.full((2, 2, 3, 3), -1.0)
            # Sentences are sorted by length.
            logits[1, 1, 0, 2], logits[1, 0, 1, 1], logits[0, 0, 0, 0] = 2.0, 0.5, 3.0
            return logits.masked_fill(~(mask[:, :, None] & mask[:, None, :])[:, None], -math.inf)

    model = EntityModel(encoder, Fixed())
    entities, candidates = predict_with_candidates(model, rows, ("x", "y"))
    assert entities == predict(model, rows, ("x", "y"))
    assert entities == [{Entity(0, 11, "y"), Entity(4, 6, "x")}, {Entity(0, 3, "x")}]
    assert {(sentence, entity) for sentence, entity, logit in candidates if logit > 1} == {
        (0, Entity(0, 11, "y")),
        (1, Entity(0, 3, "x")),
    }
    assert len(candidates) == 2 * 9 + 2


def test_candidates_of_a_tagger_are_its_predictions():
    rows = [Sentence("a b c d", (Entity(0, 2, "x"),))] * 3
    encoder = make_encoder("char-cnn", ["a b c d"], torch.Generator(), Architecture(dimension=8))
    tagger = METHODS["crf-bio"].create(types=2, width=8)
    for bias, expected in ((5.0, []), (0.0, [Entity(0, 0, "y")])):
        with torch.no_grad():
            tagger.emit.weight.zero_()
            tagger.emit.bias.copy_(torch.tensor([bias, 0, 0, 0, 0]))
            # Tags of the second type, once the tag for outside has no lead.
            tagger.emit.bias[3] = 1.0
            tagger.chain.transitions.fill_(-9.0)[3, 0] = tagger.chain.transitions[0, 0] = 9.0
        entities, candidates = predict_with_candidates(EntityModel(encoder, tagger), rows, ("x", "y"))
        assert entities == predict(EntityModel(encoder, tagger), rows, ("x", "y"))
        assert entities == [set(expected)] * 3
        assert sorted(candidates) == [(sentence, entity, 1.0) for sentence in range(3) for entity in expected]
        assert tune_threshold(candidates, rows) == 0


def test_training_rows_without_an_entity_are_refused():
    blank = tuple(Sentence("a b", ()) for _ in range(4))
    corpus = Corpus(blank, blank, blank, ("x",))
    with pytest.raises(UsageError, match="no entity to train on: the sentences picked by train_rows have none"):
        training.train_and_score(
            METHODS["global-pointer"].create(), make_run("ner/expressions", **QUICK), corpus, nested=False
        )


@pytest.mark.parametrize("method", ["efficient-global-pointer", "crf-bio"])
def test_a_model_from_hugging_face_is_trained_without_its_special_tokens(method, tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "won", "rome", "##s", "in"]
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
    rows = tuple(
        Sentence(text, (Entity(0, 2, "who"), Entity(len(text) - 4, len(text) - 1, "where")))
        for text in ("ada won rome", "ada in rome", "ada romes rome")
    )
    encoder = make_encoder(f"hf:{tmp_path}", [], torch.Generator(), Architecture(max_length=16))
    batch = read_batch(rows, encoder, ("who", "where"))
    # [CLS] and [SEP] are not tokens of the text; "##s" is one.
    assert batch.mask.long().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]]
    assert batch.spans[:2].tolist() == [[0, 0, 1, 1], [0, 1, 3, 3]]
    weights = str(tmp_path / "model.safetensors")
    task_run = make_run(
        "ner/expressions", encoder="hf", model=weights, max_length=16, epochs=40, learning_rate=0.02, dropout=0.0
    )
    metrics = training.train_and_score(
        METHODS[method].create(), task_run, Corpus(rows, rows, rows, ("who", "where")), nested=False
    )
    assert metrics["f1"] == 1
