"""DeepLabV3+ with the seam where PS-MT perturbs: `encode` and `decode` apart."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation.deeplabv3 import ASPPConv

from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.models.imagenet import LITE_MEAN, LITE_STD, PACKAGES, packaged_weights
from psmt_viz.models.official import BACKBONES, PSMTASPP, multi_grid

LOW_STRIDE = 4
"""Stride of the low-level features, of z and of the logits before up-sampling."""


class Backbone(nn.Module):
    """Returns the low-level (stride 4) and the last feature map of a timm network.

    Args:
        name: A timm model name.
        output_stride: Stride of the last feature map; later strides are replaced by dilation.
        pretrained: Load ImageNet weights: of an installed package, or through timm's hub.
        options: Further arguments of the timm model.

    Raises:
        UserError: if timm does not know the name or the network has no such feature maps.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        *,
        output_stride: int = 16,
        pretrained: bool = False,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        if not timm.is_model(name.split(".", maxsplit=1)[0]):
            near = difflib.get_close_matches(name, timm.list_models(), 3)
            fix = f"did you mean {', '.join(near)}?" if near else "see timm.list_models() for the names"
            raise UserError("--backbone a model name of timm", repr(name), fix)
        packaged = packaged_weights(name) if pretrained else None
        hub = pretrained and packaged is None
        if hub:
            warnings.warn(f"loading ImageNet weights of {name} through timm's hub (or its cache)", stacklevel=2)
        try:
            body: Any = timm.create_model(
                name, features_only=True, output_stride=output_stride, pretrained=hub, **options
            )
            strides = body.feature_info.reduction()
        except (TypeError, RuntimeError, AttributeError, NotImplementedError, AssertionError, OSError) as error:
            reason = f"{name}: {(str(error) or type(error).__name__).splitlines()[0]}"
            if hub:
                fix = f"connect once, install psmt-viz[imagenet] for {', '.join(PACKAGES)}, or give --no-pretrained"
                raise UserError("ImageNet weights from timm's hub", reason, fix) from None
            fix = "choose a convolutional network such as resnet50"
            raise UserError(f"--backbone with feature maps at output stride {output_stride}", reason, fix) from None
        if LOW_STRIDE not in strides or strides[-1] != output_stride:
            fix = "choose a convolutional network such as resnet50"
            raise UserError(f"--backbone with strides {LOW_STRIDE} and {output_stride}", f"{name}: {strides}", fix)
        self.body = body
        self._low = strides.index(LOW_STRIDE)
        channels = body.feature_info.channels()
        self.low_channels, self.high_channels = channels[self._low], channels[-1]
        scale = timm.data.resolve_model_data_config(self.body)
        mean, std = scale["mean"], scale["std"]
        if packaged is not None:
            # The feature extractor has no classification top.
            own = self.body.state_dict()
            self.body.load_state_dict({key: packaged[key] for key in own if key in packaged}, strict=True)
            mean, std = LITE_MEAN, LITE_STD
        # Part of the network, so that weights and the input scale that they were trained with cannot be parted.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images (B, 3, H, W) in [0, 1] to the low-level and the last feature map."""
        maps = self.body((images - self.mean) / self.std)
        return maps[self._low], maps[-1]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 branch, dilated 3x3 branches and a global branch, fused by a 1x1.

    Rethinking Atrous Convolution for Semantic Image Segmentation (Chen et al., 2017), section 3.3.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.local = nn.ModuleList([_conv(inputs, outputs, 1), *(ASPPConv(inputs, outputs, rate) for rate in rates)])
        # No normalisation here: a batch statistic of one value per image fails at batch 1.
        self.globally = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.fuse = _conv(outputs * (len(rates) + 2), outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) to (B, outputs, h, w)."""
        pooled = self.globally(features).expand(-1, -1, *features.shape[-2:])
        return self.fuse(torch.cat([*(branch(features) for branch in self.local), pooled], dim=1))


class DeepLabV3Plus(nn.Module):
    """Maps images to z (`encode`) and z to logits (`decode`).

    With `arch="psmt-deeplabv3plus"` it is the PS-MT authors' own form, whose published weights fit.

    Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen et al., 2018); z is the
    concatenation of the up-sampled ASPP output and the reduced low-level features, where PS-MT adds its noise.
    """

    multiple = 8
    """Whole images are stretched to sides that are multiples of it."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        authors = config.arch == "psmt-deeplabv3plus"
        if authors and config.backbone not in BACKBONES:
            fix = "choose one of them, or --arch deeplabv3plus"
            raise UserError(f"--backbone {' or '.join(BACKBONES)} with --arch {config.arch}", config.backbone, fix)
        self.backbone = Backbone(
            config.backbone,
            output_stride=config.output_stride,
            pretrained=config.pretrained,
            # timm would start the last normalisation of each block at 0; the authors' code does not.
            options={"zero_init_last": False} if authors else {},
        )
        if authors:
            multi_grid(self.backbone.body)
        pyramid = PSMTASPP if authors else ASPP
        self.aspp = pyramid(self.backbone.high_channels, config.aspp_channels, config.aspp_rates)
        self.reduce = _conv(self.backbone.low_channels, config.low_channels, 1)
        self.decoder = nn.Sequential(
            _conv(config.aspp_channels + config.low_channels, config.decoder_channels, 3),
            _conv(config.decoder_channels, config.decoder_channels, 3),
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

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        return self.decode(self.encode(images), images.shape[-2:])

    def head_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters outside the backbone."""
        inside = {id(parameter) for parameter in self.backbone.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in inside]


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
