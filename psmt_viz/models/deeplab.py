"""DeepLabV3+ with the split point where PS-MT perturbs: `encode` and `decode` apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.models.backbone import Backbone
from psmt_viz.models.blocks import conv_norm_relu
from psmt_viz.models.network import Network


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 branch, dilated 3x3 branches and a global branch, fused by a 1x1.

    Rethinking Atrous Convolution for Semantic Image Segmentation (Chen et al., 2017), section 3.3.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.local = nn.ModuleList([conv_norm_relu(inputs, outputs, 1)])
        self.local.extend(conv_norm_relu(inputs, outputs, 3, dilation=rate) for rate in rates)
        # No normalisation here: a batch statistic of one value per image fails at batch 1.
        self.globally = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.fuse = conv_norm_relu(outputs * (len(rates) + 2), outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) to (B, outputs, h, w)."""
        pooled = self.globally(features).expand(-1, -1, *features.shape[-2:])
        return self.fuse(torch.cat([*(branch(features) for branch in self.local), pooled], dim=1))


class DeepLab(Network):
    """DeepLabV3+ of a backbone and a spatial pyramid pooling.

    Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen et al., 2018); z is the
    concatenation of the up-sampled pyramid and the reduced low-level features, where PS-MT adds its noise.

    Args:
        backbone: Gives the low-level and the last feature map.
        aspp: Maps the last feature map to one of `aspp_channels`.
        config: The widths.
        classes: Number of classes, K.
    """

    def __init__(self, backbone: Backbone, aspp: nn.Module, config: ModelConfig, classes: int) -> None:
        super().__init__()
        self.backbone, self.aspp = backbone, aspp
        self.reduce = conv_norm_relu(backbone.low_channels, config.low_channels, 1)
        self.decoder = nn.Sequential(
            conv_norm_relu(config.aspp_channels + config.low_channels, config.decoder_channels, 3),
            conv_norm_relu(config.decoder_channels, config.decoder_channels, 3),
        )
        self.classifier = nn.Conv2d(config.decoder_channels, classes, 1)

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, aspp + low channels, H/4, W/4)."""
        low, high = self.backbone(images)
        context = F.interpolate(self.aspp(high), size=low.shape[-2:], mode="bilinear", align_corners=True)
        return torch.cat([context, self.reduce(low)], dim=1)

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, K, *size), up-sampled bilinearly with aligned corners."""
        logits = self.classifier(self.decoder(z))
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)

    def layers(self) -> dict[str, nn.Module]:
        """Returns name -> module: `logits`, and every module, among them `decoder`, by its dotted name."""
        return {"logits": self.classifier, **super().layers()}


class DeepLabV3Plus(DeepLab):
    """The project's own DeepLabV3+, of any convolutional backbone, with the widths and rates of its configuration."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        backbone = Backbone(config.backbone, output_stride=config.output_stride, pretrained=config.pretrained)
        aspp = ASPP(backbone.high_channels, config.aspp_channels, config.aspp_rates)
        super().__init__(backbone, aspp, config, classes)
