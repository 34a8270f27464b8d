"""Entity scores against counting by hand, training on drawn corpora, and the figures of the counting tasks."""

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
from harness_plugins.efficient_global_pointer.expressions import TYPES as EXPRESSION_TYPES
from harness_plugins.efficient_global_pointer.expressions import expression
from harness_plugins.efficient_global_pointer.scores import best_threshold, by_nesting, by_type, overall
from harness_plugins.encoders.encoder import make_encoder
from harness_plugins.encoders.scratch import Architecture

#: What the names in expressions stand for, where they are computed.
NAMES = {"max": lambda *a: max(a), "min": lambda *a: min(a), "mean": lambda *a: sum(a) / len(a)}
NAMES |= {"x": 7.1, "y": 2.3, "z": 3.9, "rate": 5.7, "cost": 1.3}
QUICK = {"dimension": 32, "layers": 1, "epochs": 2}


def run(task, method, seed=0, dtype="float32", **options):
    own = {k: v for k, v in options.items() if k in METHODS[method].options and k not in TASKS[task].options}
    others = {k: v for k, v in options.items() if k in TASKS[task].options}
    given = make_run(task, seed=seed, dtype=dtype, **others)
    return resolve(TASKS[task].run)(METHODS[method].create(**own), given), given


def test_precision_recall_and_f1_by_hand():
    a, b, c = Entity(0, 3, "x"), Entity(1, 2, "y"), Entity(6, 7, "x")
    gold = [{a, b, c}, {c}, set()]
    predicted = [{a, c, Entity(6, 6, "x")}, set(), {Entity(0, 0, "y")}]
    score = overall(gold, predicted)
    assert (score.correct, score.predicted, score.gold) == (2, 4, 4)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    types = by_type(gold, predicted, ("x", "y", "z"))
    assert (types["x"].precision, types["x"].recall) == (2 / 3, 2 / 3)
    assert (types["y"].precision, types["y"].recall, types["y"].f1) == (0, 0, 0)
    assert types["z"].f1 == 0
    apart = by_nesting(gold, predicted)
    # a and b nest in the gold, a was found; of the predictions c and its first token do, c is right.
    assert (apart["nested_recall"], apart["nested_precision"]) == (0.5, 0.5)
    # c twice is flat in the gold and was found once; a and the last are flat predictions, a is right.
    assert (apart["flat_recall"], apart["flat_precision"], apart["flat_f1"]) == (0.5, 0.5, 0.5)


def test_the_best_threshold_is_that_of_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        scores = rng.integers(-3, 4, count) * 0.5
        correct = rng.random(count) < 0.5
        gold = int(correct.sum()) + int(rng.integers(0, 3))

        def f1(threshold, scores=scores, correct=correct, gold=gold):
            above = scores > threshold
            total = above.sum() + gold
            return 2 * (above & correct).sum() / total if total else 0.0

        tried = [f1(threshold) for threshold in np.arange(-2.25, 2.5, 0.5)]
        found = best_threshold(scores, correct, gold)
        assert f1(found) == pytest.approx(max(tried))
        if f1(0.0) == max(tried):
            assert found == 0


def test_expressions_have_every_part_once_and_right():
    rng = np.random.default_rng(0)
    for _ in range(300):
        row = expression(rng)
        assert len(set(row.entities)) == len(row.entities) > 0
        for entity in row.entities:
            part = row.text[entity.start : entity.end + 1]
            assert math.isfinite(eval(part, dict(NAMES)))
            outside = depth_zero(part)
            wanted = {
                "sum": any(c in "+-" for c in outside),
                "product": any(c in "*/" for c in outside) and not any(c in "+-" for c in outside),
                "group": part[0] == "(" and outside == "()",
                "call": outside in ("max()", "min()", "mean()"),
            }
            assert wanted[entity.type], (part, entity.type)


def depth_zero(text):
    """What stands outside of brackets, with the outermost brackets themselves."""
    depth, kept = 0, ""
    for character in text:
        depth -= character == ")"
        kept += character if depth == 0 else ""
        depth += character == "("
    return kept


def test_every_signed_part_of_an_expression_is_labelled():
    # Each maximal run of operands joined by signs of one level is one entity: as many as there are groups of signs.
    for text_signs in range(30):
        row = expression(np.random.default_rng(text_signs))
        found = {(e.start, e.end) for e in row.entities}
        assert (0, len(row.text) - 1) in found
        brackets = row.text.count("(")
        assert sum(e.type in ("group", "call") for e in row.entities) == brackets


@pytest.mark.parametrize("method", ["efficient-global-pointer", "global-pointer", "crf-bio"])
def test_training_learns_gives_every_metric_and_repeats_to_the_bit(method):
    found, given = run("ner/expressions", method, expressions=120, **QUICK, learning_rate=0.01)
    again, _ = run("ner/expressions", method, expressions=120, **QUICK, learning_rate=0.01)
    assert found.keys() == TASKS["ner/expressions"].metrics.keys()
    assert found == again
    assert found["valid_f1"] > 0.02
    losses = [value for _, value in given.curves["loss"]]
    # Eight batches an epoch, whose losses depend on the length of their sentences.
    assert np.mean(losses[8:]) < np.mean(losses[:8])
    assert found["threshold_gain"] == found["tuned_f1"] - found["f1"]
    if method == "crf-bio":
        assert (found["threshold"], found["threshold_gain"], found["nested_precision"]) == (0, 0, 0)
    else:
        assert found["nested_recall"] > 0


def test_scorers_share_encoder_order_and_dropout_under_one_seed(monkeypatch):
    seen = {}
    for method in ("efficient-global-pointer", "global-pointer"):
        order, first = [], []

        def noted(model, rows, corpus, run, generator, dropped, order=order, first=first, fit=training.fit):
            encoder, _ = model
            first.append(torch.cat([p.detach().flatten() for p in encoder.parameters()]))
            states = (generator.get_state().tolist(), dropped.get_state().tolist())
            order.append((*states, [row.text for row in rows]))
            return fit(model, rows, corpus, run, generator, dropped)

        monkeypatch.setattr(training, "fit", noted)
        run("ner/expressions", method, expressions=40, **QUICK, train_rows=30)
        monkeypatch.undo()
        seen[method] = (order, first[0])
    one, other = seen.values()
    assert one[0] == other[0]
    assert torch.equal(one[1], other[1])
    assert len(one[0][0][2]) == 30


def test_the_epoch_that_is_best_on_the_validation_split_is_tested(monkeypatch):
    scores = iter([0.2, 0.6, 0.4])
    snapshots = []
    real = training.predict

    def staged(model, rows, types, candidates=True):
        if not candidates:
            snapshots.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))
            wanted = next(scores)
            gold = [set(row.entities) for row in rows]
            keep = round(wanted * sum(map(len, gold)) / (2 - wanted))
            kept = itertools.count()
            return [{e for e in row if next(kept) < keep} for row in gold], []
        snapshots.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))
        return real(model, rows, types, candidates)

    monkeypatch.setattr(training, "predict", staged)
    found, _ = run("ner/expressions", "efficient-global-pointer", expressions=40, **(QUICK | {"epochs": 3}))
    assert found["best_epoch"] == 2
    assert torch.equal(snapshots[1], snapshots[3])
    assert torch.equal(snapshots[1], snapshots[4])
    assert not torch.equal(snapshots[2], snapshots[3])


def test_entities_meet_tokens_where_they_begin_and_end_with_one():
    rows = [
        Sentence("Ada99 won", (Entity(0, 4, "x"), Entity(0, 2, "x"), Entity(6, 8, "y"))),
        Sentence("  ", ()),
        Sentence("a b c d e f", (Entity(0, 0, "y"), Entity(8, 10, "x"))),
    ]
    encoder = make_encoder(
        "char-cnn", [row.text for row in rows], torch.Generator(), Architecture(dimension=8, max_length=5)
    )
    batch = training.read(rows, encoder, ("x", "y"))
    # "Ada" is inside of a word; "e f" is cut off after five tokens.
    assert batch.spans.tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [2, 1, 0, 0]]
    assert batch.mask.sum(1).tolist() == [2, 0, 5]


def test_predictions_come_back_as_characters():
    rows = [Sentence("Ada won Rome", ()), Sentence("Rome", ())]
    encoder = make_encoder("char-cnn", ["Ada won Rome"], torch.Generator(), Architecture(dimension=8))

    class Fixed(torch.nn.Module):
        def forward(self, _, mask):
            logits = torch.full((2, 2, 3, 3), -1.0)
            # Sentences come by their length.
            logits[1, 1, 0, 2], logits[1, 0, 1, 1], logits[0, 0, 0, 0] = 2.0, 0.5, 3.0
            return logits.masked_fill(~(mask[:, :, None] & mask[:, None, :])[:, None], -math.inf)

    model = torch.nn.ModuleList([encoder, Fixed()])
    found, candidates = training.predict(model, rows, ("x", "y"))
    assert found == [{Entity(0, 11, "y"), Entity(4, 6, "x")}, {Entity(0, 3, "x")}]
    assert {(place, entity) for place, entity, score in candidates if score > 1} == {
        (0, Entity(0, 11, "y")),
        (1, Entity(0, 3, "x")),
    }
    assert len(candidates) == 2 * 9 + 2


def test_no_threshold_makes_spans_of_what_a_tagger_did_not_tell():
    rows = [Sentence("a b c d", (Entity(0, 2, "x"),))] * 3
    encoder = make_encoder("char-cnn", ["a b c d"], torch.Generator(), Architecture(dimension=8))
    tagger = METHODS["crf-bio"].create(types=2, width=8)
    for bias, found in ((5.0, []), (0.0, [Entity(0, 0, "y")])):
        with torch.no_grad():
            tagger.emit.weight.zero_()
            tagger.emit.bias.copy_(torch.tensor([bias, 0, 0, 0, 0]))
            # Begin and inside of the second type, once the tag for outside has no lead.
            tagger.emit.bias[3] = 1.0
            tagger.chain.transitions.fill_(-9.0)[3, 0] = tagger.chain.transitions[0, 0] = 9.0
        model = torch.nn.ModuleList([encoder, tagger])
        entities, candidates = training.predict(model, rows, ("x", "y"))
        assert entities == [set(found)] * 3
        assert sorted(candidates) == [(place, entity, 1.0) for place in range(3) for entity in found]
        assert training._tuned(candidates, rows) == 0


def test_training_rows_without_an_entity_are_refused():
    blank = tuple(Sentence("a b", ()) for _ in range(4))
    given = make_run("ner/expressions", **QUICK)
    with pytest.raises(UsageError, match="no entity to train on: train_rows picked"):
        training.train_and_score(METHODS["global-pointer"].create(), given, Corpus(blank, blank, blank, ("x",)), False)


@pytest.mark.parametrize(
    ("method", "head", "one_more", "weight"),
    [
        ("global-pointer", 768 * 1280 + 1280, 98304 + 128, 98304),
        ("efficient-global-pointer", 768 * 128 + 128 + 128 * 20 + 20, 258, 256),
        ("efficient-global-pointer-step-1", 768 * 128 + 128 + 768 * 20 + 20, 1538, 1536),
        ("softmax-bio", 769 * 21, 2 * 769, 1536),
        ("crf-bio", 769 * 21 + 21 * 21 + 42, 2 * 769 + 23 * 23 - 21 * 21 + 4, 1536),
    ],
)
def test_parameters_are_counted_to_the_unit(method, head, one_more, weight):
    found, _ = run("ner/parameter-counts", method)
    assert (found["head_parameters"], found["type_parameters"], found["type_weights"]) == (head, one_more, weight)
    assert found["model_parameters"] == 101677056 + head
    three, _ = run("ner/parameter-counts", method, kinds=10, relations=10)
    assert three["head_parameters"] == 3 * head


def test_the_encoder_that_is_counted_is_bert():
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        bert = transformers.BertModel(transformers.BertConfig(vocab_size=21128), add_pooling_layer=False)
    assert sum(p.numel() for p in bert.parameters()) == 101677056


def test_relations_cost_two_more_scorers():
    # LIC2019: 2 types of entities, 49 relations, of which one scorer finds heads and one finds tails.
    found, _ = run("ner/parameter-counts", "global-pointer", kinds=2, relations=49)
    assert found["head_weights"] == (2 + 49 + 49) * 98304
    assert found["type_weights"] == 98304


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_types_differ_by_rank_two_in_the_efficient_pointer_alone(dtype):
    for method, rank in (
        ("efficient-global-pointer", 2),
        ("efficient-global-pointer-step-1", 2),
        ("global-pointer", 40),
    ):
        found, _ = run("ner/type-ranks", method, dtype=dtype, length=40, kinds=3)
        assert found["difference_rank"] == rank


def test_throughput_gives_speeds_and_their_ratio_to_a_crf():
    quick = {"dimension": 16, "layers": 1, "batch_size": 4, "block_batches": 2, "blocks": 5}
    found, _ = run("ner/throughput", "crf-bio", **quick)
    assert found.keys() == TASKS["ner/throughput"].metrics.keys()
    assert min(found.values()) > 0


def test_the_types_of_expressions_are_those_registered():
    metrics = TASKS["ner/expressions"].metrics
    assert {name.split("/")[1] for name in metrics if "/" in name} == set(EXPRESSION_TYPES)


@pytest.mark.parametrize("method", ["efficient-global-pointer", "crf-bio"])
def test_a_model_from_hugging_face_is_trained_without_its_special_tokens(method, tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "won", "rome", "##s", "in"]
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path)
    transformers.BertTokenizerFast({word: n for n, word in enumerate(words)}).save_pretrained(tmp_path)
    rows = tuple(
        Sentence(text, (Entity(0, 2, "who"), Entity(len(text) - 4, len(text) - 1, "where")))
        for text in ("ada won rome", "ada in rome", "ada romes rome")
    )
    encoder = make_encoder(f"hf:{tmp_path}", [], torch.Generator(), Architecture(max_length=16))
    batch = training.read(rows, encoder, ("who", "where"))
    # [CLS] first and [SEP] last are no tokens of the text; "##s" is one.
    assert batch.mask.long().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]]
    assert batch.spans[:2].tolist() == [[0, 0, 1, 1], [0, 1, 3, 3]]
    weights = str(tmp_path / "model.safetensors")
    given = make_run(
        "ner/expressions", encoder="hf", model=weights, max_length=16, epochs=40, learning_rate=0.02, dropout=0.0
    )
    found = training.train_and_score(
        METHODS[method].create(), given, Corpus(rows, rows, rows, ("who", "where")), nests=False
    )
    assert found["f1"] == 1
