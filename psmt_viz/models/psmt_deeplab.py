"""The PS-MT authors' DeepLabV3+, whose published weights fit: an ASPP and dilations of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.models.backbone import Backbone
from psmt_viz.models.blocks import PooledBatchNorm
from psmt_viz.models.deeplab import DeepLab

_SLOPE = 0.01
"""Of the leaky rectifier."""


class PSMTASPP(nn.Module):
    """The authors' atrous spatial pyramid pooling; its modules have the names of their checkpoints.

    A 1x1 and dilated 3x3 convolutions beside each other, one normalisation over their concatenation and a 1x1
    convolution; to which a global branch is added, not concatenated.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), published code.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        dilated = [nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False) for rate in rates]
        self.map_convs = nn.ModuleList([nn.Conv2d(inputs, outputs, 1, bias=False), *dilated])
        self.map_bn = nn.BatchNorm2d(outputs * len(self.map_convs))
        self.global_pooling_conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.global_pooling_bn = PooledBatchNorm(outputs)
        self.red_conv = nn.Conv2d(outputs * len(self.map_convs), outputs, 1, bias=False)
        self.pool_red_conv = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.red_bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) to (B, outputs, h, w)."""
        local = torch.cat([conv(features) for conv in self.map_convs], dim=1)
        local = self.red_conv(F.leaky_relu(self.map_bn(local), _SLOPE))
        pooled = self.global_pooling_conv(features.mean(dim=(2, 3), keepdim=True))
        pooled = F.leaky_relu(self.global_pooling_bn(pooled), _SLOPE)
        return F.leaky_relu(self.red_bn(local + self.pool_red_conv(pooled)), _SLOPE)


class PSMTDeepLabV3Plus(DeepLab):
    """The authors' network: a ResNet of deep stem with a multi-grid in its last stage, and `PSMTASPP`.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), published code.
    """

    def __init__(self, config: ModelConfig, classes: int) -> None:
        backbone = Backbone(
            config.backbone,
            output_stride=config.output_stride,
            pretrained=config.pretrained,
            # By default the last normalisation of each block starts at 0; not so in the authors' code.
            zero_init_last=False,
        )
        _multi_grid(backbone.body)
        aspp = PSMTASPP(backbone.high_channels, config.aspp_channels, config.aspp_rates)
        super().__init__(backbone, aspp, config, classes)


def _multi_grid(body: Any) -> None:
    """Dilates the last stage of a ResNet by 2, 4, 8 in its three blocks, as the authors' network does.

    Rethinking Atrous Convolution for Semantic Image Segmentation (Chen et al., 2017), section 3.2.
    """
    for index, block in enumerate(body.layer4):
        rate = 2 ** (index + 1)
        block.conv2.dilation = block.conv2.padding = (rate, rate)
