"""What is done to the strong view's colours, against torchvision's functions, which are slower."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as vf

from psmt_viz.config import ViewConfig
from psmt_viz.data.views import Colors, apply_colors, draw_colors
from tests.data.torchvision_colors import CHANGES, recolored

FACTORS = {
    **dict.fromkeys(("brightness", "contrast", "saturation"), (0.0, 0.5, 0.81, 1.0, 1.3, 1.5, 2.0)),
    "hue": (-0.5, -0.25, -0.1, -0.001, 0.0, 0.001, 0.1, 0.25, 0.5),
}
MEAN_OFF = {"brightness": 0.0, "contrast": 0.002, "saturation": 0.1, "hue": 0.04}
"""Levels of 255; a rounding to the nearest level instead of the one below would be half a level."""


def pictures():
    """Smooth colours, noise, greys, one colour each, and extremes: name -> (3, H, W), sides odd and even."""
    source = torch.Generator().manual_seed(5)
    coarse = torch.randint(0, 256, (3, 9, 11), generator=source, dtype=torch.uint8)
    smooth = vf.resize(coarse, [120, 161], antialias=True)
    soft = (smooth.float() / 4 + 90).byte()  # of little saturation, as most of a photograph is
    noise = torch.randint(0, 256, (3, 97, 64), generator=source, dtype=torch.uint8)
    corners = torch.cartesian_prod(*[torch.tensor([0, 1, 127, 254, 255], dtype=torch.uint8)] * 3).T
    return {
        "smooth": smooth,
        "soft": soft,
        "noise": noise,
        "grey": noise[:1].expand(3, -1, -1).contiguous(),
        "corners": corners.reshape(3, 5, 25).contiguous(),
        "one": torch.tensor([200, 30, 90], dtype=torch.uint8)[:, None, None].expand(3, 40, 40).contiguous(),
    }


PICTURES = pictures()


def apart(image, colors):
    """Levels by which a change differs from torchvision's: (3, H, W)."""
    before = image.clone()
    found = apply_colors(image, colors)
    assert torch.equal(image, before) and found.dtype == torch.uint8 and found.shape == image.shape
    return (found.int() - recolored(image, colors).int()).numpy()


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_differs_by_rounding_alone(picture, change):
    for factor in FACTORS[change]:
        off = apart(PICTURES[picture], Colors(order=(change,), factors={change: factor}))
        assert np.abs(off).max() <= (0 if change == "brightness" else 1), factor
        assert abs(off.mean()) <= MEAN_OFF[change], factor


@pytest.mark.parametrize("picture", PICTURES)
def test_grey_differs_by_rounding_alone(picture):
    off = apart(PICTURES[picture], Colors(gray=True))
    assert np.abs(off).max() <= 1 and np.abs(off).mean() <= 0.05


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.8, 1.3, 2.0])
def test_a_blur_differs_by_rounding_alone_up_to_the_edge(kernel, sigma):
    for name, image in PICTURES.items():
        off = apart(image, Colors(kernel=kernel, sigma=sigma))
        # Of the corners' few pixels, many have the same rounding.
        assert np.abs(off).max() <= 1 and abs(off.mean()) <= (0.2 if name == "corners" else 0.02)


def test_the_edge_of_a_blur_mirrors_by_hand():
    """One bright column at the edge, kernel 3: column 0 sees column 1 on both sides."""
    image = torch.zeros(3, 7, 7, dtype=torch.uint8)
    image[..., 1] = 200
    side = np.exp(-0.5) / (1 + 2 * np.exp(-0.5))
    blurred = apply_colors(image, Colors(kernel=3, sigma=1.0))
    # OpenCV's weights are of 8 bits.
    assert blurred[0, 3, :3].tolist() == pytest.approx([400 * side, 200 * (1 - 2 * side), 200 * side], abs=1)


def test_hues_wrap_around():
    """Red, a turn of a third either way, by hand; half a turn is the opposite colour."""
    image = torch.tensor([200, 20, 20], dtype=torch.uint8)[:, None, None].expand(3, 4, 4).contiguous()
    for shift, expected in (
        (1 / 3, [20, 200, 20]),
        (-1 / 3, [20, 20, 200]),
        (0.5, [20, 200, 200]),
        (-0.5, [20, 200, 200]),
    ):
        found = apply_colors(image, Colors(order=("hue",), factors={"hue": shift}))
        assert (found[:, 0, 0].int() - torch.tensor(expected)).abs().max() <= 1


def test_whole_strong_views_have_the_distribution_of_the_reference():
    """Roundings add up over four changes, and a hue turns what little saturation there is: rarely by many levels."""
    config, image, off, changed = ViewConfig(), PICTURES["smooth"], [], []
    for seed in range(300):
        colors = draw_colors(config, torch.Generator().manual_seed(seed))
        off.append(apart(image, colors))
        changed.append(np.abs(recolored(image, colors).int().numpy() - image.int().numpy()).mean())
    off = np.stack(off)
    assert np.mean(changed) > 15
    assert np.abs(off).mean() < 0.1 and abs(off.mean()) < 0.03
    assert np.mean(np.abs(off) > 2) < 1e-3


def test_any_layout_in_memory_gives_the_same():
    image = PICTURES["noise"]
    colors = Colors(order=("saturation", "hue"), factors={"saturation": 1.3, "hue": 0.1}, kernel=5, sigma=1.0)
    by_pixel = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    cut = torch.zeros(3, 120, 120, dtype=torch.uint8)
    cut[:, 10:107, 20:84] = image
    for other in (
        by_pixel,
        cut[:, 10:107, 20:84],
        cut.permute(1, 2, 0).contiguous().permute(2, 0, 1)[:, 10:107, 20:84],
    ):
        assert torch.equal(apply_colors(other, colors), apply_colors(image, colors))
