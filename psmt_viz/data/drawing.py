"""Draws scenes of shapes with exact labels.

The shape of an object decides its class. Its look (colours and texture) comes from several modes per class, of which
some are common and many are rare: every class has all palettes, each in an order of its own, and mostly a texture of
its own. So a few labelled images show only some of the modes, colour alone misleads, and unlabelled images have
something to teach.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.shapes import SHAPES, Floats

CLASSES = ("background", *SHAPES)
"""The class names in the order of their ids; the objects from the commonest to the rarest."""

VERSION = 1
"""Counts up whenever the same parameters draw different pixels; part of the fingerprint."""

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


@dataclass(frozen=True, kw_only=True)
class SceneStyle:
    """What makes the scenes easy or hard; ranges are (low, high) and drawn uniformly unless said otherwise."""

    class_ratio: float = 0.9
    """How often an object class occurs relative to the one before; the rarest is 0.6 times as common as the first."""
    count_weights: tuple[float, ...] = (0.0, 0.1, 0.3, 0.3, 0.3)
    """Relative frequency of images with 1, 2, ... objects."""
    own_texture: float = 0.97
    """How often an object has its class's own texture; otherwise it has any texture, so that texture misleads too."""
    mode_ratio: float = 0.35
    """How often a palette occurs in a class relative to the palette before it; the lower, the rarer the last ones."""
    color_jitter: float = 0.05
    """Standard deviation of the change of an object's colours, per channel and object."""
    diameter: tuple[float, float] = (0.35, 0.65)
    """Size of an object relative to the image side; drawn uniformly."""
    separation: float = 0.60
    """Smallest distance between two centres relative to the sum of their radii, where there is room: below 1 objects
    overlap."""
    contrast: tuple[float, float] = (0.0, 0.3)
    """How far the background's two colours differ, relative to two random colours."""
    backgrounds: tuple[float, ...] = (0.35, 0.35, 0.25, 0.02, 0.03)
    """Relative frequency of backgrounds that are a gradient, clouds, grain, wavy stripes and hard-edged patches."""
    clutter: tuple[int, int] = (1, 5)
    """Number of thin lines and small blobs that belong to the background, both ends included."""
    specks: float = 0.004
    """Largest share of pixels that are bright or dark specks."""
    blob_radius: tuple[float, float] = (0.012, 0.035)
    """Radius of a clutter blob relative to the image side; stays below the smallest object's."""
    gain: tuple[float, float] = (0.85, 1.1)
    """Brightness factor of the whole image."""
    gamma: tuple[float, float] = (0.9, 1.1)
    """Exponent of the whole image's tone curve."""
    shading: float = 0.15
    """Largest relative change of brightness from the image's centre to its edge."""
    shadow: tuple[float, float] = (0, 0.25)
    """Darkness of the objects' soft shadows on what lies behind them."""
    noise: tuple[float, float] = (0.0, 0.02)
    """Standard deviation of the sensor noise, full scale being 1."""
    blur: float = 0.22
    """Largest weight of each neighbour in the three-tap blur; 1/3 would be a box filter."""


def draw_scene(rng: np.random.Generator, size: int, style: SceneStyle) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws one scene: background, clutter, objects from back to front, light and camera.

    Args:
        rng: Source of every decision.
        size: Side of the square image in pixels.
        style: What makes the scene easy or hard.

    Returns:
        The image, (size, size, 3) uint8 RGB, and the class ids, (size, size) uint8.
    """
    image = _background(rng, size, style)
    _clutter(rng, image, style)
    label = np.zeros((size, size), np.uint8)
    for place in _placement(rng, size, style):
        _object(rng, image, label, place, style)
    _light(rng, image, style)
    return _camera(rng, image, style), label


@dataclass(frozen=True, kw_only=True)
class _Place:
    class_id: int
    center: NDArray[np.float64]
    """Row and column in pixels."""
    radius: float
    """In pixels."""


def _placement(rng: np.random.Generator, size: int, style: SceneStyle) -> list[_Place]:
    """Draws where the objects are, from back to front."""
    count = 1 + rng.choice(len(style.count_weights), p=_shares(style.count_weights))
    frequencies = _shares(style.class_ratio ** np.arange(len(CLASSES) - 1))
    places: list[_Place] = []
    for class_id in 1 + rng.choice(len(frequencies), size=count, p=frequencies):
        radius = size / 2 * rng.uniform(*style.diameter)
        for _ in range(12):
            # A centre may lie near the edge, so that some objects are cut off by the frame.
            center = rng.uniform(0.4 * radius, size - 0.4 * radius, size=2)
            near = (np.hypot(*(center - other.center)) < style.separation * (radius + other.radius) for other in places)
            if not any(near):
                places.append(_Place(class_id=int(class_id), center=center, radius=radius))
                break
    return places


def _object(
    rng: np.random.Generator,
    image: Floats,
    label: NDArray[np.uint8],
    place: _Place,
    style: SceneStyle,
) -> None:
    """Draws one object and its shadow into `image` and `label`."""
    center, radius = place.center, place.radius
    form, turn, fall = rng.uniform(), rng.uniform(0, 2 * np.pi), rng.uniform(0.04, 0.16, size=2) * radius
    darkness, softness = rng.uniform(*style.shadow), rng.uniform(1.0, 0.15 * radius + 1.5)
    shape = SHAPES[CLASSES[place.class_id]]
    reach = 1.2 * radius + 2 + softness + fall.max()
    top, left = np.maximum(np.floor(center - reach), 0).astype(int)
    bottom, right = np.minimum(np.ceil(center + reach), label.shape[0]).astype(int)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    columns = np.arange(left, right, dtype=np.float32)
    cosine, sine = np.float32(np.cos(turn) / radius), np.float32(np.sin(turn) / radius)

    def local(shift: tuple[float, float]) -> tuple[Floats, Floats]:
        y, x = rows - np.float32(center[0] + shift[0]), columns - np.float32(center[1] + shift[1])
        return cosine * x + sine * y, cosine * y - sine * x

    patch = image[top:bottom, left:right]
    distance = radius * shape(*local((fall[0], fall[1])), form)
    patch *= 1 - np.float32(darkness) * np.clip(0.5 - distance / np.float32(2 * softness), 0, 1)[..., None]

    u, v = local((0.0, 0.0))
    distance = radius * shape(u, v, form)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    patch += cover * (_surface(rng, u, v, place.class_id, style) - patch)
    label[top:bottom, left:right][distance < 0] = place.class_id


def _surface(rng: np.random.Generator, u: Floats, v: Floats, class_id: int, style: SceneStyle) -> Floats:
    """Draws the colours of an object, (h, w, 3), over its local coordinates."""
    mode = int(rng.choice(len(PALETTES), p=_shares(style.mode_ratio ** np.arange(len(PALETTES)))))
    # Every class has all palettes, in an order of its own, so that the common ones of one are rare in another.
    palette = (class_id * 3 + (-1 if class_id % 2 else 1) * mode) % len(PALETTES)
    own = rng.uniform() < style.own_texture
    texture = TEXTURES[class_id - 1 if own else rng.integers(len(TEXTURES))]
    colors = np.array(PALETTES[palette], np.float32) + rng.normal(0, style.color_jitter, (2, 3)).astype(np.float32)
    return _mix(colors, _texture(rng, texture, u, v))


def _texture(rng: np.random.Generator, texture: str, u: Floats, v: Floats) -> Floats:
    """Draws the share of the second colour, (h, w) in [0, 1]."""
    rate, phase = np.float32(rng.uniform(4.0, 9.0)), rng.uniform(0, 2 * np.pi, size=2).astype(np.float32)
    if texture == "plain":
        return np.full_like(u, rng.uniform(0, 0.25))
    if texture == "stripes":
        return _step(np.sin(rate * u + phase[0]))
    if texture == "checker":
        return _step(np.sin(rate * u + phase[0]) * np.sin(rate * v + phase[1]))
    if texture == "dots":
        return _step(np.cos(rate * u + phase[0]) + np.cos(rate * v + phase[1]) - 0.9)
    if texture == "noise":
        return _smooth_noise(rng, *u.shape, cells=7)
    return np.clip(0.5 + 0.5 * u, 0, 1)


def _background(rng: np.random.Generator, size: int, style: SceneStyle) -> Floats:
    """Draws the background, (size, size, 3)."""
    first, other = rng.uniform(0.1, 0.9, (2, 3))
    colors = np.stack([first, first + rng.uniform(*style.contrast) * (other - first)]).astype(np.float32)
    y, x = _grid(size)
    turn, rate = rng.uniform(0, 2 * np.pi), np.float32(rng.uniform(8, 40))
    along = np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y
    kind = rng.choice(len(style.backgrounds), p=_shares(style.backgrounds))
    share: Floats
    if kind == 0:
        share = np.clip(0.5 + along, 0, 1)
    elif kind == 1:
        share = _smooth_noise(rng, size, size, cells=4)
    elif kind == 2:
        share = 0.6 * _smooth_noise(rng, size, size, cells=8) + 0.4 * _smooth_noise(rng, size, size, cells=30)
    elif kind == 3:
        share = _step(np.sin(rate * along) + 0.8 * (_smooth_noise(rng, size, size, cells=5) - 0.5))
    else:
        share = _step(4 * (_smooth_noise(rng, size, size, cells=6) - 0.5))
    return _mix(colors, share)


def _clutter(rng: np.random.Generator, image: Floats, style: SceneStyle) -> None:
    """Draws thin lines, small blobs and specks into `image`."""
    size = image.shape[0]
    for _ in range(rng.integers(*style.clutter, endpoint=True)):
        color, strength = rng.uniform(0, 1, 3).astype(np.float32), np.float32(rng.uniform(0.4, 1.0))
        start = rng.uniform(0, size, 2)
        if rng.uniform() < 0.5:
            length, turn = size * rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
            end, radius = start + length * np.array([np.sin(turn), np.cos(turn)]), size * rng.uniform(0.003, 0.009)
        else:
            end, radius = start, size * rng.uniform(*style.blob_radius)
        top, left = np.maximum(np.floor(np.minimum(start, end) - radius - 1), 0).astype(int)
        bottom, right = np.minimum(np.ceil(np.maximum(start, end) + radius + 1), size).astype(int)
        if bottom <= top or right <= left:
            continue
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(start[0])
        x = np.arange(left, right, dtype=np.float32) - np.float32(start[1])
        dy, dx = (end - start).astype(np.float32)
        along = np.clip((y * dy + x * dx) / max(dy * dy + dx * dx, np.float32(1e-6)), 0, 1)
        distance = np.hypot(y - along * dy, x - along * dx) - np.float32(radius)
        patch = image[top:bottom, left:right]
        patch += strength * np.clip(0.5 - distance, 0, 1)[..., None] * (color - patch)
    count = int(rng.uniform(0, style.specks) * size * size)
    rows, columns = rng.integers(0, size, (2, count))
    image[rows, columns] = rng.uniform(0, 1, (count, 1)).astype(np.float32)


def _light(rng: np.random.Generator, image: Floats, style: SceneStyle) -> None:
    """Applies directional shading, brightness and tone curve to `image`."""
    y, x = _grid(image.shape[0])
    turn, strength = rng.uniform(0, 2 * np.pi), 2 * rng.uniform(0, style.shading)
    slope = np.float32(strength * np.cos(turn)) * x + np.float32(strength * np.sin(turn)) * y
    image *= (np.float32(rng.uniform(*style.gain)) * (1 + slope))[..., None]
    np.clip(image, 0, 1, out=image)
    np.power(image, np.float32(rng.uniform(*style.gamma)), out=image)


def _camera(rng: np.random.Generator, image: Floats, style: SceneStyle) -> NDArray[np.uint8]:
    """Blurs, adds sensor noise and quantises to uint8."""
    weight = np.float32(rng.uniform(0, style.blur))
    for axis in (0, 1):
        padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
        image = (1 - 2 * weight) * image + weight * (before + after)
    image = image + np.float32(rng.uniform(*style.noise)) * rng.standard_normal(image.shape, np.float32)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _grid(size: int) -> tuple[Floats, Floats]:
    """Returns row and column coordinates from -0.5 to 0.5, as a column and a row vector."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return line[:, None], line


def _smooth_noise(rng: np.random.Generator, height: int, width: int, *, cells: int) -> Floats:
    """Draws (height, width) noise in [0, 1] that varies over about `cells` cells a side."""
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
    weights[np.arange(length), index], weights[np.arange(length), index + 1] = 1 - share, share
    return weights


def _step(value: Floats) -> Floats:
    """Turns a wave around 0 into bands of 0 and 1 with soft edges."""
    return np.clip(0.5 + 3 * value, 0, 1)


def _mix(colors: Floats, share: Floats) -> Floats:
    return colors[0] + share[..., None] * (colors[1] - colors[0])


def _shares(weights: Any) -> NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    return values / values.sum()
