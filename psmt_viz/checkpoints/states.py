"""What layouts share: states without the prefixes of wrappers, tensors put in their places, numbers that files tell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.models.build import build

_WRAPPERS = re.compile(r"(module\.|_orig_mod\.)+")
"""What training on several devices and compiling put before each key."""
_RESNETS = {6: "resnet50s", 23: "resnet101s"}
"""Blocks of the third stage -> backbone."""


def state_of(value: Any) -> dict[str, Any]:
    """Returns a state without the prefixes of wrappers; empty where the value is none."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return {}
    return {_WRAPPERS.sub("", key, count=1) if _WRAPPERS.match(key) else key: each for key, each in value.items()}


def resnet_of(keys: Iterable[str], prefix: str) -> str | None:
    """Returns timm's name of a ResNet of deep stem whose keys begin with a prefix, or None if there is none."""
    found = (re.match(rf"{re.escape(prefix)}layer3\.(\d+)\.", key) for key in keys)
    return _RESNETS.get(len({match[1] for match in found if match}))


def rows_of(value: Any) -> int | None:
    """Returns the number of classes of a classifier's weights (K, C, 1, 1), or None if they are none."""
    return len(value) if isinstance(value, Tensor) and value.ndim == 4 and len(value) else None


def keys_of(config: ModelConfig, classes: int) -> dict[str, Tensor]:
    """Returns the state of a network on the meta device: keys, types and shapes without values."""
    with torch.device("meta"):
        return build(config, classes).state_dict()


def placed(
    state: Mapping[str, Any],
    places: Mapping[str, tuple[str, str]],
    own: Mapping[str, Tensor],
    *,
    unused: tuple[str, ...] = (),
    whose: str,
    path: Path,
) -> dict[str, dict[str, Tensor]]:
    """Puts the tensors of a state in their places.

    Args:
        state: Their key -> tensor.
        places: Their key -> role and our key.
        own: Our key -> a tensor of the right type and shape.
        unused: Beginnings of keys that may be there and that nothing uses.
        whose: Codebase and network, for the errors.
        path: The file, for the errors.

    Returns:
        Role -> our key -> tensor.

    Raises:
        UserError: if a tensor is missing, unknown, or of another type or shape; the first three are named.
    """
    faults = [f"no {key}" for key in places if key not in state]
    faults += [f"unknown {key}" for key in state if key not in places and not key.startswith(unused)]
    faults += [
        f"{key} as {_kind(state[key])}, not {_kind(own[ours])}"
        for key, (_, ours) in places.items()
        if key in state and _kind(state[key]) != _kind(own[ours])
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        got = f"{'; '.join(faults[:3])}{more}"
        raise UserError(f"the weights of {whose} in {path}", got, "give a whole checkpoint of that network")
    weights: dict[str, dict[str, Tensor]] = {}
    for key, (role, ours) in places.items():
        weights.setdefault(role, {})[ours] = state[key]
    return weights


def numbers(told: Mapping[str, Any]) -> dict[str, int | float]:
    """Returns those of some facts that are finite numbers, NumPy's as Python's."""
    return {
        name: float(value) if isinstance(value, float) else value
        for name, value in told.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
