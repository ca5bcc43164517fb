"""Networks of other libraries, and one's own, with the split point where PS-MT perturbs: `encode` and `decode`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import DeepLabV3

from psmt_viz.errors import UserError
from psmt_viz.models.network import Network

Encode = Callable[[Any, Tensor], Tensor]
"""Maps a network and images (B, 3, H, W) to z (B, C, h, w)."""
Decode = Callable[[Any, Tensor, Sequence[int]], Tensor]
"""Maps a network, z and a size to logits (B, K, H, W)."""

_IMAGENET: Mapping[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SMP = "segmentation_models_pytorch"
_WAY_OUT = "pass Adapted(network, encode=..., decode=...)"


class Adapted(Network):
    """Gives a foreign network the split point: maps images to z (`encode`) and z to logits (`decode`).

    Args:
        network: The network; it becomes a part of this one.
        encode: Called with the network and images. Default: `network.encode(images)`. It must take everything
            from the network that it is called with, so that copies and casts of this module work.
        decode: Called with the network, z and a size. Default: `network.decode(z, size)`.
        multiple: The network takes images whose sides are multiples of it.
        mean: Of each colour, subtracted from images in [0, 1] before `encode`.
        std: Of each colour, by which they are divided then.

    Raises:
        UserError: if the network has no such methods and no function takes their place, or a number is impossible.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        encode: Encode | None = None,
        decode: Decode | None = None,
        multiple: int = 8,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise UserError("a torch.nn.Module as network", type(network).__name__, "pass the network itself")
        for name, given in (("encode", encode), ("decode", decode)):
            if given is None and not callable(getattr(network, name, None)):
                fix = f"give {type(network).__name__} the method, or {_WAY_OUT}"
                raise UserError(f"{type(network).__name__}.{name}", "none", fix)
        if not isinstance(multiple, int) or multiple < 1:
            raise UserError("multiple a whole number from 1", repr(multiple), "give the stride of the last features")
        if (mean is None) != (std is None) or any(part is not None and len(part) != 3 for part in (mean, std)):
            raise UserError("mean and std of 3 values each, or neither", f"{mean} and {std}", "give both, for R, G, B")
        if std is not None and not all(value > 0 for value in std):
            raise UserError("std above 0", f"{tuple(std)}", "give the values of the network's training")
        self.network, self.multiple = network, multiple
        self._encode, self._decode = encode, decode
        self.register_buffer("mean", None if mean is None else torch.tensor([*mean]).float().view(1, 3, 1, 1))
        self.register_buffer("std", None if std is None else torch.tensor([*std]).float().view(1, 3, 1, 1))

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, C, h, w).

        Raises:
            UserError: if z is anything but one tensor of four axes.
        """
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        network: Any = self.network
        z = network.encode(images) if self._encode is None else self._encode(network, images)
        return _four_axes("z of encode", "(B, C, h, w)", z)

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, K, *size), resized bilinearly, without aligned corners, if they have another size.

        Raises:
            UserError: if the logits are anything but one tensor of four axes.
        """
        network: Any = self.network
        size = tuple(size)
        logits = network.decode(z, size) if self._decode is None else self._decode(network, z, size)
        return _resized(_four_axes("logits of decode", "(B, K, H, W)", logits), size)

    @property
    def fill(self) -> Tensor | float:
        """The mean colour (3, 1, 1) that is subtracted, where there is one, around images smaller than a window."""
        return 0.0 if self.mean is None else self.mean[0]

    def head_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters outside the `backbone` or `encoder` of the network inside; all if it has neither."""
        own = (getattr(self.network, name, None) for name in ("backbone", "encoder"))
        inside = {id(parameter) for part in own if isinstance(part, nn.Module) for parameter in part.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in inside]

    def layers(self) -> dict[str, nn.Module]:
        """Returns name -> module of the network inside, by the names that it has there."""
        return {name: module for name, module in self.network.named_modules() if name}


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
    if isinstance(network, DeepLabV3) and isinstance(network.classifier, nn.Sequential):
        return Adapted(network, encode=_torchvision_encode, decode=_torchvision_decode, **_IMAGENET)
    if _is_smp(network):
        return _adapted_smp(network)
    expected = "a network with encode and decode, or one of torchvision's DeepLabV3 or segmentation_models_pytorch"
    raise UserError(expected, type(network).__name__, _WAY_OUT)


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
    return _resized(z, size)


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


def _four_axes(name: str, axes: str, values: Any) -> Tensor:
    if isinstance(values, Tensor) and values.ndim == 4:
        return values
    got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
    if isinstance(values, Mapping | tuple | list):
        got += f" of {', '.join(map(str, values)) if isinstance(values, Mapping) else len(values)}"
    raise UserError(f"{name} as one tensor {axes}", got, f"pick or reshape it: {_WAY_OUT}")


def _resized(values: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)
