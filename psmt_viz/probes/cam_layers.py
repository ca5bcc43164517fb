"""The student as class activation mapping sees it: from an image to logits, with one place to hook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.network import Network
from psmt_viz.probes.layers import SIDES, find_layer


class Explained(nn.Module):
    """A network whose z is perturbed and whose chosen layer passes through `seen`, where methods hook.

    What comes out of `seen` is copied, so that a later layer that works in place (timm's do) cannot change it. Nothing
    in the network itself is exchanged.

    Args:
        network: Whose layers.
        layer: One of `SIDES`, or another name: then the layer's output must be given to `see`.
    """

    def __init__(self, network: Network, layer: str) -> None:
        super().__init__()
        self.network, self.layer, self.seen = network, layer, nn.Identity()
        self.delta: Tensor = torch.zeros(())
        """(1, C, h, w) or one number, added to z."""
        self._uses = 0

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to logits (B, K, H, W).

        Raises:
            UserError: if the layer did not give exactly one map (B, C, h, w).
        """
        self._uses = 0
        z = encode_whole(self.network, images) + self.delta
        if self.layer == "z":
            z = self.see(z)
        logits = decode_whole(self.network.decode, z, images.shape[-2:], multiple=self.network.multiple)
        if self.layer == "logits":
            logits = self.see(logits)
        if self._uses != 1:
            fix = "choose the block around it, or one inside"
            raise UserError("--layer that is used once for an image", f"{self.layer}, used {self._uses} times", fix)
        return logits

    def see(self, output: Any) -> Tensor:
        """Passes a layer's output through `seen`."""
        if not (isinstance(output, Tensor) and output.ndim == 4):
            got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            fix = "choose a layer inside or around it"
            raise UserError("--layer that gives one map (B, C, h, w)", f"{got} of {self.layer}", fix)
        self._uses += 1
        return self.seen(output).clone()


@contextmanager
def explained(network: Network, layer: str) -> Iterator[Explained]:
    """Yields the network with a layer in sight; the hook is gone afterwards, also after an error.

    Args:
        network: The student.
        layer: `z`, `logits`, or any name among `network.layers()`.

    Raises:
        UserError: if there is no such module.
    """
    model = Explained(network, layer)
    if layer in SIDES:
        yield model
        return
    handle = find_layer(network, layer).register_forward_hook(lambda _module, _inputs, output: model.see(output))
    try:
        yield model
    finally:
        handle.remove()
