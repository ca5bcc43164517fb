"""Draws scenes of shapes with exact labels.

The shape of an object decides its class. Its look (colours and texture) comes from several modes per class, of which
some are common and many are rare: every class has all palettes, each in an order of its own, and mostly a texture of
its own. So a few labelled images show only some of the modes, colour alone misleads, and unlabelled images have
something to teach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.scenes.camera import add_light, grid, photograph
from psmt_viz.data.scenes.shapes import SHAPES, Floats
from psmt_viz.data.scenes.style import SceneStyle
from psmt_viz.data.scenes.textures import mix, shares, smooth_noise, soft_step, surface

CLASSES = ("background", *SHAPES)
"""The class names in the order of their ids; the objects from the commonest to the rarest."""

BACKGROUNDS = ("gradient", "clouds", "grain", "stripes", "patches")
"""How a background's two colours alternate, in the order of `SceneStyle.backgrounds`."""

VERSION = 1
"""Counts up whenever the same parameters draw different pixels; part of the fingerprint."""


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
    add_light(rng, image, style)
    return photograph(rng, image, style), label


@dataclass(frozen=True, kw_only=True)
class _Place:
    class_id: int
    center: NDArray[np.float64]
    """Row and column in pixels."""
    radius: float
    """In pixels."""


def _placement(rng: np.random.Generator, size: int, style: SceneStyle) -> list[_Place]:
    """Draws where the objects are, from back to front."""
    count = 1 + rng.choice(len(style.count_weights), p=shares(style.count_weights))
    frequencies = shares(style.class_ratio ** np.arange(len(CLASSES) - 1))
    places: list[_Place] = []
    for class_id in 1 + rng.choice(len(frequencies), size=count, p=frequencies):
        radius = size / 2 * rng.uniform(*style.diameter)
        for _ in range(12):
            # A centre may lie near the edge, so that some objects are cut off by the frame.
            center = rng.uniform(0.4 * radius, size - 0.4 * radius, size=2)
            if not any(_too_near(center, radius, other, style.separation) for other in places):
                places.append(_Place(class_id=int(class_id), center=center, radius=radius))
                break
    return places


def _too_near(center: NDArray[np.float64], radius: float, other: _Place, separation: float) -> bool:
    return bool(np.hypot(*(center - other.center)) < separation * (radius + other.radius))


def _object(
    rng: np.random.Generator,
    image: Floats,
    label: NDArray[np.uint8],
    place: _Place,
    style: SceneStyle,
) -> None:
    """Draws one object and its shadow into `image` and `label`."""
    center, radius = place.center, place.radius
    form = rng.uniform()
    angle = rng.uniform(0, 2 * np.pi)
    shadow_shift = rng.uniform(0.04, 0.16, size=2) * radius
    darkness = rng.uniform(*style.shadow)
    softness = rng.uniform(1.0, 0.15 * radius + 1.5)
    shape = SHAPES[CLASSES[place.class_id]]
    # The window of the image that object and shadow can reach.
    reach = 1.2 * radius + 2 + softness + shadow_shift.max()
    top, left = np.maximum(np.floor(center - reach), 0).astype(int)
    bottom, right = np.minimum(np.ceil(center + reach), label.shape[0]).astype(int)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    columns = np.arange(left, right, dtype=np.float32)
    cosine, sine = np.float32(np.cos(angle) / radius), np.float32(np.sin(angle) / radius)

    def local(shift_y: float, shift_x: float) -> tuple[Floats, Floats]:
        """Returns the coordinates of the window's pixels in the frame of the object, shifted by some pixels."""
        y = rows - np.float32(center[0] + shift_y)
        x = columns - np.float32(center[1] + shift_x)
        return cosine * x + sine * y, cosine * y - sine * x

    patch = image[top:bottom, left:right]
    distance = radius * shape(*local(*shadow_shift), form)
    patch *= 1 - np.float32(darkness) * np.clip(0.5 - distance / np.float32(2 * softness), 0, 1)[..., None]

    u, v = local(0.0, 0.0)
    distance = radius * shape(u, v, form)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    patch += cover * (surface(rng, u, v, place.class_id, style) - patch)
    label[top:bottom, left:right][distance < 0] = place.class_id


def _background(rng: np.random.Generator, size: int, style: SceneStyle) -> Floats:
    """Draws the background, (size, size, 3)."""
    first, other = rng.uniform(0.1, 0.9, (2, 3))
    colors = np.stack([first, first + rng.uniform(*style.contrast) * (other - first)]).astype(np.float32)
    y, x = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    rate = np.float32(rng.uniform(8, 40))
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    kind = BACKGROUNDS[rng.choice(len(BACKGROUNDS), p=shares(style.backgrounds))]
    share: Floats
    if kind == "gradient":
        share = np.clip(0.5 + along, 0, 1)
    elif kind == "clouds":
        share = smooth_noise(rng, size, size, cells=4)
    elif kind == "grain":
        share = 0.6 * smooth_noise(rng, size, size, cells=8) + 0.4 * smooth_noise(rng, size, size, cells=30)
    elif kind == "stripes":
        share = soft_step(np.sin(rate * along) + 0.8 * (smooth_noise(rng, size, size, cells=5) - 0.5))
    else:
        share = soft_step(4 * (smooth_noise(rng, size, size, cells=6) - 0.5))
    return mix(colors, share)


def _clutter(rng: np.random.Generator, image: Floats, style: SceneStyle) -> None:
    """Draws thin lines, small blobs and specks into `image`."""
    size = image.shape[0]
    for _ in range(rng.integers(*style.clutter, endpoint=True)):
        color = rng.uniform(0, 1, 3).astype(np.float32)
        strength = np.float32(rng.uniform(0.4, 1.0))
        start = rng.uniform(0, size, 2)
        if rng.uniform() < 0.5:
            length, angle = size * rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
            end = start + length * np.array([np.sin(angle), np.cos(angle)])
            radius = size * rng.uniform(0.003, 0.009)
        else:
            end, radius = start, size * rng.uniform(*style.blob_radius)
        _draw_stroke(image, _Stroke(start=start, end=end, radius=radius, color=color, strength=strength))
    count = int(rng.uniform(0, style.specks) * size * size)
    rows, columns = rng.integers(0, size, (2, count))
    image[rows, columns] = rng.uniform(0, 1, (count, 1)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    start: NDArray[np.float64]
    """Row and column in pixels, as those of the end."""
    end: NDArray[np.float64]
    radius: float
    """In pixels."""
    color: Floats
    strength: np.float32
    """Opacity in [0, 1]."""


def _draw_stroke(image: Floats, stroke: _Stroke) -> None:
    """Draws a line with round ends into `image`; from a point to itself, it is a blob."""
    size, start, end, radius = image.shape[0], stroke.start, stroke.end, stroke.radius
    top, left = np.maximum(np.floor(np.minimum(start, end) - radius - 1), 0).astype(int)
    bottom, right = np.minimum(np.ceil(np.maximum(start, end) + radius + 1), size).astype(int)
    if bottom <= top or right <= left:
        return
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(start[0])
    x = np.arange(left, right, dtype=np.float32) - np.float32(start[1])
    dy, dx = (end - start).astype(np.float32)
    along = np.clip((y * dy + x * dx) / max(dy * dy + dx * dx, np.float32(1e-6)), 0, 1)
    distance = np.hypot(y - along * dy, x - along * dx) - np.float32(radius)
    patch = image[top:bottom, left:right]
    patch += stroke.strength * np.clip(0.5 - distance, 0, 1)[..., None] * (stroke.color - patch)
