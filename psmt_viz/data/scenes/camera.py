"""Light and camera: what happens to a scene's colours after it is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.scenes.shapes import Floats
from psmt_viz.data.scenes.style import SceneStyle


def add_light(rng: np.random.Generator, image: Floats, style: SceneStyle) -> None:
    """Applies directional shading, brightness and tone curve to `image`."""
    y, x = grid(image.shape[0])
    angle = rng.uniform(0, 2 * np.pi)
    strength = 2 * rng.uniform(0, style.shading)
    slope = np.float32(strength * np.cos(angle)) * x + np.float32(strength * np.sin(angle)) * y
    image *= (np.float32(rng.uniform(*style.gain)) * (1 + slope))[..., None]
    np.clip(image, 0, 1, out=image)
    np.power(image, np.float32(rng.uniform(*style.gamma)), out=image)


def photograph(rng: np.random.Generator, image: Floats, style: SceneStyle) -> NDArray[np.uint8]:
    """Blurs, adds sensor noise and quantises to uint8."""
    weight = np.float32(rng.uniform(0, style.blur))
    for axis in (0, 1):
        if axis == 0:
            padded = np.pad(image, [(1, 1), (0, 0), (0, 0)], mode="edge")
            before, after = padded[:-2], padded[2:]
        else:
            padded = np.pad(image, [(0, 0), (1, 1), (0, 0)], mode="edge")
            before, after = padded[:, :-2], padded[:, 2:]
        image = (1 - 2 * weight) * image + weight * (before + after)
    image = image + np.float32(rng.uniform(*style.noise)) * rng.standard_normal(image.shape, np.float32)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def grid(size: int) -> tuple[Floats, Floats]:
    """Returns row and column coordinates from -0.5 to 0.5, as a column and a row vector."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return line[:, None], line
