"""The encoders trained from scratch: offsets that point into the text, padding that changes nothing, paired weights."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UnknownName
from harness_plugins.encoders.encoder import make_encoder
from harness_plugins.encoders.options import ENCODER
from harness_plugins.encoders.scratch import Architecture
from harness_plugins.encoders.tokens import pool
from harness_plugins.encoders.words import NONE, SEPARATOR, UNKNOWN, Vocabulary, pieces, split

TEXTS = ["A cat sat on the mat.", "我在打开花呗", "Two dogs ran", "the cat's 2nd mat"]
NAMES = ["char-cnn", "char-transformer"]


def make(name="char-cnn", seed=0, **sizes):
    architecture = Architecture(**{"dimension": 32, "dropout": 0.0, **sizes})
    return make_encoder(name, TEXTS, torch.Generator().manual_seed(seed), architecture)


def states(encoder, *texts):
    return encoder(encoder.tokens(list(texts)))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_tokens_are_all_that_is_no_blank_in_order_and_without_overlap(text):
    ends = split(text)
    covered = {place for start, end in ends for place in range(start, end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}
    assert all(before[1] <= after[0] for before, after in pairwise(ends))
    assert all(start < end for start, end in ends)


def test_ideographs_stand_alone_and_words_do_not():
    text = "Don't 打开App2!ひら 한국"
    assert [text[a:b] for a, b in split(text)] == ["Don", "'", "t", "打", "开", "App2", "!", "ひ", "ら", "한", "국"]


def test_pieces_share_the_parts_of_words_and_tell_capitals():
    assert set(pieces("cats")) & set(pieces("Cats")) == {"<cats>", "<ca", "cat", "ats", "ts>"}
    assert set(pieces("CAT")) - set(pieces("cat")) == {"A"}
    assert pieces("x") == ["<x>"]
    assert len(pieces("ab" * 500)) < 40


def test_vocabulary_keeps_the_most_frequent_pieces_and_numbers_do_not_depend_on_the_order_of_texts():
    texts = ["aa aa bb", "aa cc"]
    known = Vocabulary(texts, 2)
    assert len(known) == 2 + 3
    assert {*known.numbers("aa")}.isdisjoint({NONE, UNKNOWN, SEPARATOR})
    assert known.numbers("aa") != (UNKNOWN,)
    assert known.numbers("cc") == (UNKNOWN,)
    other = Vocabulary(reversed(texts), 100)
    assert all(other.numbers(word) == Vocabulary(texts, 100).numbers(word) for word in ("aa", "bb", "cc"))


@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_change_a_text(name):
    # In float64: how a processor groups the float32 sums of longer texts moves their last digits.
    encoder = make(name).double()
    for block in encoder.blocks:
        torch.nn.init.normal_(block.outer.weight)
    alone = states(encoder, "A cat")
    beside = states(encoder, "A cat", "the cat's 2nd mat is here")
    assert beside.dtype == torch.float64
    torch.testing.assert_close(beside[0, :2], alone[0])
    assert not beside[0, 2:].any()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_take_part_and_see_their_neighbours(name):
    encoder = make(name)
    before = states(encoder, "A cat")
    for block in encoder.blocks:
        torch.nn.init.normal_(block.outer.weight)
    after = states(encoder, "A cat")
    assert not torch.allclose(before, after)
    assert not torch.allclose(after[0, 0], states(encoder, "A dog")[0, 0])


def test_transformer_knows_positions_and_convolutions_reach_as_far_as_their_layers():
    transformer, convolutions = make("char-transformer"), make("char-cnn", layers=1)
    for block in [*transformer.blocks, *convolutions.blocks]:
        torch.nn.init.normal_(block.outer.weight)
    turned = states(transformer, "cat the dog mat", "mat dog the cat")
    assert not torch.allclose(turned[0].flip(0), turned[1], atol=1e-3)
    near, far = states(convolutions, "cat sat on the", "cat sat on mat")
    torch.testing.assert_close(near[:2], far[:2])
    assert not torch.allclose(near[2], far[2])


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_generator_alone(name):
    one = make(name)
    torch.manual_seed(99)
    other = make(name)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.embedding, make(name, seed=1).embedding)


@pytest.mark.parametrize("name", NAMES)
def test_spans_are_offsets_in_the_own_text_of_each_token(name):
    encoder = make(name)
    first, second = ["A cat", "我在"], ["the dog!", ""]
    tokens = encoder.tokens(first, second)
    for row, spans in enumerate(tokens.spans):
        assert len(spans) == int(tokens.mask[row].sum())
        texts = (first[row], second[row])
        assert [texts[s][a:b] for s, a, b in spans if a != b] == [t[a:b] for t in texts for a, b in split(t)]
        assert tokens.segments[row, : len(spans)].tolist() == [segment for segment, _, _ in spans]
        assert [place for place, (_, a, b) in enumerate(spans) if a == b] == [len(split(texts[0]))]
    assert encoder(tokens).shape == (2, tokens.ids.shape[1], encoder.dimension)


def test_long_inputs_are_cut_and_of_a_pair_the_longer_text_first():
    encoder = make(max_length=8)
    assert encoder.tokens(["a " * 20]).ids.shape == (1, 8)
    segments = encoder.tokens(["a " * 20, "a", "a " * 20], ["b b", "b " * 20, "b " * 20]).segments
    assert segments.sum(dim=1).tolist() == [3, 7, 4]
    assert segments.shape == (3, 8)


def test_text_without_a_token_is_a_separator():
    encoder = make()
    tokens = encoder.tokens(["", "a"])
    assert tokens.spans[0] == [(0, 0, 0)]
    assert tokens.ids[0].tolist() == [SEPARATOR]
    assert torch.isfinite(encoder(tokens)).all()


def test_texts_that_share_words_are_alike_before_training():
    encoder = make(dimension=128)
    tokens = encoder.tokens(["the cat sat on the mat", "the cat sat on a mat", "two dogs ran"])
    same, near, far = pool(encoder(tokens), tokens.mask, "mean")
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(same, near, dim=0) > 0.7 > cosine(same, far, dim=0) + 0.2


def test_pooling_leaves_padding_out():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [torch.nan, torch.inf]]])
    mask = torch.tensor([[True, True, False]])
    assert pool(hidden, mask, "mean").tolist() == [[2.0, 3.0]]
    assert pool(hidden, mask, "first").tolist() == [[1.0, 2.0]]
    assert pool(torch.ones(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool), "mean").tolist() == [[0.0, 0.0, 0.0]]
    with pytest.raises(ValueError, match="'mean' or 'first' is needed"):
        pool(hidden, mask, "max")


def test_encoder_of_no_known_name_is_refused_when_a_suite_is_planned():
    for name in ("char-cnn", "char-transformer", "hf", "hf:google-bert/bert-base-chinese"):
        assert ENCODER["encoder"].read(name, "encoder") == name
    with pytest.raises(UnknownName, match=r"unknown value for encoder 'char-cn'; did you mean 'char-cnn'\?"):
        ENCODER["encoder"].read("char-cn", "encoder")


def test_architecture_and_options_have_the_same_defaults():
    for field in fields(Architecture):
        assert field.default == ENCODER[field.name].default


def test_wrong_use_is_an_error_that_says_what_is_needed():
    with pytest.raises(UnknownName, match="unknown encoder 'char-cn'; did you mean 'char-cnn'"):
        make("char-cn")
    with pytest.raises(ValueError, match="second has 1 texts, first has 2"):
        make().tokens(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="dimension = 71 cannot be split into 2 equal heads; a multiple of 32 can"):
        make("char-transformer", dimension=71)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(name):
    encoder = make(name)
    for block in encoder.blocks:
        torch.nn.init.normal_(block.outer.weight)
    tokens = encoder.tokens(["A cat", "我在"], ["the dog", "mat"])
    torch.autograd.backward(encoder(tokens)[tokens.mask].square().sum())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())
