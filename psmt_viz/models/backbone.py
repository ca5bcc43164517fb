"""The convolutional networks of timm, cut to the feature maps that a DeepLabV3+ takes."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.imagenet import LITE_MEAN, LITE_STD, PACKAGES, packaged_weights

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
        import timm  # half of the time that a command with networks takes to start

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
