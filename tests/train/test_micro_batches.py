import pytest
import torch

from psmt_viz.data.loader import Batch
from psmt_viz.train.engine import Engine
from psmt_viz.train.micro_batches import MicroBatch, MicroBatches
from psmt_viz.train.plan import Plan


def cutter(tiny, count=2, **values):
    config = tiny(batch_labeled=8, batch_unlabeled=8, accumulate=count, **values)
    plan = Plan(steps_per_epoch=1, warmup_steps=0, ramp_steps=0, total_steps=1, micro_batches=count)
    return MicroBatches(config, plan, Engine(precision="fp64"))


def batch_of(images):
    return Batch(images={"weak": images, "strong": images + 1}, label=images[:, 0])


def test_images_are_numbered_by_their_place_in_the_batch(tiny):
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 2, 2)
    cut = cutter(tiny, count=4).cut(batch_of(images), 8)
    assert [each.images for each in cut] == [range(0, 2), range(2, 4), range(4, 6), range(6, 8)]
    assert all(each.label[:, 0, 0].tolist() == list(each.images) for each in cut)
    assert {each.of for each in cut} == {8}


def test_views_are_fractions_in_the_precision_of_the_run(tiny):
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 2, 2)
    (whole,) = cutter(tiny, count=1).cut(batch_of(images), 8)
    assert whole.weak.dtype == whole.strong.dtype == torch.float64
    assert whole.weak[5, 0, 0, 0] == 5 / 255 and whole.strong[5, 0, 0, 0] == 6 / 255


def test_a_batch_that_is_cut_short_keeps_its_numbers(tiny):
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    (cut,) = cutter(tiny, count=1).cut(batch_of(images), 8)
    assert (cut.images, cut.of) == (range(0, 3), 8)


def micro_batches(*ranges):
    views = batch_of(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    return [MicroBatch(images=images, of=8, views=views, dtype=torch.float64) for images in ranges]


COUNTS = [torch.tensor([5, 0, 3, 2]), torch.tensor([7, 1, 0, 0])]
HALVES = micro_batches(range(0, 4), range(4, 8))


def test_a_mean_over_the_batch_weighs_all_pixels_alike(tiny):
    weights, total = cutter(tiny, images_per_gpu=2, loss_mean="batch").pixel_weights(HALVES, COUNTS)
    assert total == 18
    assert torch.cat(weights).tolist() == pytest.approx([1 / 18] * 8, rel=1e-15)


def test_a_mean_of_the_groups_own_means_against_counting(tiny):
    """Four groups of two images with 5, 5, 8 and 0 pixels; a group without any counts as 0."""
    weights, total = cutter(tiny, images_per_gpu=2, loss_mean="gpu").pixel_weights(HALVES, COUNTS)
    assert total == 18
    expected = [1 / (4 * 5)] * 4 + [1 / (4 * 8)] * 2
    assert torch.cat(weights)[:6].tolist() == pytest.approx(expected, rel=1e-15)


def test_a_group_may_span_several_micro_batches(tiny):
    counts = [torch.tensor([1]), torch.tensor([2]), torch.tensor([3]), torch.tensor([6])]
    halves = cutter(tiny, count=4, images_per_gpu=4, loss_mean="gpu")
    weights, _ = halves.pixel_weights(micro_batches(*(range(i, i + 1) for i in range(0, 8, 2))), counts)
    assert torch.cat(weights).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 18, 1 / 18], rel=1e-15)
