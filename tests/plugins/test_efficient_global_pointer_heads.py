"""Span scorers against their formulas written out, and their losses against a sum over all spans."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from plugin_run import METHODS

from harness_plugins.efficient_global_pointer.heads import PointerHead
from harness_plugins.efficient_global_pointer.rotary import rotate

POINTERS = sorted(name for name, m in METHODS.items() if m.role == "span-scorer" and "pointer" in name)
SCORERS = sorted(name for name, m in METHODS.items() if m.role == "span-scorer")
TYPES, WIDTH, SIZE = 3, 10, 8


def make(name, **options):
    torch.manual_seed(1)
    sizes = {"size": SIZE} if "pointer" in name else {}
    return METHODS[name].create(types=TYPES, width=WIDTH, **sizes, **options).double()


def some_states(texts=2, length=7):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(texts, length, WIDTH, generator=generator, dtype=torch.float64)
    mask = torch.ones(texts, length, dtype=torch.bool)
    mask[1, 5:] = False
    return hidden, mask


SPANS = torch.tensor([[0, 0, 1, 3], [0, 2, 1, 3], [0, 0, 2, 2], [1, 1, 0, 4], [1, 0, 4, 4]])


def rotated(vector, position):
    """The vector's planes (0, 1), (2, 3), ... rotated by position * 10000^(-2 i / d), by complex numbers."""
    out = []
    for plane in range(len(vector) // 2):
        angle = position * 10000 ** (-2 * plane / len(vector))
        point = complex(vector[2 * plane], vector[2 * plane + 1]) * cmath.exp(1j * angle)
        out += [point.real, point.imag]
    return out


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def by_hand(name, head, states, kind, start, end):
    """The published score of one span, from the layers' weights."""
    rope = not name.endswith("no-rope")
    if name.startswith("global-pointer"):
        first, last = (head.dense(states[i]).tolist()[2 * SIZE * kind : 2 * SIZE * (kind + 1)] for i in (start, end))
        query, key = first[:SIZE], last[SIZE:]
        type_score = 0.0
    else:
        first, last = head.shared(states[start]), head.shared(states[end])
        query, key = first[::2].tolist(), last[1::2].tolist()
        inputs = (states[start], states[end]) if name.endswith("step-1") else (first, last)
        type_score = (head.by_type(inputs[0])[2 * kind + 1].item() + head.by_type(inputs[1])[2 * kind].item()) / 2
    if rope:
        query, key = rotated(query, start), rotated(key, end)
    return dot(query, key) / math.sqrt(SIZE) + type_score


@pytest.mark.parametrize("name", POINTERS)
def test_scores_are_those_of_the_formula(name):
    head = make(name)
    hidden, mask = some_states()
    logits = head(hidden, mask)
    assert logits.shape == (2, TYPES, 7, 7)
    for text in range(2):
        for kind in range(TYPES):
            for start in range(7):
                for end in range(7):
                    logit = logits[text, kind, start, end].item()
                    if start <= end and mask[text, start] and mask[text, end]:
                        assert logit == pytest.approx(by_hand(name, head, hidden[text], kind, start, end), abs=1e-12)
                    else:
                        assert logit == -math.inf


@pytest.mark.parametrize("form", ["zlpr", "published", "sparse-published", "sparse-safe"])
@pytest.mark.parametrize("name", ["efficient-global-pointer-dense", "global-pointer"])
def test_every_form_of_the_loss_is_the_sum_over_all_spans(name, form):
    head = make(name, loss=form)
    hidden, mask = some_states()
    logits = head(hidden, mask)
    gold = {tuple(row) for row in SPANS.tolist()}
    losses = []
    for text in range(2):
        for kind in range(TYPES):
            negative, positive = [1.0], [1.0]
            for start in range(7):
                for end in range(start, 7):
                    score = logits[text, kind, start, end].item()
                    if (text, kind, start, end) in gold:
                        positive.append(math.exp(-score))
                    elif score > -math.inf:
                        negative.append(math.exp(score))
            losses.append(math.log(math.fsum(negative)) + math.log(math.fsum(positive)))
    # A repeated span is one label.
    twice = torch.cat([SPANS, SPANS[:1]])
    for spans in (SPANS, twice):
        assert head.loss(hidden, mask, spans).item() == pytest.approx(math.fsum(losses) / len(losses), abs=1e-12)


@pytest.mark.parametrize("name", ["efficient-global-pointer", "efficient-global-pointer-step-1"])
def test_the_factorised_loss_is_that_of_all_cells_with_its_gradients(name):
    hidden, mask = some_states()
    results = []
    for loss in (type(make(name)).loss, PointerHead.loss):
        head, states = make(name), hidden.clone().requires_grad_()
        value = loss(head, states, mask, SPANS)
        results.append([value, *torch.autograd.grad(value, [states, *head.parameters()])])
    for factorised, dense in zip(*results, strict=True):
        torch.testing.assert_close(factorised, dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SCORERS)
def test_states_outside_the_mask_do_not_count(name):
    head = make(name)
    hidden, mask = some_states()
    other = torch.where(mask[..., None], hidden, 100.0)
    assert torch.equal(head(hidden, mask), head(other, mask))
    torch.testing.assert_close(head.loss(hidden, mask, SPANS), head.loss(other, mask, SPANS), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SCORERS)
def test_descent_on_the_loss_finds_the_entities(name):
    head = make(name)
    hidden, mask = some_states()
    spans = SPANS[[0, 3]]  # flat, so that a tagger finds them too
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(head.loss(hidden, mask, spans))
        optimizer.step()
    assert (head(hidden, mask) > 0).nonzero().tolist() == spans.tolist()
    rows, scores = head.spans(hidden, mask)
    assert rows.tolist() == spans.tolist()
    assert (scores > 0).all()


@pytest.mark.parametrize("name", SCORERS)
def test_texts_without_entities_or_with_one_token_have_a_loss(name):
    head = make(name)
    hidden, mask = some_states()
    mask = torch.zeros_like(mask)
    mask[:, 2] = True
    value = head.loss(hidden, mask, SPANS[:0])
    assert math.isfinite(value.item())
    torch.autograd.backward(value)
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 0, 3, 2], "ends before it starts|start <= end"),
        ([1, 0, 4, 5], "mask"),
        ([0, 3, 0, 0], "type"),
        ([2, 0, 0, 0], "text|sample"),
    ],
)
def test_row_that_is_not_a_span_is_named(name, row, message):
    head = make(name)
    with pytest.raises(ValueError, match=message) as error:
        head.loss(*some_states(), torch.tensor([[0, 0, 0, 0], row]))
    assert str(row) in str(error.value)


@pytest.mark.parametrize("name", SCORERS)
def test_a_fresh_scorer_has_new_sizes_and_the_same_settings(name):
    head = make(name).fresh(width=4, types=2, generator=torch.Generator().manual_seed(5))
    again = make(name).fresh(width=4, types=2, generator=torch.Generator().manual_seed(5))
    hidden, mask = torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    assert head(hidden, mask).shape == (1, 2, 3, 3)
    assert torch.equal(head(hidden, mask), again(hidden, mask))
    if "pointer" in name:
        assert (head.size, head.rope) == (SIZE, not name.endswith("no-rope"))


def test_rope_can_be_trained_with_after_a_first_call_in_inference_mode():
    # A length that no other test has, so that this is the first call.
    vectors = torch.randn(1, 53, 4, requires_grad=True)
    with torch.inference_mode():
        in_inference = rotate(vectors)
    in_training = rotate(vectors)
    in_training.square().sum().backward()
    torch.testing.assert_close(vectors.grad, 2 * vectors.detach())
    torch.testing.assert_close(in_training.detach(), in_inference.clone())


def test_rope_makes_scores_depend_on_distance():
    states = torch.ones(1, 9, WIDTH, dtype=torch.float64)
    mask = torch.ones(1, 9, dtype=torch.bool)
    without = make("global-pointer-no-rope")(states, mask)[0, 0]
    rope = make("global-pointer")(states, mask)[0, 0]
    allowed = torch.ones(9, 9, dtype=torch.bool).triu()
    assert without[allowed].std().item() == pytest.approx(0, abs=1e-12)
    assert rope[allowed].std() > 0.01
    # The distance counts, not the position.
    torch.testing.assert_close(rope.diagonal(3), rope[0, 3].expand(6))
