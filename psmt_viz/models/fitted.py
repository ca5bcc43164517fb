"""Networks that give one channel, or take images of one size, as every command wants them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from psmt_viz.models.network import Network
from psmt_viz.models.resize import resize_unaligned


class _Fitted(Network):
    """A network inside another.

    Args:
        network: The network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.multiple = network, network.multiple

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, C, h, w)."""
        return self.network.encode(images)

    @property
    def fill(self) -> Tensor | float:
        """The colour around images that are smaller than a window."""
        return self.network.fill

    def head_parameters(self) -> list[nn.Parameter]:
        """Returns those of the network inside."""
        return self.network.head_parameters()

    def layers(self) -> dict[str, nn.Module]:
        """Returns those of the network inside."""
        return self.network.layers()


class OneChannel(_Fitted):
    """A network for two classes with one logit, that of a sigmoid for the second class."""

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, 2, *size): 0 and the network's, whose softmax is its sigmoid."""
        logits = self.network.decode(z, size)
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


class FixedSize(_Fitted):
    """A network that takes images of one size alone, such as a vision transformer; others are resized to it.

    Args:
        network: The network.
        side: Height and width of its images.
    """

    def __init__(self, network: Network, side: int) -> None:
        super().__init__(network)
        self._size = (side, side)
        self.multiple = 1

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, C, h, w) of the resized ones."""
        return self.network.encode(resize_unaligned(images, self._size))

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, K, *size)."""
        return resize_unaligned(self.network.decode(z, self._size), size)
