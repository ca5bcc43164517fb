"""The authors' three networks with weights by a file's rule, through the product's own import of checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod, sqrt
from pathlib import Path

import torch
from torch import Tensor

from psmt_viz.checkpoints import read_checkpoint
from psmt_viz.checkpoints.layouts.psmt import places
from psmt_viz.checkpoints.states import keys_of
from psmt_viz.config import ModelConfig
from psmt_viz.models.networks import Networks
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
    own = keys_of(config, 21)
    return {key: tuple(own[ours].shape) for key, (_, ours) in places(own).items()}


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


def imported(state: Mapping[str, Tensor], classes: int) -> Networks:
    """Returns the product's networks of an authors' state, through a checkpoint file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pth"
        torch.save({"state_dict": dict(state)}, path)
        return read_checkpoint(path).networks([f"class_{index}" for index in range(classes)])


@dataclass(frozen=True, kw_only=True)
class Authors:
    """The authors' three networks, imported."""

    weights: Mapping[str, Mapping[str, Tensor]]
    """Role -> our state."""
    numbers: Mapping[str, tuple[float, list[float]]]
    """Their key -> L2 norm and first five values."""

    def check(self, report: Report, stated: Node) -> bool:
        """Compares some tensors with a file's; returns whether they are the same."""
        wrong = []
        for key, values in stated.items():
            size, first = self.numbers.get(key, (0.0, []))
            if relative(size, values["l2"].number()) > 1e-9 or first != values["first5"].numbers():
                wrong.append(key)
        return report.inputs("weights", wrong, len(list(stated.items())))


@lru_cache(maxsize=1)
def authors(rule: WeightRule, beside: Path) -> Authors:
    """Returns the networks with weights by a rule; the last ones are kept."""
    state = filled(rule, beside)
    numbers = {
        key: (float(values.double().norm()), values.flatten()[:5].double().tolist()) for key, values in state.items()
    }
    networks = imported(state, rule.classes).by_role()
    return Authors(weights={role: network.state_dict() for role, network in networks.items()}, numbers=numbers)
