"""How colours look: their contrast, and what colour-blind readers see of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

# Ottosson's OKLab, and the dichromats of Machado et al. (2009) at full severity.
_LMS = np.array(
    [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]],
)
_LAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array([[0.36732, 0.86065, -0.22797], [0.28009, 0.67250, 0.04741], [-0.01182, 0.04294, 0.96888]]),
    "protanopia": np.array([[0.15229, 1.05258, -0.20487], [0.11450, 0.78628, 0.09922], [-0.00388, -0.04812, 1.05200]]),
}


def linear(colors: Any) -> np.ndarray:
    """Returns linear RGB."""
    rgb = np.array([to_rgb(color) for color in colors])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: Any, other: Any) -> float:
    """Returns the contrast of two colours (WCAG 2), from 1 to 21."""
    light, dark = sorted(linear([one, other]) @ [0.2126, 0.7152, 0.0722], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen(colors: Iterable[Any], sight: str) -> np.ndarray:
    """Returns colours in OKLab as seen with one kind of sight."""
    return np.cbrt(np.clip(linear(colors) @ SIGHT[sight].T, 0, 1) @ _LMS.T) @ _LAB.T


def nearest(lab: np.ndarray) -> float:
    """Returns the smallest distance of two colours."""
    return min(np.linalg.norm(one - other) for one, other in combinations(lab, 2))
