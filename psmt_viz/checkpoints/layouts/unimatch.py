"""UniMatch's checkpoints, and PrevMatch's, which are alike: one network under `model`, and no teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psmt_viz.checkpoints.checkpoint import Checkpoint
from psmt_viz.checkpoints.states import keys_of, numbers, placed, resnet_of, rows_of, state_of
from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError

CODEBASE = "UniMatch"
_SIGNS = {"head.b0.0.weight", "head.project.0.weight", "fuse.0.weight", "classifier.weight"}
_OURS_ALONE = ("backbone.mean", "backbone.std")
"""The input scale, which their code applies before the network."""


def matches(file: Mapping[str, Any]) -> bool:
    """Tells {"model": ..., "optimizer": ..., "epoch": ..., "previous_best": ...} by the names in the network."""
    return state_of(file.get("model")).keys() >= _SIGNS


def read(file: Mapping[str, Any], path: Path) -> Checkpoint:
    """Reads a checkpoint with ResNet-50 or ResNet-101 and any number of classes.

    Raises:
        UserError: if it holds other weights.
    """
    state = state_of(file["model"])
    backbone, classes = resnet_of(state, "backbone."), rows_of(state["classifier.weight"])
    if backbone is None or "backbone.conv1.0.weight" not in state or classes is None:
        body = ", ".join([key for key in state if key.startswith("backbone.")][:3]) or "no backbone"
        fix = "give a checkpoint of UniMatch with one of these two"
        raise UserError(f"a backbone ResNet-50 or ResNet-101 of deep stem in {path}", body, fix)
    config = ModelConfig(arch="unimatch-deeplabv3plus", backbone=backbone, pretrained=False)
    own = keys_of(config, classes)
    places = {key.replace(".body.", ".", 1): ("student", key) for key in own if key not in _OURS_ALONE}
    return Checkpoint(
        codebase=CODEBASE,
        method="unimatch",
        path=path,
        config=config,
        classes=classes,
        weights=placed(state, places, own, whose=f"{CODEBASE}'s {backbone}", path=path),
        # The epoch is counted from 0, the best mIoU is in percent.
        facts=numbers({name: file.get(name) for name in ("epoch", "previous_best")}),
        preset="cityscapes" if classes == 19 else "voc",
        # Nothing of its training's settings is in the file.
        settings={"method": "supervised", "split": "unknown"} | ({"crop": 801, "window": 801} if classes == 19 else {}),
    )
