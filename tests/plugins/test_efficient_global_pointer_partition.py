"""The factorised span loss against the loss written out over all scores, in every regime of scores."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from harness_plugins.efficient_global_pointer import partition
from harness_plugins.efficient_global_pointer.partition import span_loss

NAMES = ("query", "key", "start_bias", "end_bias")


def drawn(samples=3, types=4, length=7, width=5, spread=1.0, count=6, seed=0, dtype=torch.float64):
    """Inputs whose scores spread so far, a mask with gaps, and positives at its tokens, some of them repeated."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)

    pair = normal(samples, length, width) / width**0.5, normal(samples, length, width) / spread
    biases = normal(samples, types, length), normal(samples, types, length)
    mask = torch.rand(samples, length, generator=generator) < 0.8
    mask[:, 0] = True
    rows = []
    for _ in range(count):
        sample = int(torch.randint(samples, (), generator=generator))
        tokens = mask[sample].nonzero()[:, 0]
        ends = tokens[torch.randint(len(tokens), (2,), generator=generator)].sort().values.tolist()
        rows.append([sample, int(torch.randint(types, (), generator=generator)), *ends])
    spans = torch.tensor([*rows, *rows[: count // 3]], dtype=torch.long).reshape(-1, 4)
    return [tensor.to(dtype).requires_grad_() for tensor in (*pair, *biases)], mask, spans


def written_out(query, key, start_bias, end_bias, mask, spans):
    """The loss by its definition, with all B x T x L x L scores."""
    scores = (query @ key.mT)[:, None] + start_bias[..., None] + end_bias[:, :, None]
    length = query.shape[1]
    legal = (mask[:, None, :, None] & mask[:, None, None]).expand_as(scores)
    legal = legal & torch.ones(length, length, dtype=torch.bool).triu()
    positive = torch.zeros_like(legal)
    positive[tuple(spans.T)] = True

    def log_one_plus(values, chosen):
        flat = values.masked_fill(~chosen, -torch.inf).flatten(2)
        return torch.cat([torch.zeros_like(flat[:, :, :1]), flat], dim=2).logsumexp(2)

    return (log_one_plus(scores, legal & ~positive) + log_one_plus(-scores, positive)).mean()


def gradients(loss, inputs, *rest):
    value = loss(*inputs, *rest)
    return value.item(), torch.autograd.grad(value, inputs)


def compare(inputs, mask, spans, tolerance):
    """Value and gradients against the definition in float64, relative to the size of each."""
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    value, computed = gradients(span_loss, inputs, mask, spans)
    true, expected = gradients(written_out, exact, mask, spans)
    assert value == pytest.approx(true, rel=tolerance)
    for name, a, b in zip(NAMES, computed, expected, strict=True):
        assert (a.double() - b).norm() <= tolerance * b.norm(), name


@pytest.mark.parametrize("length", [1, 2, 7, 33])
@pytest.mark.parametrize("count", [0, 1, 20])
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_loss_and_gradient_are_those_of_the_definition(length, count, spread):
    compare(*drawn(length=length, count=count, spread=spread, seed=length + count), tolerance=1e-12)


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0, 40.0, 300.0])
def test_float32_is_as_exact_as_its_scores_whatever_their_spread(spread):
    # Scores of 300 are themselves rounded by 1e-5, and with them the exponents.
    compare(*drawn(length=33, count=20, spread=spread, dtype=torch.float32), tolerance=1e-6 * max(1, spread / 10))


@pytest.mark.parametrize("at_once", [1, 2 * 7 * 7, 10**6])
def test_samples_together_and_one_by_one_give_the_same(at_once, monkeypatch):
    monkeypatch.setattr(partition, "AT_ONCE_ON_CPU", at_once)
    compare(*drawn(samples=5, spread=3.0, count=12), tolerance=1e-12)


def cell_by_cell(query, key, start_bias, end_bias, mask, spans):
    """The loss by loops over samples, types, starts and ends, in Python's own numbers: a value, no graph."""
    query, key, start, end = (tensor.tolist() for tensor in (query, key, start_bias, end_bias))
    gold, tokens = {tuple(row) for row in spans.tolist()}, mask.tolist()
    losses = []
    for sample, kinds in enumerate(start):
        places = [place for place, real in enumerate(tokens[sample]) if real]
        for kind in range(len(kinds)):
            negative, positive = [], []
            for i in places:
                for j in (place for place in places if place >= i):
                    score = sum(a * b for a, b in zip(query[sample][i], key[sample][j], strict=True))
                    score += start[sample][kind][i] + end[sample][kind][j]
                    (positive if (sample, kind, i, j) in gold else negative).append(score)
            for scores in (negative, [-score for score in positive]):
                top = max([0.0, *scores])
                losses.append(top + math.log(math.exp(-top) + math.fsum(math.exp(score - top) for score in scores)))
    return 2 * math.fsum(losses) / len(losses)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("length", [1, 5, 13])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_blocks_of_any_number_of_rows_give_the_same(rows, length, spread, monkeypatch):
    monkeypatch.setattr(partition, "ROWS", rows)
    monkeypatch.setattr(partition, "BLOCKS", 13)
    monkeypatch.setattr(partition, "AT_ONCE_ON_CPU", 3 * length**2)
    inputs, mask, spans = drawn(samples=5, length=length, spread=spread, count=20, seed=length)
    compare(inputs, mask, spans, tolerance=1e-12)
    assert span_loss(*inputs, mask, spans).item() == pytest.approx(cell_by_cell(*inputs, mask, spans), rel=1e-12)


def test_many_products_that_vanish_in_float32_are_not_left_out_of_a_small_sum():
    """Of L^2 / 2 spans each factor fits into float32 and the product is too small for it; all of them are 0.7 %.

    Exponents are to the base 2. No start, end and key are largest in one span.
    """
    length, usual, special = 512, 126.05, 112.0
    key = torch.full((length,), -usual / 2)
    end = torch.full((length,), -usual / 2)
    key[-2:], end[-2:] = torch.tensor([-special, 0.0]), torch.tensor([0.0, -special])
    exponents = [torch.ones(1, length, 1), key[None, :, None], torch.full((1, 1, length), 102.0), end[None, None]]
    bits = math.log(2)
    inputs = [exponents[0], *(bits * tensor for tensor in exponents[1:])]
    mask, spans = torch.ones(1, length, dtype=torch.bool), torch.zeros(0, 4, dtype=torch.long)
    terms = [(length - 2) * (length - 1) // 2 * 2.0 ** (102 - usual), (2 * length - 1) * 2.0 ** (102 - special)]
    assert 0.005 < terms[0] / terms[1] < 0.01
    # As processors do that take numbers below the smallest normal one for 0.
    flushes = torch.set_flush_denormal(True)
    try:
        loss = span_loss(*inputs, mask, spans).item()
    finally:
        if flushes:
            torch.set_flush_denormal(False)
    assert loss == pytest.approx(math.log1p(math.fsum(terms)), rel=1e-4)


def short_texts(lengths, length, dtype=torch.float64):
    """Inputs with texts of these lengths, each with two spans where there is a token."""
    inputs, _, _ = drawn(samples=len(lengths), types=3, length=length, spread=3.0, dtype=dtype)
    mask = torch.arange(length) < torch.tensor(lengths)[:, None]
    rows = [[text, kind, n // 2, n - 1] for text, n in enumerate(lengths) if n for kind in (0, 2)]
    return inputs, mask, torch.tensor(rows)


@pytest.mark.parametrize("at_once", [1, 2 * 41 * 41, 10**6])
@pytest.mark.parametrize("rows", [4, 64])
def test_texts_much_shorter_than_the_tensor_and_of_any_order_of_lengths(at_once, rows, monkeypatch):
    monkeypatch.setattr(partition, "AT_ONCE_ON_CPU", at_once)
    monkeypatch.setattr(partition, "ROWS", rows)
    inputs, mask, spans = short_texts([3, 41, 0, 1, 12, 40, 2, 12], length=57)
    compare(inputs, mask, spans, tolerance=1e-12)
    assert span_loss(*inputs, mask, spans).item() == pytest.approx(cell_by_cell(*inputs, mask, spans), rel=1e-12)
    compare(*short_texts([3, 41, 0, 1, 12, 40, 2, 12], length=57, dtype=torch.float32), tolerance=1e-6)


def test_memory_is_that_of_the_blocks_of_the_longest_text(monkeypatch):
    sizes = []
    scores = partition._Negatives._scores

    def counted(*arguments):
        blocks, memory = scores(*arguments)
        sizes.append(memory.numel())
        return blocks, memory

    monkeypatch.setattr(partition._Negatives, "_scores", counted)
    monkeypatch.setattr(partition, "ROWS", 4)
    inputs, mask, spans = short_texts([8, 40, 8, 8], length=64)
    monkeypatch.setattr(partition, "AT_ONCE_ON_CPU", 40**2)
    span_loss(*inputs, mask, spans)
    # Rows from 0, 10, 20 and 30 on of the longest text; rows from 0 and 4 on of the three others.
    assert sizes == [10 * (40 + 30 + 20 + 10), 3 * 4 * (8 + 4)]


@pytest.mark.parametrize("margin", [20.0, 40.0, 100.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positives_may_dominate_by_any_margin(margin, dtype):
    # From 17 on, subtracting the positives from the sum over all spans would leave rounding errors of either sign.
    inputs, mask, spans = drawn(count=8, dtype=dtype, spread=0.5)
    query, key, start, end = inputs
    with torch.no_grad():
        for sample, kind, i, j in spans.tolist():
            start[sample, kind, i] += margin / 2
            end[sample, kind, j] += margin / 2
    compare([query, key, start, end], mask, spans, tolerance=1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("margin", [20.0, 45.0, 300.0])
def test_positives_may_dominate_in_the_part_that_all_types_share(margin):
    inputs, mask, _ = drawn(samples=1, types=3, length=6, width=6, spread=0.1, dtype=torch.float32)
    mask = torch.ones_like(mask)
    query, key = torch.zeros(2, 1, 6, 6)
    for token in range(5):
        query[0, token, token] = key[0, token + 1, token] = margin**0.5
    spans = torch.tensor([[0, token % 3, token, token + 1] for token in range(5)])
    compare([query.requires_grad_(), key.requires_grad_(), *inputs[2:]], mask, spans, tolerance=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [50.0, 100.0, 400.0, 2000.0])
def test_best_starts_and_ends_that_never_meet_do_not_underflow(gap, dtype):
    inputs, _, _ = drawn(samples=2, types=3, length=9, spread=0.5, dtype=dtype)
    mask = torch.ones(2, 9, dtype=torch.bool)
    with torch.no_grad():
        # The best start is the last token and the best end the first: only one-token spans have one of them.
        inputs[2][0, 1, -1] += gap
        inputs[3][0, 1, 0] += gap
        inputs[2][0, 1] -= gap
        inputs[3][0, 1] -= gap
    spans = torch.tensor([[0, 1, 0, 0], [0, 2, 8, 8], [1, 0, 3, 4]])
    compare(inputs, mask, spans, tolerance=1e-6 if dtype == torch.float32 else 1e-12)


def test_double_precision_is_tried_before_scores_one_by_one(monkeypatch):
    inputs, mask, spans = drawn(samples=2, types=3, length=9, spread=0.5, dtype=torch.float32)
    with torch.no_grad():
        inputs[2][0, 1, :-1] -= 120.0
        inputs[3][0, 1, 1:] -= 120.0
    each = []
    monkeypatch.setattr(partition._Negatives, "add_each", lambda *pair: each.append(pair))
    compare(inputs, mask, spans, tolerance=1e-6)
    assert not each


def test_tiny_sum_over_negatives_keeps_its_digits():
    """A loss of 1e-26, and its gradient, against 60 digits."""
    query, key = (torch.zeros(1, 3, 2, requires_grad=True) for _ in range(2))
    start = torch.tensor([[[-30.0, -31.5, -29.25]]], requires_grad=True)
    end = torch.tensor([[[-30.0, -28.0, -33.0]]], requires_grad=True)
    none = torch.empty(0, 4, dtype=torch.long)
    value = span_loss(query, key, start, end, torch.ones(1, 3, dtype=torch.bool), none)
    value.backward()
    with mpmath.workdps(60):
        term = {(i, j): mpmath.exp(start[0, 0, i].item() + end[0, 0, j].item()) for i in range(3) for j in range(i, 3)}
        total = mpmath.fsum(term.values())
        expected = [float(mpmath.fsum(t for (i, _), t in term.items() if i == n) / (1 + total)) for n in range(3)]
        assert value.item() == pytest.approx(float(mpmath.log1p(total)), rel=1e-6)
    assert start.grad[0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_cell_may_be_positive_for_several_types_or_for_all():
    inputs, _, _ = drawn(samples=2, types=3, length=4)
    mask = torch.ones(2, 4, dtype=torch.bool)
    everywhere = [[0, kind, i, j] for kind in range(3) for i in range(4) for j in range(i, 4)]
    compare(inputs, mask, torch.tensor(everywhere), tolerance=1e-12)
    compare(inputs, mask, torch.tensor([[1, 0, 1, 2], [1, 2, 1, 2], [1, 1, 0, 3]]), tolerance=1e-12)


def test_sample_without_tokens_counts_0_in_the_mean():
    inputs, mask, _ = drawn(samples=2)
    mask[0] = False
    none = torch.empty(0, 4, dtype=torch.long)
    compare(inputs, mask, none, tolerance=1e-12)
    alone = span_loss(*(tensor[1:] for tensor in inputs), mask[1:], none)
    assert span_loss(*inputs, mask, none).item() == pytest.approx(alone.item() / 2)


@pytest.mark.parametrize("other", [math.nan, math.inf, -1e30])
def test_values_outside_the_mask_do_not_matter(other):
    inputs, mask, spans = drawn()
    filled = [
        tensor.detach().where(mask[:, :, None] if tensor.shape[2] == 5 else mask[:, None], other).requires_grad_()
        for tensor in inputs
    ]
    value, slopes = gradients(span_loss, inputs, mask, spans)
    filled_value, filled_slopes = gradients(span_loss, filled, mask, spans)
    assert filled_value == value
    assert all(torch.equal(a, b) for a, b in zip(slopes, filled_slopes, strict=True))
    assert slopes[0][~mask].count_nonzero() == 0


def test_values_below_the_diagonal_do_not_matter():
    inputs, mask, _ = drawn(samples=1, types=2, length=4, width=4, dtype=torch.float32)
    mask = torch.ones_like(mask)
    query, key = torch.zeros(2, 1, 4, 4)
    query[0, 3, 0], key[0, 0, 0] = 30.0, 30.0
    compare([query.requires_grad_(), key.requires_grad_(), *inputs[2:]], mask, torch.tensor([[0, 0, 1, 1]]), 1e-6)


@pytest.mark.parametrize("which", range(4))
def test_nan_in_any_input_makes_the_loss_nan(which):
    inputs, mask, spans = drawn()
    with torch.no_grad():
        inputs[which][0, 0, 0] = math.nan
    assert span_loss(*inputs, mask, spans).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_computed_in_float32(dtype):
    inputs, mask, spans = drawn(dtype=dtype)
    wide = [tensor.detach().float().requires_grad_() for tensor in inputs]
    value, slopes = gradients(span_loss, inputs, mask, spans)
    expected, expected_slopes = gradients(span_loss, wide, mask, spans)
    assert value == torch.tensor(expected).to(dtype).item()
    assert all(torch.equal(a, b.to(dtype)) for a, b in zip(slopes, expected_slopes, strict=True))


def test_autocast_does_not_round_the_scores():
    inputs, mask, spans = drawn(length=17, width=16, spread=3.0, dtype=torch.float32)
    value, slopes = gradients(span_loss, inputs, mask, spans)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = span_loss(*inputs, mask, spans)
    assert again.item() == value
    assert torch.equal(torch.autograd.grad(again, inputs)[0], slopes[0])


def test_mixed_dtypes_give_the_widest_and_gradients_of_their_own():
    inputs, mask, spans = drawn(dtype=torch.float32)
    query, key = (tensor.detach().bfloat16().requires_grad_() for tensor in inputs[:2])
    value = span_loss(query, key, *inputs[2:], mask, spans)
    value.backward()
    assert value.dtype == inputs[2].grad.dtype == torch.float32
    assert query.grad.dtype == torch.bfloat16


def test_incoming_gradient_is_passed_on_and_inputs_are_not_changed():
    inputs, mask, spans = drawn()
    before = [tensor.detach().clone() for tensor in inputs]
    plain = torch.autograd.grad(span_loss(*inputs, mask, spans), inputs)
    scaled = torch.autograd.grad(-2 * span_loss(*inputs, mask, spans), inputs)
    assert all(torch.equal(a, -2 * b) for a, b in zip(scaled, plain, strict=True))
    assert all(torch.equal(a.detach(), b) for a, b in zip(inputs, before, strict=True))


def test_value_alone_is_the_same_value():
    inputs, mask, spans = drawn()
    with torch.no_grad():
        value = span_loss(*inputs, mask, spans)
    assert not value.requires_grad
    assert value.item() == span_loss(*inputs, mask, spans).item()


def test_second_derivative_is_an_error():
    inputs, mask, spans = drawn()
    with pytest.raises(RuntimeError, match="create_graph"):
        torch.autograd.grad(span_loss(*inputs, mask, spans), inputs, create_graph=True)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 0, 0, 1], r"row 1 is \[2, 0, 0, 1\].*\(2, 3, 4, 4\)"),
        ([0, 3, 0, 1], r"row 1 is \[0, 3, 0, 1\]"),
        ([0, 0, 2, 1], r"row 1 is \[0, 0, 2, 1\].*start <= end"),
        ([0, 0, 0, 4], r"row 1 is \[0, 0, 0, 4\]"),
        ([0, -1, 0, 1], r"row 1 is \[0, -1, 0, 1\]"),
        ([1, 0, 1, 3], r"row 1 is \[1, 0, 1, 3\].*tokens in the mask"),
    ],
)
def test_row_that_is_not_a_span_is_named(row, message):
    inputs, mask, _ = drawn(samples=2, types=3, length=4)
    mask = torch.tensor([[True, True, True, True], [True, True, True, False]])
    with pytest.raises(ValueError, match=message):
        span_loss(*inputs, mask, torch.tensor([[0, 0, 1, 1], row]))


def test_shapes_that_do_not_fit_are_an_error():
    (query, key, start, end), mask, spans = drawn(samples=2, types=3, length=4, width=5)
    for arguments, message in (
        ((query, key[:, :3], start, end, mask, spans), r"query \[2, 4, 5\], key \[2, 3, 5\]"),
        ((query, key, start, end, mask[:1], spans), r"mask \[1, 4\]"),
        ((query, key, start, end[:, :2], mask, spans), r"\[2, 3, 4\] and \[2, 2, 4\]"),
        ((query, key, start, end, mask, spans[:, :3]), r"spans \[8, 3\]"),
        ((query, key, start, end, mask, spans.float()), "float32"),
        ((query.long(), key, start, end, mask, spans), "int64"),
    ):
        with pytest.raises(ValueError, match=message):
            span_loss(*arguments)
