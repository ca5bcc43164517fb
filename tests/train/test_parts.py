import pytest
import torch

from psmt_viz.data.stream import Batch
from psmt_viz.train.engine import Engine
from psmt_viz.train.parts import Parts
from psmt_viz.train.plan import Plan


def batch_parts(tiny, parts=2, **values):
    config = tiny(batch_labeled=8, batch_unlabeled=8, accumulate=parts, **values)
    plan = Plan(steps_per_epoch=1, warmup_steps=0, ramp_steps=0, total_steps=1, parts=parts)
    return Parts(config, plan, Engine(precision="fp64"))


def test_parts_are_numbered_by_their_place_in_the_batch(tiny):
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 2, 2)
    cut = batch_parts(tiny, parts=4).cut(Batch(weak=images, strong=images, label=images[:, 0]), 8)
    assert list(cut) == [range(0, 2), range(2, 4), range(4, 6), range(6, 8)]
    assert all(part.label[:, 0, 0].tolist() == list(numbers) for numbers, part in cut.items())


def test_a_batch_that_is_cut_short_keeps_its_numbers(tiny):
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    cut = batch_parts(tiny, parts=1).cut(Batch(weak=images, strong=images, label=images[:, 0]), 8)
    assert list(cut) == [range(0, 3)]


COUNTS = [torch.tensor([5, 0, 3, 2]), torch.tensor([7, 1, 0, 0])]
PARTS = [range(0, 4), range(4, 8)]


def test_a_mean_over_the_batch_weighs_all_pixels_alike(tiny):
    weights, total = batch_parts(tiny, images_per_gpu=2, loss_mean="batch").weights(COUNTS, PARTS, 8)
    assert total == 18
    assert torch.cat(weights).tolist() == pytest.approx([1 / 18] * 8, rel=1e-15)


def test_a_mean_of_the_groups_own_means_against_counting(tiny):
    """Four groups of two images with 5, 5, 8 and 0 pixels; a group without any counts as 0."""
    weights, total = batch_parts(tiny, images_per_gpu=2, loss_mean="gpu").weights(COUNTS, PARTS, 8)
    assert total == 18
    expected = [1 / (4 * 5)] * 4 + [1 / (4 * 8)] * 2
    assert torch.cat(weights)[:6].tolist() == pytest.approx(expected, rel=1e-15)


def test_a_group_may_span_several_parts(tiny):
    counts = [torch.tensor([1]), torch.tensor([2]), torch.tensor([3]), torch.tensor([6])]
    weights, _ = batch_parts(tiny, parts=4, images_per_gpu=4, loss_mean="gpu").weights(
        counts, [range(i, i + 1) for i in range(0, 8, 2)], 8
    )
    assert torch.cat(weights).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 18, 1 / 18], rel=1e-15)
