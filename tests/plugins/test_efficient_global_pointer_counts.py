"""The tasks without training: parameter counts to the unit, and the ranks of score matrices."""

from __future__ import annotations

import struct

import pytest
import torch
from plugin_run import METHODS, TASKS, make_run

from harness.spec import resolve


def run(task, method, dtype="float32", **options):
    return resolve(TASKS[task].run)(METHODS[method].create(), make_run(task, dtype=dtype, **options))


@pytest.mark.parametrize(
    ("method", "head", "of_a_type", "weights"),
    [
        ("global-pointer", 768 * 1280 + 1280, 98304 + 128, 98304),
        ("efficient-global-pointer", 768 * 128 + 128 + 128 * 20 + 20, 258, 256),
        ("efficient-global-pointer-step-1", 768 * 128 + 128 + 768 * 20 + 20, 1538, 1536),
        ("softmax-bio", 769 * 21, 2 * 769, 1536),
        ("crf-bio", 769 * 21 + 21 * 21 + 42, 2 * 769 + 23 * 23 - 21 * 21 + 4, 1536),
    ],
)
def test_parameter_counts_are_exact(method, head, of_a_type, weights):
    metrics = run("ner/parameter-counts", method)
    assert (metrics["head_parameters"], metrics["type_parameters"], metrics["type_weights"]) == (
        head,
        of_a_type,
        weights,
    )
    assert metrics["model_parameters"] == 101677056 + head
    three = run("ner/parameter-counts", method, kinds=10, relations=10)
    assert three["head_parameters"] == 3 * head


EXACT = [name for name, metric in TASKS["ner/parameter-counts"].metrics.items() if metric.deterministic]


@pytest.mark.parametrize("metric", EXACT)
def test_metric_said_to_be_without_chance_is_the_same_under_two_seeds(metric):
    for method in ("efficient-global-pointer", "crf-bio"):
        first, second = (
            resolve(TASKS["ner/parameter-counts"].run)(
                METHODS[method].create(), make_run("ner/parameter-counts", seed=seed, width=8, kinds=3)
            )[metric]
            for seed in (0, 1)
        )
        assert struct.pack("d", first) == struct.pack("d", second)


def test_five_counts_are_declared_deterministic():
    assert len(EXACT) == 5


def test_counted_encoder_is_bert():
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        bert = transformers.BertModel(transformers.BertConfig(vocab_size=21128), add_pooling_layer=False)
    assert sum(p.numel() for p in bert.parameters()) == 101677056


def test_relations_cost_two_more_scorers():
    # LIC2019: 2 types of entities, 49 relations, of which one scorer finds heads and one finds tails.
    metrics = run("ner/parameter-counts", "global-pointer", kinds=2, relations=49)
    assert metrics["head_weights"] == (2 + 49 + 49) * 98304
    assert metrics["type_weights"] == 98304


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_types_differ_by_rank_two_in_the_efficient_pointer_alone(dtype):
    for method, rank in (
        ("efficient-global-pointer", 2),
        ("efficient-global-pointer-step-1", 2),
        ("global-pointer", 40),
    ):
        metrics = run("ner/type-ranks", method, dtype=dtype, length=40, kinds=3)
        assert metrics["difference_rank"] == rank
