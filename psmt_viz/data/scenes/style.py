"""What makes the scenes easy or hard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SceneStyle:
    """What makes the scenes easy or hard; from a range (low, high), values are drawn uniformly."""

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
