"""UniMatch's DeepLabV3+, whose published weights fit; PrevMatch's is the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.models.backbone import Backbone
from psmt_viz.models.blocks import PooledBatchNorm, conv_norm_relu
from psmt_viz.models.network import Network


class UniMatchASPP(nn.Module):
    """Atrous spatial pyramid pooling with a normalised global branch; its modules have the names of their checkpoints.

    Rethinking Atrous Convolution for Semantic Image Segmentation (Chen et al., 2017), section 3.3.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.b0 = conv_norm_relu(inputs, outputs, 1)
        self.b1, self.b2, self.b3 = (conv_norm_relu(inputs, outputs, 3, dilation=rate) for rate in rates)
        conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv, PooledBatchNorm(outputs), nn.ReLU())
        self.b4 = nn.ModuleDict({"gap": gap})
        self.project = conv_norm_relu(5 * outputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) to (B, outputs, h, w)."""
        local = [branch(features) for branch in (self.b0, self.b1, self.b2, self.b3)]
        pooled = self.b4["gap"](features).expand(-1, -1, *features.shape[-2:])
        return self.project(torch.cat([*local, pooled], dim=1))


class UniMatchDeepLabV3Plus(Network):
    """The network of UniMatch's code: a ResNet of deep stem at output stride 16; z begins with the low-level features.

    Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation (Yang et al., 2023), published code.
    """

    multiple = 1
    """Images keep their size, as in the published validation."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        self.backbone = Backbone(config.backbone, output_stride=config.output_stride, pretrained=config.pretrained)
        self.head = UniMatchASPP(self.backbone.high_channels, config.aspp_channels, config.aspp_rates)
        self.reduce = conv_norm_relu(self.backbone.low_channels, config.low_channels, 1)
        self.fuse = nn.Sequential(
            *conv_norm_relu(config.low_channels + config.aspp_channels, config.decoder_channels, 3),
            *conv_norm_relu(config.decoder_channels, config.decoder_channels, 3),
        )
        self.classifier = nn.Conv2d(config.decoder_channels, classes, 1)

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, low + aspp channels, H/4, W/4)."""
        low, high = self.backbone(images)
        context = F.interpolate(self.head(high), size=low.shape[-2:], mode="bilinear", align_corners=True)
        return torch.cat([self.reduce(low), context], dim=1)

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, K, *size), up-sampled bilinearly with aligned corners."""
        logits = self.classifier(self.fuse(z))
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)

    def layers(self) -> dict[str, nn.Module]:
        """Returns name -> module: `decoder` (`fuse`), `logits`, and every module by its dotted name."""
        return {"decoder": self.fuse, "logits": self.classifier, **super().layers()}
