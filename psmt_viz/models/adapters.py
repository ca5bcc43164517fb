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
from psmt_viz.models.split_at import split_at

_IMAGENET: Mapping[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SMP = "segmentation_models_pytorch"
_TRANSFORMERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "transformers.SegformerForSemanticSegmentation": ("decode_head.linear_fuse", {**_IMAGENET, "multiple": 32}),
    "transformers.UperNetForSemanticSegmentation": (
        "decode_head.fpn_bottleneck",
        {**_IMAGENET, "multiple": 32, "before": True},
    ),
    "transformers.DPTForSemanticSegmentation": (
        "head.head",
        {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "multiple": 16, "before": True},
    ),
}
"""Class -> module at which it is cut, and how."""


def adapt(network: nn.Module) -> Network:
    """Gives a network the split point.

    Networks with methods `encode(images)` and `decode(z, size)` serve as they are; their attribute `multiple`, if they
    have one, is heeded. Those of libraries are cut where the features of several stages have met, and see images with
    the mean and deviation of ImageNet (DPT of transformers: 0.5):

    - torchvision: DeepLabV3 after its ASPP, FCN after the backbone, LRASPP before its two classifiers;
    - segmentation_models_pytorch: DeepLabV3+ where PS-MT cuts, before the convolutions over the joined features, other
      models before their head;
    - transformers: SegFormer after the layer that fuses the stages, UperNet and DPT before the last convolutions.

    What wraps a network for several devices or compiles it is taken off.

    Raises:
        UserError: if the network is none of them, or ends in an activation, so that it has no logits.
    """
    network = unwrapped(network)
    if isinstance(network, Network):
        return network
    if all(callable(getattr(network, name, None)) for name in ("encode", "decode")):
        return Adapted(network, multiple=getattr(network, "multiple", 8))
    # By name: the libraries need not be installed, and importing one takes longer than loading networks of our own.
    theirs = {f"{base.__module__.split('.', maxsplit=1)[0]}.{base.__name__}" for base in type(network).__mro__}
    if theirs & {"torchvision.DeepLabV3", "torchvision.FCN"} and isinstance(network.classifier, nn.Sequential):
        return _adapted_torchvision(network)
    if "torchvision.LRASPP" in theirs:
        return Adapted(network, encode=_lraspp_encode, decode=_lraspp_decode, multiple=32, **_IMAGENET)
    if _is_smp(network):
        return _adapted_smp(network)
    if known := sorted(theirs & _TRANSFORMERS.keys()):
        name, options = _TRANSFORMERS[known[0]]
        return split_at(network, name, **options)
    expected = (
        "a network with encode and decode, or one of torchvision, segmentation_models_pytorch or transformers that is "
        "known"
    )
    raise UserError(expected, type(network).__name__, f"say where to cut with --split-at MODULE, or {WAY_OUT}")


def unwrapped(network: nn.Module) -> nn.Module:
    """Returns the network inside `DataParallel`, `DistributedDataParallel` or what `torch.compile` gave."""
    while True:
        inside = getattr(network, "_orig_mod", None)
        if inside is None and type(network).__name__ in ("DataParallel", "DistributedDataParallel"):
            inside = network.module
        if not isinstance(inside, nn.Module):
            return network
        network = inside


def _adapted_torchvision(network: Any) -> Adapted:
    # Of DeepLabV3 the first part of the classifier is the ASPP.
    deep = type(network.classifier[0]).__name__ == "ASPP"
    encode, decode = (_torchvision_encode, _torchvision_decode) if deep else (_fcn_encode, _fcn_decode)
    return Adapted(network, encode=encode, decode=decode, **_IMAGENET)


def _fcn_encode(network: Any, images: Tensor) -> Tensor:
    return network.backbone(images)["out"]


def _fcn_decode(network: Any, z: Tensor, size: Sequence[int]) -> Tensor:
    return network.classifier(z)


def _lraspp_encode(network: Any, images: Tensor) -> Tensor:
    features, head = network.backbone(images), network.classifier
    low, high = features["low"], features["high"]
    context = head.cbr(high) * head.scale(high)
    return torch.cat([low, resize_unaligned(context, low.shape[-2:])], dim=1)


def _lraspp_decode(network: Any, z: Tensor, size: Sequence[int]) -> Tensor:
    head = network.classifier
    low = head.low_classifier.in_channels
    return head.low_classifier(z[:, :low]) + head.high_classifier(z[:, low:])


def _is_smp(network: Any) -> bool:
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
