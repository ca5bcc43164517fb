"""The authors' three networks with weights by a file's rule, through the product's own import of checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

import torch
from torch import Tensor

from psmt_viz.config import ModelConfig
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.exchange import official_layout, read_official
from psmt_viz.models.psmt import PSMT
from published.document import Node, read
from published.inputs import generator
from published.report import Report, relative

_DEPTHS = {50: "resnet50s", 101: "resnet101s"}


@dataclass(frozen=True, kw_only=True)
class WeightRule:
    """All that a state depends on."""

    depth: int
    """Of the ResNet: 50 or 101."""
    base: int
    """Seed of the first key; each following one has the next."""
    classes: int
    classifier_scale: float = 1.0
    bn3_scale: float = 1.0

    @classmethod
    def of(cls, rule: Node) -> WeightRule:
        """Reads the rule of golden_step or golden_val."""
        return cls(
            depth=depth_of(rule["weights"]),
            base=rule["weight_seed_base"].integer(),
            classes=rule["classes"].integer(2, 255),
            classifier_scale=rule["classifier_scale"].number(),
            bn3_scale=rule["bn3_scale"].number(),
        )


def depth_of(words: Node) -> int:
    """Returns the ResNet's depth that the words on the weights name."""
    depth = int(words.find(r"keys_resnet(\d+)", "keys_resnet50.json or keys_resnet101.json")[1])
    if depth not in _DEPTHS:
        raise words.refuse(f"naming one of {', '.join(f'keys_resnet{known}.json' for known in _DEPTHS)}")
    return depth


def keys(depth: int, beside: Path) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of the authors' checkpoint in their order.

    They are those of `keys_resnet50.json` in the folder `beside`; without that file, those that the product exports.
    """
    path = beside / f"keys_resnet{depth}.json"
    if path.exists():
        return {key: tuple(shape.integers()) for key, shape in read(path).items()}
    config = ModelConfig(arch="psmt-deeplabv3plus", backbone=_DEPTHS[depth], pretrained=False)
    with torch.device("meta"):
        own = DeepLabV3Plus(config, 21).state_dict()
    return {key: tuple(own[ours].shape) for key, (_, ours) in official_layout(own).items()}


def filled(rule: WeightRule, beside: Path) -> dict[str, Tensor]:
    """Returns the authors' state in float32, every tensor from the seed of its place."""
    state = {}
    for index, (key, listed) in enumerate(keys(rule.depth, beside).items()):
        shape = (rule.classes, *listed[1:]) if ".classifier." in key else listed
        drawn = torch.randn(shape, generator=generator(rule.base + index))
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
            continue
        if len(shape) == 4:
            values = drawn * sqrt(2 / prod(shape[1:]))
        elif key.endswith("running_var"):
            values = 1 + 0.5 * drawn.abs()
        elif key.endswith("weight"):
            values = 1 + 0.1 * drawn
        else:
            values = 0.1 * drawn
        if key.endswith("classifier.weight"):
            values = values * rule.classifier_scale
        if key.endswith("bn3.weight"):
            values = values * rule.bn3_scale
        state[key] = values
    return state


def imported(state: Mapping[str, Tensor], classes: int) -> PSMT:
    """Returns the product's networks of an authors' state, through a checkpoint file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pth"
        torch.save({"state_dict": dict(state)}, path)
        return read_official(path).bundle([f"class_{index}" for index in range(classes)])


def check_weights(report: Report, state: Mapping[str, Tensor], stated: Node) -> bool:
    """Compares some tensors of a rebuilt state with the file; returns whether they are the same."""
    wrong, total = [], 0
    for key, numbers in stated.items():
        total += 1
        values = state.get(key)
        if values is None:
            wrong.append(key)
            continue
        first = values.flatten()[:5].double().tolist()
        far = relative(float(values.double().norm()), numbers["l2"].number()) > 1e-9
        if far or first != numbers["first5"].numbers():
            wrong.append(key)
    return report.inputs("weights", wrong, total)
