from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from psmt_viz.config import ViewConfig
from psmt_viz.data.views import draw_views

STILL = ViewConfig(crop=64, long_side=(96, 224), jitter=(0, 0, 0, 0))


@pytest.fixture(scope="module")
def blocks():
    """An image whose grey level is 40 times its label, in blocks without any symmetry: (3, H, W) and (H, W)."""
    ids = torch.randint(0, 6, (7, 5), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    label = ids.repeat_interleave(32, 0).repeat_interleave(32, 1)
    return (label * 40).expand(3, -1, -1).contiguous(), label


@pytest.fixture(scope="module")
def photo():
    """Colour noise and its columns' numbers: (3, 64, 64) and (64, 64)."""
    image = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return image, torch.arange(64, dtype=torch.uint8).expand(64, 64).contiguous()


def inner(label):
    """Pixels whose whole 9 x 9 neighbourhood has one label: neither scaling nor blur mixes another one in."""
    values = F.pad(label[None, None].float(), [4] * 4, value=-1.0)  # what lies outside the crop is unknown
    return (F.max_pool2d(values, 9, 1) == -F.max_pool2d(-values, 9, 1))[0, 0]


@pytest.mark.parametrize("seed", range(12))
def test_both_views_and_the_label_share_one_geometry(blocks, seed):
    views = draw_views(*blocks, STILL, seed=seed)
    inside = inner(views.label) & (views.label != 255)
    assert inside.float().mean() > 0.05
    assert len(views.label[inside].unique()) >= 2
    for view in (views.weak, views.strong):
        difference = (view.int() - 40 * views.label.int()).abs()[:, inside]
        assert difference.max() <= 1  # of rounding


def test_seeds_give_other_geometries(blocks):
    drawn = [draw_views(*blocks, STILL, seed=seed).label for seed in range(12)]
    assert len({label.numpy().tobytes() for label in drawn}) == 12


@pytest.mark.parametrize("seed", range(6))
def test_the_padding_has_no_label_and_the_mean_colour(blocks, seed):
    views = draw_views(*blocks, replace(STILL, crop=232), seed=seed)
    padding = views.label == 255
    rows, columns = (~padding).any(1), (~padding).any(0)
    assert torch.equal(~padding, rows[:, None] & columns)  # the image is one rectangle
    assert 0.05 < padding.float().mean() < 1
    assert (views.weak[:, padding] == torch.tensor([124, 116, 104])[:, None]).all()


def test_void_of_the_data_set_stays_void(blocks):
    image, label = blocks
    views = draw_views(image, torch.full_like(label, 255), STILL, seed=1)
    assert (views.label == 255).all()


def test_scales_are_uniform_over_the_range_and_keep_the_shape():
    image, label = torch.zeros(3, 60, 100, dtype=torch.uint8), torch.zeros(60, 100, dtype=torch.uint8)
    config = ViewConfig(crop=160, long_side=(80, 150))
    lengths, mirrored = [], 0
    for seed in range(400):
        inside = draw_views(image, label, config, seed=seed).label != 255
        height, width = int(inside.any(1).sum()), int(inside.any(0).sum())
        assert height == round(60 * width / 100)
        lengths.append(width)
        mirrored += bool(inside[0, -1])  # the padding is on the left only after mirroring
    lengths = torch.tensor(lengths, dtype=torch.float64)
    assert lengths.min() >= 80 and lengths.min() <= 82
    assert lengths.max() <= 150 and lengths.max() >= 148
    # Uniform on 80, ..., 150: mean 115, variance (71^2 - 1) / 12; 4.5 standard errors.
    deviation = ((71**2 - 1) / 12) ** 0.5
    assert abs(lengths.mean() - 115) < 4.5 * deviation / 20
    assert abs(lengths.std() / deviation - 1) < 0.15
    assert abs(mirrored / 400 - 0.5) < 4.5 * 0.5 / 20


def test_the_crop_lies_anywhere(photo):
    config = ViewConfig(crop=32, long_side=(64, 64))
    lefts, mirrored = [], 0
    for seed in range(400):
        row = draw_views(*photo, config, seed=seed).label[0].int()
        mirrored += bool(row[0] > row[-1])
        row = row.flip(0) if row[0] > row[-1] else row
        assert torch.equal(row, torch.arange(32) + row[0])
        lefts.append(int(row[0]))
    assert (min(lefts), max(lefts)) == (0, 32)
    assert len(set(lefts)) == 33
    assert abs(sum(lefts) / 400 - 16) < 4.5 * (33**2 / 12) ** 0.5 / 20
    assert abs(mirrored / 400 - 0.5) < 4.5 * 0.5 / 20


def test_labels_are_not_shifted_against_the_image():
    """A vertical edge at many places, scaled down by 5: where is it in the image, and where in the label?"""
    config = ViewConfig(crop=64, long_side=(64, 64), jitter=(0, 0, 0, 0))
    seed = next(s for s in range(9) if draw_views(*edge(64, 30), config, seed=s).label[0, 0] == 0)  # not mirrored
    shifts = []
    for column in range(120, 200):
        views = draw_views(*edge(320, column), config, seed=seed)
        in_image = 64 - views.weak[0, 32].double().sum() / 240
        in_label = (views.label[32] == 0).sum()
        assert abs(in_image - column / 5) < 0.05
        shifts.append(float(in_label - in_image))
    assert abs(sum(shifts) / len(shifts)) < 0.15


def edge(side, column):
    label = (torch.arange(side) >= column).to(torch.uint8).expand(side, side).contiguous()
    return (label * 240).expand(3, -1, -1).contiguous(), label


def test_the_strong_view_changes_what_it_should_and_as_often(photo):
    config = ViewConfig(crop=32, long_side=(64, 64))
    still = replace(config, jitter=(0, 0, 0, 0))
    same, same_still, grey = 0, 0, 0
    for seed in range(400):
        views, calm = draw_views(*photo, config, seed=seed), draw_views(*photo, still, seed=seed)
        same += torch.equal(views.strong, views.weak)
        same_still += torch.equal(calm.strong, calm.weak)
        grey += torch.equal(calm.strong[0], calm.strong[1]) and torch.equal(calm.strong[1], calm.strong[2])
        assert len(views.weak.unique()) > 2
    # Jitter .8, grey .2, a real blur .5 * 2 / 3; all three independent.
    for count, share in ((same, 0.2 * 0.8 * 2 / 3), (same_still, 0.8 * 2 / 3), (grey, 0.2)):
        assert abs(count / 400 - share) < 4.5 * (share * (1 - share) / 400) ** 0.5


def test_brightness_stays_within_its_strength():
    """Grey 100 under brightness .5 alone lies in [50, 150]."""
    image, label = torch.full((3, 40, 40), 100, dtype=torch.uint8), torch.zeros(40, 40, dtype=torch.uint8)
    config = ViewConfig(crop=40, long_side=(40, 40), jitter=(0.5, 0, 0, 0))
    means = torch.tensor([draw_views(image, label, config, seed=s).strong.float().mean() for s in range(200)])
    assert means.min() >= 49 and means.max() <= 151
    assert means.min() < 60 and means.max() > 140
    assert 0.1 < (means.round() == 100).float().mean() < 0.35


def test_views_are_a_function_of_the_seed(photo):
    first, again = (draw_views(*photo, ViewConfig(crop=32, long_side=(40, 90)), seed=2**62) for _ in range(2))
    for name in ("weak", "strong", "label"):
        assert torch.equal(getattr(first, name), getattr(again, name))


def test_the_callers_generator_and_images_are_untouched(photo):
    image, label = (tensor.clone() for tensor in photo)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    draw_views(*photo, ViewConfig(crop=32, long_side=(40, 90)), seed=0)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(photo[0], image) and torch.equal(photo[1], label)


def test_types_are_plain(photo):
    views = draw_views(*photo, STILL, seed=0)
    assert [type(view) for view in (views.weak, views.strong, views.label)] == [torch.Tensor] * 3
    assert [(view.dtype, tuple(view.shape)) for view in (views.weak, views.strong, views.label)] == [
        (torch.uint8, (3, 64, 64)),
        (torch.uint8, (3, 64, 64)),
        (torch.uint8, (64, 64)),
    ]
