"""The strong view's colours by torchvision's functions: the reference of tests, and the slow way of the benchmark."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms.v2 import functional as vf

from psmt_viz.data.views import Colors

CHANGES = {
    "brightness": vf.adjust_brightness,
    "contrast": vf.adjust_contrast,
    "saturation": vf.adjust_saturation,
    "hue": vf.adjust_hue,
}


def recolored(image: Tensor, colors: Colors) -> Tensor:
    """An image (3, H, W) uint8 with other colours and blur."""
    for name in colors.order:
        image = CHANGES[name](image, colors.factors[name])
    if colors.gray:
        image = vf.rgb_to_grayscale(image, num_output_channels=3)
    if colors.kernel is not None and colors.kernel > 1:
        image = vf.gaussian_blur(image, [colors.kernel] * 2, [colors.sigma] * 2)
    return image
