"""The outlines of the scenes' objects, as signed distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def _disk(u: Floats, v: Floats, form: float) -> Floats:
    squeeze = 0.72 + 0.28 * form
    return (np.hypot(u, v / squeeze) - 1) * squeeze


def _box(u: Floats, v: Floats, form: float) -> Floats:
    return np.maximum(np.abs(u) - 0.85, np.abs(v) - (0.50 + 0.30 * form))


def _triangle(u: Floats, v: Floats, form: float) -> Floats:
    tall = 0.85 + 0.3 * form
    half = np.float32(np.sqrt(0.75))
    return np.maximum(-u, np.maximum(0.5 * u + half * v / tall, 0.5 * u - half * v / tall)) - 0.5


def _ring(u: Floats, v: Floats, form: float) -> Floats:
    hole = 0.42 + 0.2 * form
    return np.abs(np.hypot(u, v) - (1 + hole) / 2) - (1 - hole) / 2


def _star(u: Floats, v: Floats, form: float) -> Floats:
    wedge = np.float32(np.pi / 5)
    waist = 0.40 + 0.14 * form
    angle = np.abs(np.mod(np.arctan2(v, u), 2 * wedge) - wedge)
    distance = np.hypot(u, v)
    # The edge runs from the waist, where the folded angle is 0, to the tip at the wedge's other side.
    tip = np.array([np.cos(wedge), np.sin(wedge)])
    normal = np.array([tip[1], waist - tip[0]])
    normal /= np.hypot(*normal)
    return np.float32(normal[0]) * (distance * np.cos(angle) - np.float32(waist)) + np.float32(normal[1]) * (
        distance * np.sin(angle)
    )


def _cross(u: Floats, v: Floats, form: float) -> Floats:
    arm, width = 0.95, 0.24 + 0.14 * form
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - arm, b - width), np.maximum(a - width, b - arm))


SHAPES: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "disk": _disk,
    "box": _box,
    "triangle": _triangle,
    "ring": _ring,
    "star": _star,
    "cross": _cross,
}
"""Class name -> function of local coordinates u, v (broadcastable, unit = the object's radius) and a form in [0, 1]
that varies the proportions; it returns the signed distance in the same unit, negative inside."""
