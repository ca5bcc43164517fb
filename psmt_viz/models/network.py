"""What every network here offers: its two sides around z, and names for its layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """Maps images to z (`encode`) and z to logits (`decode`); between the two, PS-MT adds its noise.

    A network that is built from a configuration has its ImageNet part as `backbone`, with the `mean` that it subtracts
    from images; all else of it is the head.
    """

    multiple: int = 8
    """Whole images are stretched to sides that are multiples of it."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to z (B, C, h, w)."""

    @abstractmethod
    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits (B, K, *size)."""

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        return self.decode(self.encode(images), images.shape[-2:])

    @property
    def fill(self) -> Tensor | float:
        """Colour (3, 1, 1) or value around images that are smaller than a window: the mean that `encode` subtracts."""
        mean = getattr(getattr(self, "backbone", None), "mean", None)
        return mean[0] if isinstance(mean, Tensor) else 0.0

    def head_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters outside the backbone, which may learn at a rate of their own."""
        backbone = getattr(self, "backbone", None)
        inside = {id(parameter) for parameter in backbone.parameters()} if isinstance(backbone, nn.Module) else set()
        return [parameter for parameter in self.parameters() if id(parameter) not in inside]

    def layers(self) -> dict[str, nn.Module]:
        """Returns name -> module of what probes can look at: every module, by its dotted name.

        Where there are such layers, `decoder` gives what the classifier takes, and `logits` is the classifier, whose
        output is not up-sampled yet.
        """
        return {name: module for name, module in self.named_modules() if name}
