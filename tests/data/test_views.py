from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from psmt_viz.config import ViewConfig
from psmt_viz.data.views import Colors, Geometry, apply_colors, apply_geometry, draw_colors, draw_geometry, draw_views

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


def test_labels_are_shifted_against_the_image_as_the_published_ones_are():
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
    # The published nearest neighbour takes the first of five source pixels, not the middle one: 0, .2, .4, .6 or .8.
    assert sum(shifts) / len(shifts) == pytest.approx(0.4, abs=0.05)


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
    # Jitter .8, grey .2, a blur of .5 whose kernel is 1 in 2 of 4.95 cases; all three independent.
    still_sharp = 1 - 0.5 * 2.95 / 4.95
    for count, share in ((same, 0.2 * 0.8 * still_sharp), (same_still, 0.8 * still_sharp), (grey, 0.2)):
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


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (5, 10, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (10, 5, [0, 2, 4, 6, 8]),
        (3, 7, [0, 0, 0, 1, 1, 2, 2]),
        (4, 4, [0, 1, 2, 3]),
    ],
)
def test_labels_take_the_pixel_below(old, new, expected):
    """floor(i * old / new), by hand."""
    label = torch.arange(old, dtype=torch.uint8).expand(old, old).contiguous()
    whole = Geometry(size=(new, new), top=0, left=0, mirrored=False)
    _, resized = apply_geometry(torch.zeros(3, old, old, dtype=torch.uint8), label, whole, new)
    assert resized[0].tolist() == expected


@pytest.mark.parametrize("size", [(47, 63), (188, 250), (94, 125)])
def test_images_are_resized_as_pillow_resizes_them(size):
    """Bicubic and antialiased; a bilinear image is tens of levels away."""
    image = torch.randint(0, 256, (94, 125, 3), generator=torch.Generator().manual_seed(1)).byte()
    expected = np.asarray(Image.fromarray(image.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    whole = Geometry(size=size, top=0, left=0, mirrored=False)
    found, _ = apply_geometry(image.permute(2, 0, 1), torch.zeros(94, 125, dtype=torch.uint8), whole, max(size))
    difference = np.abs(found[:, : size[0], : size[1]].permute(1, 2, 0).numpy().astype(int) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.01


def geometries(size, config, draws=3000):
    return [draw_geometry(size, config, torch.Generator().manual_seed(seed)) for seed in range(draws)]


def test_halves_of_a_pixel_go_up():
    config = ViewConfig(crop=32, long_side=(3, 3))
    assert geometries((1, 2), config, 1)[0].size == (2, 3)  # 1.5 up; and 2.5 to 3, not to the even number
    assert geometries((10, 4), ViewConfig(crop=32, long_side=(25, 25)), 1)[0].size == (25, 10)
    assert geometries((2, 4), ViewConfig(crop=32, long_side=(5, 5)), 1)[0].size == (3, 5)


def test_a_base_size_is_scaled_from_a_half_to_two_whatever_the_images_size():
    config = ViewConfig(crop=32, base_size=(101, 203))
    small, large = geometries((10, 20), config), geometries((300, 300), config)
    assert [each.size for each in small] == [each.size for each in large]
    scales = np.array([each.size[1] / 203 for each in small])
    assert scales.min() >= 0.49 and scales.max() < 2
    assert scales.mean() == pytest.approx(1.25 - 0.5 / 203, abs=4.5 * 1.5 * 12**-0.5 / 3000**0.5)
    # Both sides are rounded down from one real factor.
    assert all(-1 < each.size[1] - each.size[0] * 203 / 101 < 203 / 101 for each in small)
    assert any(each.size[0] != each.size[1] // 2 for each in small)


def test_colours_are_drawn_as_the_published_code_draws_them():
    config = ViewConfig()
    drawn = [draw_colors(config, torch.Generator().manual_seed(seed)) for seed in range(4000)]
    jittered = [each for each in drawn if each.order]
    blurred = [each for each in drawn if each.kernel is not None]
    for count, of, share in (
        (len(jittered), 4000, 0.8),
        (sum(each.gray for each in drawn), 4000, 0.2),
        (len(blurred), 4000, 0.5),
        (sum(each.kernel == 1 for each in blurred), len(blurred), 2 / 4.95),
        (sum(each.kernel == 3 for each in blurred), len(blurred), 2 / 4.95),
        (sum(each.kernel == 5 for each in blurred), len(blurred), 0.95 / 4.95),
    ):
        assert abs(count / of - share) < 4.5 * (share * (1 - share) / of) ** 0.5
    assert len({each.order for each in jittered}) == 24
    for name, low, high in (
        ("brightness", 0.5, 1.5),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.5, 1.5),
        ("hue", -0.25, 0.25),
    ):
        values = np.array([each.factors[name] for each in jittered])
        assert low <= values.min() < low + 0.02 and high - 0.02 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4.5 * (high - low) * 12**-0.5 / len(values) ** 0.5)
    sigmas = np.array([each.sigma for each in blurred])
    assert 0.1 <= sigmas.min() < 0.12 and 1.98 < sigmas.max() <= 2.0


def test_changes_of_colour_follow_their_order():
    """Brightness twice and no saturation, on one colour: by hand, in both orders."""
    image = torch.tensor([100, 50, 200], dtype=torch.uint8)[:, None, None].expand(3, 4, 4).contiguous()
    factors = {"brightness": 2.0, "saturation": 0.0}
    grey = round(0.2989 * 100 + 0.587 * 50 + 0.114 * 200)
    brighter_first = round(0.2989 * 200 + 0.587 * 100 + 0.114 * 255)
    for order, expected in ((("saturation", "brightness"), 2 * grey), (("brightness", "saturation"), brighter_first)):
        found = apply_colors(image, Colors(order=order, factors=factors))
        assert (found.int() - expected).abs().max() <= 2
    assert torch.equal(apply_colors(image, Colors(kernel=1, sigma=2.0)), image)
