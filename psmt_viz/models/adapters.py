"""Networks of other libraries, and one's own, with the split point where PS-MT perturbs: `encode` and `decode`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.adapted import WAY_OUT, Adapted
from psmt_viz.models.network import Network
from psmt_viz.models.resize import resize_unaligned

_IMAGENET: Mapping[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SMP = "segmentation_models_pytorch"
_TORCHVISION = ("torchvision.models.segmentation.deeplabv3", "DeepLabV3")


def adapt(network: nn.Module) -> Network:
    """Gives a network the split point.

    Networks with methods `encode(images)` and `decode(z, size)` serve as they are; their attribute `multiple`, if they
    have one, is heeded. DeepLabV3 of torchvision is cut after its ASPP; DeepLabV3+ of segmentation_models_pytorch where
    PS-MT cuts, before the convolutions over the joined features; other models of that library before their head. The
    two libraries' networks see images with the mean and deviation of ImageNet.

    Raises:
        UserError: if the network is none of them, or ends in an activation, so that it has no logits.
    """
    if isinstance(network, Network):
        return network
    if all(callable(getattr(network, name, None)) for name in ("encode", "decode")):
        return Adapted(network, multiple=getattr(network, "multiple", 8))
    if _is_torchvision(network):
        return Adapted(network, encode=_torchvision_encode, decode=_torchvision_decode, **_IMAGENET)
    if _is_smp(network):
        return _adapted_smp(network)
    expected = "a network with encode and decode, or one of torchvision's DeepLabV3 or segmentation_models_pytorch"
    raise UserError(expected, type(network).__name__, WAY_OUT)


def _is_torchvision(network: Any) -> bool:
    # By name, as below: to import the library takes longer than to load networks of our own.
    theirs = any((base.__module__, base.__name__) == _TORCHVISION for base in type(network).__mro__)
    return theirs and isinstance(network.classifier, nn.Sequential)


def _is_smp(network: Any) -> bool:
    # By name: the library need not be installed.
    theirs = any(base.__module__.split(".", maxsplit=1)[0] == _SMP for base in type(network).__mro__)
    return theirs and all(hasattr(network, part) for part in ("encoder", "decoder", "segmentation_head"))


def _adapted_smp(network: Any) -> Adapted:
    head = network.segmentation_head
    last = head[-1] if isinstance(head, nn.Sequential) else getattr(head, "activation", None)
    activation = getattr(last, "activation", None)
    if not isinstance(activation, nn.Identity | None):
        fix = "make it with activation=None"
        raise UserError(f"{type(network).__name__} with logits", f"activation {type(activation).__name__}", fix)
    joins = all(hasattr(network.decoder, part) for part in ("aspp", "up", "block1", "block2"))
    encode, decode = (_smp_plus_encode, _smp_plus_decode) if joins else (_smp_encode, _smp_decode)
    return Adapted(network, encode=encode, decode=decode, multiple=network.encoder.output_stride, **_IMAGENET)


def _torchvision_encode(network: Any, images: Tensor) -> Tensor:
    return network.classifier[0](network.backbone(images)["out"])


def _torchvision_decode(network: Any, z: Tensor, size: Sequence[int]) -> Tensor:
    # A slice of the classifier would be made by its own class, which takes no layers.
    for layer in list(network.classifier)[1:]:
        z = layer(z)
    return resize_unaligned(z, size)


def _smp_plus_encode(network: Any, images: Tensor) -> Tensor:
    features, decoder = network.encoder(images), network.decoder
    return torch.cat([decoder.up(decoder.aspp(features[-1])), decoder.block1(features[2])], dim=1)


def _smp_plus_decode(network: Any, z: Tensor, size: Sequence[int]) -> Tensor:
    return network.segmentation_head(network.decoder.block2(z))


def _smp_encode(network: Any, images: Tensor) -> Tensor:
    features = network.encoder(images)
    # The encoder of DPT returns features and prefix tokens, all others a list of features.
    return network.decoder(*features) if isinstance(features, tuple) else network.decoder(features)


def _smp_decode(network: Any, z: Tensor, size: Sequence[int]) -> Tensor:
    return network.segmentation_head(z)
