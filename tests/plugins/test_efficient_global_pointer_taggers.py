"""The conditional random field against a sum over every path and against pytorch-crf; tags against spans."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from plugin_run import METHODS
from torchcrf import CRF

from harness_plugins.efficient_global_pointer.crf import LinearChain
from harness_plugins.efficient_global_pointer.taggers import outermost, spans_of_tags, tags_of_spans


def random_chain(tags, seed=0):
    generator = torch.Generator().manual_seed(seed)
    chain = LinearChain(tags).double()
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=generator))
    return chain, generator


def path_score(chain, emissions, path):
    moves = sum(chain.transitions[a, b].item() for a, b in itertools.pairwise(path))
    emitted = sum(emissions[step, tag].item() for step, tag in enumerate(path))
    return chain.first[path[0]].item() + emitted + moves + chain.last[path[-1]].item()


def test_the_chain_sums_over_every_path_and_finds_the_best_one():
    chain, generator = random_chain(3)
    emissions = 2 * torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    lengths = [5, 3, 1, 4]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    partition, best = chain.log_partition(emissions, mask), chain.best_path(emissions, mask)
    for row, length in enumerate(lengths):
        paths = list(itertools.product(range(3), repeat=length))
        scores = [path_score(chain, emissions[row], path) for path in paths]
        assert partition[row].item() == pytest.approx(math.log(math.fsum(map(math.exp, scores))), abs=1e-10)
        assert tuple(best[row, :length].tolist()) == paths[scores.index(max(scores))]
        tags = torch.zeros(4, 5, dtype=torch.int64)
        tags[row, :length] = torch.tensor(paths[7 % len(paths)])
        assert chain.score(emissions, mask, tags)[row].item() == pytest.approx(scores[7 % len(paths)], abs=1e-10)


def test_the_chain_agrees_with_pytorch_crf():
    chain, generator = random_chain(7, seed=1)
    emissions = torch.randn(6, 20, 7, generator=generator, dtype=torch.float64).requires_grad_()
    mask = torch.arange(20) < torch.tensor([20, 1, 7, 13, 2, 19])[:, None]
    tags = torch.randint(7, (6, 20), generator=generator)
    published = CRF(7, batch_first=True).double()
    with torch.no_grad():
        published.start_transitions.copy_(chain.first)
        published.end_transitions.copy_(chain.last)
        published.transitions.copy_(chain.transitions)
    loss = chain.negative_log_likelihood(emissions, mask, tags)
    expected = -published(emissions, tags, mask=mask, reduction="none")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value.sum(), emissions, retain_graph=True)[0] for value in (loss, expected))
    )
    paths = chain.best_path(emissions, mask)
    assert [row[tokens].tolist() for row, tokens in zip(paths, mask, strict=True)] == published.decode(
        emissions, mask=mask
    )


def test_crf_bio_reads_the_tokens_of_any_mask():
    torch.manual_seed(0)
    tagger = METHODS["crf-bio"].create(types=2, width=4).double()
    with torch.no_grad():
        tagger.chain.transitions.normal_()
    hidden = torch.randn(1, 6, 4, dtype=torch.float64)
    mask = torch.tensor([[False, True, True, False, True, True]])
    spans = torch.tensor([[0, 1, 1, 2], [0, 0, 5, 5]])
    packed = torch.tensor([[0, 1, 0, 1], [0, 0, 3, 3]])
    whole = torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(tagger.loss(hidden, mask, spans), tagger.loss(hidden[:, mask[0]], whole, packed))
    assert tagger.tags(hidden, mask)[mask].tolist() == tagger.tags(hidden[:, mask[0]], whole)[0].tolist()
    assert tagger.tags(hidden, mask)[~mask].tolist() == [0, 0]


def test_softmax_bio_is_the_mean_cross_entropy_of_the_tokens():
    torch.manual_seed(0)
    tagger = METHODS["softmax-bio"].create(types=1, width=4)
    hidden, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, True], [True, False, False]])
    log_odds = tagger.emit(hidden).log_softmax(-1)
    expected = -(log_odds[0, 0, 0] + log_odds[0, 1, 1] + log_odds[0, 2, 2] + log_odds[1, 0, 1]) / 4
    torch.testing.assert_close(tagger.loss(hidden, mask, torch.tensor([[0, 0, 1, 2], [1, 0, 0, 0]])), expected)


def test_a_text_without_a_token_counts_0_for_crf_bio():
    torch.manual_seed(0)
    tagger = METHODS["crf-bio"].create(types=2, width=4).double()
    with torch.no_grad():
        for parameter in tagger.chain.parameters():
            parameter.normal_()
    hidden = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    spans = torch.tensor([[0, 1, 0, 1]])
    loss = tagger.loss(hidden, mask, spans)
    torch.testing.assert_close(loss, tagger.loss(hidden[:1], mask[:1], spans) / 2)
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert (gradient[0, :2] != 0).all()
    assert (gradient[1] == 0).all()
    assert not tagger.spans(hidden[1:], mask[1:])[0].tolist()


@pytest.mark.parametrize("name", ["crf-bio", "softmax-bio"])
def test_a_batch_without_a_token_has_a_loss_of_0(name):
    tagger = METHODS[name].create(types=2, width=4)
    hidden = torch.randn(2, 3, 4, requires_grad=True)
    loss = tagger.loss(hidden, torch.zeros(2, 3, dtype=torch.bool), torch.zeros(0, 4, dtype=torch.int64))
    assert loss.item() == 0
    loss.backward()
    assert (hidden.grad == 0).all()


def read_by_conlleval(tags):
    """Spans of one text's tags, read token by token as the conlleval script does."""
    spans, current = [], None
    for place, tag in enumerate([*tags, 0]):
        kind, inside = ((tag - 1) // 2, tag % 2 == 0) if tag else (None, False)
        if current and not (inside and kind == current[0]):
            spans.append((current[0], current[1], place - 1))
            current = None
        if tag and current is None:
            current = (kind, place)
    return spans


def test_spans_are_read_off_tags_as_conlleval_reads_them():
    generator = torch.Generator().manual_seed(0)
    tags = torch.randint(5, (300, 9), generator=generator)
    expected = [[text, *span] for text, row in enumerate(tags.tolist()) for span in read_by_conlleval(row)]
    assert spans_of_tags(tags).tolist() == expected


def test_flat_spans_survive_tagging_and_only_the_outermost_of_nested_ones():
    mask = torch.ones(2, 8, dtype=torch.bool)
    flat = torch.tensor([[0, 0, 0, 2], [0, 1, 3, 3], [0, 1, 4, 5], [1, 0, 7, 7]])
    assert spans_of_tags(tags_of_spans(flat, mask)).tolist() == flat.tolist()
    inner = torch.tensor([[0, 1, 1, 2], [0, 0, 3, 4], [1, 1, 7, 7]])
    nested = torch.cat([inner, flat])
    # [0, 0, 3, 4] shares tokens with two spans that are not longer, and is chosen first.
    assert outermost(nested).tolist() == [[0, 0, 0, 2], [0, 0, 3, 4], [1, 0, 7, 7]]
    # The longest one wins, even if another one begins before it.
    assert outermost(torch.tensor([[0, 0, 0, 1], [0, 1, 1, 4]])).tolist() == [[0, 1, 1, 4]]
