"""What trains an encoder: batches that leave nothing out, steps of the published rules, dropout that is paired."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness_plugins.encoders.batches import batches
from harness_plugins.encoders.optimise import Optimizer, paired_dropout

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("bucket", [1, 3, 50])
@pytest.mark.parametrize(("rows", "size"), [(100, 8), (7, 8), (64, 16)])
def test_each_row_comes_once_an_epoch(rows, size, bucket):
    lengths = torch.randint(1, 50, (rows,), generator=seeded()).tolist()
    cut = list(batches(lengths, size, seeded(), bucket))
    assert torch.cat(cut).sort().values.tolist() == list(range(rows))
    assert sorted(map(len, cut)) == sorted([size] * (rows // size) + [rows % size] * bool(rows % size))


def test_buckets_hold_rows_of_like_length_in_random_order():
    lengths = torch.randint(1, 100, (1024,), generator=seeded()).tolist()

    def waste(bucket):
        return sum(len(rows) * max(lengths[row] for row in rows) for rows in batches(lengths, 32, seeded(), bucket))

    assert waste(16) < 0.6 * waste(1)
    means = [sum(lengths[row] for row in rows) / len(rows) for rows in batches(lengths, 32, seeded(), 1024)]
    assert means != sorted(means)
    assert sorted(means) == sorted(set(means))


def test_order_depends_on_the_generator_alone():
    first = [rows.tolist() for rows in batches([1] * 40, 8, seeded(1))]
    assert first == [rows.tolist() for rows in batches([9] * 40, 8, seeded(1))]
    assert first != [rows.tolist() for rows in batches([1] * 40, 8, seeded(2))]


def rates(steps=10, **options):
    optimizer = Optimizer([nn.Parameter(torch.ones(1))], {"learning_rate": 1.0, **options}, steps, CPU)
    found = []
    for _ in range(steps):
        found.append(optimizer.rate())
        optimizer.step(optimizer._parameters[0].sum())
    return found


def test_learning_rate_rises_stays_and_falls_as_asked():
    assert rates() == [1.0] * 10
    assert rates(warmup=0.5)[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates(decay="linear") == pytest.approx([1 - step / 10 for step in range(10)])
    assert rates(warmup=0.2, decay="linear") == pytest.approx(
        [0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    )


def one_step(**options):
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    Optimizer([weight], {"learning_rate": 0.1, **options}, 1, CPU).step((weight * torch.tensor([3.0, 4.0])).sum())
    return weight.detach(), weight.grad


def test_adam_and_decay_are_the_textbooks():
    assert one_step()[0].tolist() == pytest.approx([0.9, -2.1])
    assert one_step(optimizer="adamw", weight_decay=0.5)[0].tolist() == pytest.approx([0.95 - 0.1, -1.9 - 0.1])


def test_gradients_are_clipped_as_a_whole():
    assert one_step(clip_norm=1.0)[1].tolist() == pytest.approx([0.6, 0.8])
    assert one_step(clip_norm=10.0)[1].tolist() == pytest.approx([3.0, 4.0])


def test_low_precision_is_used_inside_and_weights_stay_full():
    layer = nn.Linear(4, 4)
    optimizer = Optimizer(list(layer.parameters()), {"learning_rate": 0.1, "precision": "bfloat16"}, 1, CPU)
    with optimizer.autocast():
        out = layer(torch.ones(2, 4))
    assert out.dtype == torch.bfloat16
    optimizer.step(out.float().square().sum())
    assert layer.weight.dtype == torch.float32
    assert layer.weight.grad.dtype == torch.float32
    full = Optimizer(list(layer.parameters()), {"learning_rate": 0.1}, 1, CPU)
    with full.autocast():
        assert layer(torch.ones(2, 4)).dtype == torch.float32


def test_loss_that_is_not_finite_is_told_with_its_step():
    weight = nn.Parameter(torch.ones(1))
    optimizer = Optimizer([weight], {"learning_rate": 0.1}, 7, CPU)
    optimizer.step(weight.sum())
    with pytest.raises(FloatingPointError, match="the loss is nan at step 1 of 7"):
        optimizer.step((weight * torch.nan).sum())


def test_dropout_is_paired_and_leaves_the_global_generators_alone():
    dropout, generators = nn.Dropout(0.5), (seeded(), seeded())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    masks = []
    for generator in generators:
        torch.rand(len(masks) + 1)
        with paired_dropout(generator):
            masks.append(dropout(torch.ones(100)))
    assert torch.equal(*masks)
    torch.manual_seed(3)
    with paired_dropout(generators[0]):
        assert not torch.equal(dropout(torch.ones(100)), masks[0])
    assert torch.equal(torch.get_rng_state(), before)
