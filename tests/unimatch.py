"""States in the layout of UniMatch, made from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.authors import BLOCKS, Shapes, conv, norm, resnet


def _head() -> Shapes:
    for branch, kernel in (("b0", 1), ("b1", 3), ("b2", 3), ("b3", 3)):
        yield from conv(f"head.{branch}.0", 256, 2048, kernel)
        yield from norm(f"head.{branch}.1", 256)
    yield from conv("head.b4.gap.1", 256, 2048, 1)
    yield from norm("head.b4.gap.2", 256)
    yield from conv("head.project.0", 256, 1280, 1)
    yield from norm("head.project.1", 256)
    yield from conv("reduce.0", 48, 256, 1)
    yield from norm("reduce.1", 48)
    yield from conv("fuse.0", 256, 304, 3)
    yield from norm("fuse.1", 256)
    yield from conv("fuse.3", 256, 256, 3)
    yield from norm("fuse.4", 256)


def shapes(backbone: str = "resnet50s", classes: int = 21) -> dict[str, tuple[int, ...]]:
    """Every key of a network's state and its shape, in order."""
    found = {**dict(resnet("backbone", BLOCKS[backbone])), **dict(_head())}
    return found | {"classifier.weight": (classes, 256, 1, 1), "classifier.bias": (classes,)}


def save(path: Path, state: Mapping[str, Any], **facts: Any) -> Path:
    """Saves a state as UniMatch's code does: wrapped keys, and the mean of NumPy's IoUs as the score."""
    wrapped = {f"module.{key}": values for key, values in state.items()}
    told = {"optimizer": {"state": {}, "param_groups": []}, "epoch": 79, "previous_best": np.mean([70.5, 80.0])}
    torch.save({"model": wrapped, **told, **facts}, path)
    return path
