"""Hugging Face models from a folder: a tiny BERT made here; a folder without a model is an error of one sentence."""

from __future__ import annotations

import json
import os

import pytest
import torch
from plugin_run import DATASETS, METHODS, TASKS, make_run

from harness.errors import CannotRunHere, UsageError
from harness.registry import datasets
from harness.spec import resolve
from harness_plugins.encoders.encoder import make_encoder
from harness_plugins.encoders.hugging_face import encoder_name
from harness_plugins.encoders.scratch import Architecture
from harness_plugins.encoders.tokens import pool

transformers = pytest.importorskip("transformers")


def make(folder, max_length=16):
    return make_encoder(f"hf:{folder}", [], torch.Generator(), Architecture(max_length=max_length))


def test_states_are_those_of_the_model_itself(tiny_bert):
    encoder = make(tiny_bert).eval()
    tokens = encoder.tokens(["a cat", "我在 the dogs"])
    model = transformers.BertModel.from_pretrained(tiny_bert).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(tiny_bert)
    expected = model(**tokenizer(["a cat", "我在 the dogs"], padding=True, return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(encoder(tokens), expected)
    assert encoder.dimension == 16


def test_both_texts_in_one_input_have_segments_and_offsets_of_their_own(tiny_bert):
    encoder = make(tiny_bert)
    tokens = encoder.tokens(["a cats", "我在"], ["the dog.", "a"])
    assert tokens.spans[0] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 2, 5),
        (0, 5, 6),
        (0, 0, 0),
        (1, 0, 3),
        (1, 4, 7),
        (1, 7, 8),
        (1, 0, 0),
    ]
    assert tokens.segments[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert tokens.mask.sum(dim=1).tolist() == [9, 6]
    assert [len(spans) for spans in tokens.spans] == [9, 6]
    torch.manual_seed(0)
    two = encoder.eval()(tokens)
    one = encoder(encoder.tokens(["a cats", "我在"]))
    assert not torch.allclose(two[0, 1], one[0, 1])


def test_long_inputs_are_cut(tiny_bert):
    assert make(tiny_bert, max_length=8).tokens(["cat " * 50]).ids.shape == (1, 8)
    with pytest.raises(UsageError, match=r"max_length = 65: hf:.* reads at most 64 tokens"):
        make(tiny_bert, max_length=65)


def test_model_is_fine_tuned(tiny_bert):
    encoder = make(tiny_bert)
    tokens = encoder.tokens(["a cat", "the dog"])
    torch.autograd.backward(pool(encoder(tokens), tokens.mask, "first")[:, 0].sum())
    moved = [name for name, weight in encoder.named_parameters() if weight.grad is not None and weight.grad.any()]
    assert any("layer.0.attention" in name for name in moved)
    assert any("word_embeddings" in name for name in moved)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config.json is not there"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model.safetensors is not there"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not a model that can be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"pickle"), "is not a model that can be read"),
        (lambda folder: (folder / "config.json").write_text(json.dumps({"a": 1})), "is not a model that can be read"),
    ],
)
def test_folder_without_a_model_is_an_error_of_one_sentence(tiny_bert, tmp_path, damage, message):
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in tiny_bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    damage(folder)
    with pytest.raises(UsageError, match=message) as error:
        make(folder)
    assert "\n" not in str(error.value)


def test_pickled_weights_are_never_read(tiny_bert, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_bert / name).read_bytes())
    torch.save(transformers.BertModel.from_pretrained(tiny_bert).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"model.safetensors is not there"):
        make(tmp_path)


def test_model_that_is_not_in_the_cache_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(CannotRunHere, match=r"not in Hugging Face's cache .*'hf download nobody/nothing'"):
        make("nobody/nothing@main")
    with pytest.raises(CannotRunHere, match="not in Hugging Face's cache"):
        make("nobody/nothing")


def test_folder_must_be_named_by_its_weights_so_that_they_are_in_the_key(tiny_bert):
    weights = str(tiny_bert / "model.safetensors")
    assert encoder_name("hf", weights) == f"hf:{tiny_bert}"
    assert encoder_name("char-cnn", "") == "char-cnn"
    assert encoder_name("hf:google-bert/bert-base-chinese@main", "") == "hf:google-bert/bert-base-chinese@main"
    with pytest.raises(UsageError, match=r"write encoder = hf, model = .*tiny/model.safetensors"):
        encoder_name(f"hf:{tiny_bert}", "")
    with pytest.raises(UsageError, match=r"write encoder = hf, model = gone/model\.safetensors"):
        encoder_name("hf:./gone", "")
    with pytest.raises(UsageError, match=r"needs model = FOLDER/model.safetensors, found model = ''"):
        encoder_name("hf", "")
    with pytest.raises(UsageError, match=r"model = .* needs encoder = hf, found encoder = 'char-cnn'"):
        encoder_name("char-cnn", weights)


@pytest.mark.slow
@pytest.mark.needs_data("stsb", "minilm-l6")
def test_minilm_has_its_published_correlation_on_stsb():
    run = make_run("matching/minilm-stsb")
    metrics = resolve(TASKS["matching/minilm-stsb"].run)(METHODS["untrained"].create(), run)
    assert metrics["spearman"] == pytest.approx(0.8203, abs=5e-5)


@pytest.mark.needs_data("minilm-l6")
def test_minilm_reads_texts_where_a_package_ships_it():
    files = datasets.locate(DATASETS["minilm-l6"]).files
    encoder = make(files["model.safetensors"].parent, max_length=64).eval()
    tokens = encoder.tokens(["A man is playing a flute.", "A man plays the flute.", "Stocks fell on Monday."])
    with torch.no_grad():
        flute, flutes, stocks = pool(encoder(tokens), tokens.mask, "mean")
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(flute, flutes, dim=0) > 0.9
    assert cosine(flute, stocks, dim=0) < 0.2
    assert os.environ.get("HF_HUB_OFFLINE") is None
