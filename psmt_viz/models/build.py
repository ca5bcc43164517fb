"""From a configuration to networks: the one place that finds the class of an architecture."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from psmt_viz.architectures import ARCHITECTURES
from psmt_viz.config import ModelConfig
from psmt_viz.models.network import Network
from psmt_viz.models.networks import Networks
from psmt_viz.seeds import derived_seed


def build(config: ModelConfig, classes: int) -> Network:
    """Builds a network, with weights drawn from torch's generator but for a pretrained backbone.

    Args:
        config: The network.
        classes: Number of classes, K.

    Raises:
        UserError: if there is no such backbone, or its ImageNet weights cannot be had.
    """
    module, name = ARCHITECTURES[config.arch].network.split(":")
    return getattr(importlib.import_module(f"psmt_viz.models.{module}"), name)(config, classes)


def build_networks(
    config: ModelConfig,
    classes: Sequence[str],
    *,
    teachers: Sequence[str] = (),
    teacher_start: Literal["student", "random"] = "student",
    teacher_heads: Literal["torch", "kaiming"] = "torch",
    seed: int = 0,
) -> Networks:
    """Builds a student and teachers of the same architecture.

    Args:
        config: The network.
        classes: Class names in the order of their ids.
        teachers: The teachers' names.
        teacher_start: Where the teachers' backbones start: from the student's weights, or from random ones as torch
            draws them by default.
        teacher_heads: How the rest of the teachers is drawn: as torch draws layers by default, or Kaiming normal.
        seed: Draws the student's head, and each teacher from its own stream.

    Raises:
        UserError: as `build`.
    """
    # Construction draws from torch's global generator; the caller's stream must not notice.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "student"))
        student = build(config, len(classes))
        others: dict[str, nn.Module] = {}
        for index, name in enumerate(teachers):
            torch.manual_seed(derived_seed(seed, "teacher", index))
            teacher = build(replace(config, pretrained=False), len(classes))
            if teacher_start == "student":
                # Copies that warm up alike would stay alike; only the backbone is shared at the start.
                _backbone(teacher).load_state_dict(_backbone(student).state_dict())
            else:
                _draw_backbone(teacher)
            if teacher_heads == "kaiming":
                _draw_head(teacher)
            others[name] = teacher
    return Networks(student, others, classes=classes)


def _backbone(network: Network) -> nn.Module:
    return cast(nn.Module, network.backbone)


def _draw_backbone(network: Network) -> None:
    """Draws a backbone's weights as torch's layers do by default, which timm's own rules for its models replace."""
    for module in _backbone(network).modules():
        if isinstance(module, nn.Conv2d | nn.Linear | _BatchNorm):
            module.reset_parameters()


def _draw_head(network: Network) -> None:
    """Draws the convolutions outside the backbone from a normal distribution of variance 2 / fan-in.

    Delving Deep into Rectifiers (He et al., 2015), eq. 10.
    """
    head = {id(parameter) for parameter in network.head_parameters()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and id(module.weight) in head:
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
