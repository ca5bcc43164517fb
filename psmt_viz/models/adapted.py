"""A network of other code with the split point where PS-MT perturbs, given as two functions or methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.network import Network
from psmt_viz.models.resize import resize_unaligned

Encode = Callable[[Any, Tensor], Tensor]
"""Maps a network and images (B, 3, H, W) to z (B, C, h, w)."""
Decode = Callable[[Any, Tensor, Sequence[int]], Tensor]
"""Maps a network, z and a size to logits (B, K, H, W)."""

WAY_OUT = "pass Adapted(network, encode=..., decode=...)"
"""What to do with a network that is not known here."""


class Adapted(Network):
    """Gives a foreign network the split point: maps images to z (`encode`) and z to logits (`decode`).

    Args:
        network: The network; it becomes a part of this one.
        encode: Called with the network and images; default: `network.encode(images)`. It must take everything
            from the network that it is called with, so that copies and casts of this module work.
        decode: Called with the network, z and a size; default: `network.decode(z, size)`.
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
                fix = f"give {type(network).__name__} the method, or {WAY_OUT}"
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
        return resize_unaligned(_four_axes("logits of decode", "(B, K, H, W)", logits), size)

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


def _four_axes(name: str, axes: str, values: Any) -> Tensor:
    if isinstance(values, Tensor) and values.ndim == 4:
        return values
    got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
    if isinstance(values, Mapping | tuple | list):
        got += f" of {', '.join(map(str, values)) if isinstance(values, Mapping) else len(values)}"
    raise UserError(f"{name} as one tensor {axes}", got, f"pick or reshape it: {WAY_OUT}")
