"""The networks that can be built, by name: what is known of each without building it, and so without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network: where its class is and what the settings of `ModelConfig` may say of it."""

    network: str
    """`module:Class` under `psmt_viz.models`; the class takes a `ModelConfig` and the number of classes."""
    backbones: tuple[str, ...] = ()
    """timm names of the backbones that it can have; empty where any with the right feature maps will do."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Setting -> the only value that it can have."""


RESNETS = ("resnet50s", "resnet101s")
"""timm's names of the ResNets with a stem of three 3x3 convolutions (64, 64 and 128 channels)."""
_DEEPLAB: Mapping[str, Any] = MappingProxyType(
    {"output_stride": 16, "aspp_channels": 256, "aspp_rates": (6, 12, 18), "low_channels": 48, "decoder_channels": 256}
)
"""Widths and rates that published code has written into its networks."""

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "deeplabv3plus": Architecture(network="deeplab:DeepLabV3Plus"),
        "psmt-deeplabv3plus": Architecture(network="psmt_deeplab:PSMTDeepLabV3Plus", backbones=RESNETS, fixed=_DEEPLAB),
        "unimatch-deeplabv3plus": Architecture(
            network="unimatch_deeplab:UniMatchDeepLabV3Plus", backbones=RESNETS, fixed=_DEEPLAB
        ),
    }
)
"""`--arch` -> the network."""
