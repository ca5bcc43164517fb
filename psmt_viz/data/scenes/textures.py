"""Colours and textures: how surfaces of the scenes look."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.scenes.shapes import Floats
from psmt_viz.data.scenes.style import SceneStyle

PALETTES = (
    ((0.82, 0.22, 0.18), (0.97, 0.76, 0.60)),
    ((0.16, 0.38, 0.78), (0.72, 0.86, 0.97)),
    ((0.20, 0.60, 0.27), (0.84, 0.91, 0.45)),
    ((0.93, 0.70, 0.16), (0.52, 0.26, 0.08)),
    ((0.52, 0.25, 0.64), (0.90, 0.74, 0.92)),
    ((0.10, 0.56, 0.58), (0.95, 0.92, 0.80)),
    ((0.93, 0.47, 0.13), (0.24, 0.22, 0.32)),
    ((0.85, 0.38, 0.58), (0.35, 0.08, 0.22)),
    ((0.36, 0.36, 0.38), (0.88, 0.88, 0.86)),
)
"""Main and second colour of an object, RGB in [0, 1]."""

TEXTURES = ("plain", "stripes", "checker", "dots", "noise", "gradient")
"""How an object's two colours alternate over its surface."""


def surface(rng: np.random.Generator, u: Floats, v: Floats, class_id: int, style: SceneStyle) -> Floats:
    """Draws the colours of an object, (h, w, 3), over its local coordinates."""
    mode = int(rng.choice(len(PALETTES), p=shares(style.mode_ratio ** np.arange(len(PALETTES)))))
    # Every class has all palettes, in an order of its own, so that the common ones of one are rare in another.
    direction = -1 if class_id % 2 else 1
    palette = (class_id * 3 + direction * mode) % len(PALETTES)
    own_texture = rng.uniform() < style.own_texture
    texture = TEXTURES[class_id - 1] if own_texture else TEXTURES[rng.integers(len(TEXTURES))]
    colors = np.array(PALETTES[palette], np.float32) + rng.normal(0, style.color_jitter, (2, 3)).astype(np.float32)
    return mix(colors, _texture(rng, texture, u, v))


def _texture(rng: np.random.Generator, texture: str, u: Floats, v: Floats) -> Floats:
    """Draws the share of the second colour, (h, w) in [0, 1]."""
    rate = np.float32(rng.uniform(4.0, 9.0))
    phase = rng.uniform(0, 2 * np.pi, size=2).astype(np.float32)
    if texture == "plain":
        return np.full_like(u, rng.uniform(0, 0.25))
    if texture == "stripes":
        return soft_step(np.sin(rate * u + phase[0]))
    if texture == "checker":
        return soft_step(np.sin(rate * u + phase[0]) * np.sin(rate * v + phase[1]))
    if texture == "dots":
        return soft_step(np.cos(rate * u + phase[0]) + np.cos(rate * v + phase[1]) - 0.9)
    if texture == "noise":
        return smooth_noise(rng, *u.shape, cells=7)
    return np.clip(0.5 + 0.5 * u, 0, 1)


def smooth_noise(rng: np.random.Generator, height: int, width: int, *, cells: int) -> Floats:
    """Draws (height, width) noise in [0, 1] that varies over about `cells` cells per side."""
    knots = rng.uniform(-0.15, 1.15, (cells + 1, cells + 1)).astype(np.float32)
    return np.clip(_spread(height, cells) @ knots @ _spread(width, cells).T, 0, 1)


@lru_cache(maxsize=1024)
def _spread(length: int, cells: int) -> Floats:
    """Returns the (length, cells + 1) weights that interpolate knots smoothly over a line of pixels."""
    position = (np.arange(length) + 0.5) / length * cells
    index = np.minimum(position.astype(int), cells - 1)
    share = position - index
    share = share * share * (3 - 2 * share)
    weights = np.zeros((length, cells + 1), np.float32)
    weights[np.arange(length), index] = 1 - share
    weights[np.arange(length), index + 1] = share
    return weights


def soft_step(value: Floats) -> Floats:
    """Turns a wave around 0 into bands of 0 and 1 with soft edges."""
    return np.clip(0.5 + 3 * value, 0, 1)


def mix(colors: Floats, share: Floats) -> Floats:
    """Mixes two colours, (2, 3), by the share of the second, (h, w), to (h, w, 3)."""
    return colors[0] + share[..., None] * (colors[1] - colors[0])


def shares(weights: Any) -> NDArray[np.float64]:
    """Returns weights as probabilities."""
    values = np.asarray(weights, dtype=np.float64)
    return values / values.sum()
