"""Networks that are compiled for the one size of images that training has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from psmt_viz.models.network import Network

_VARIANTS = 64
"""Times that torch may compile one function, for it shares them among networks: each learns, is frozen, predicts with
and without gradients and in two precisions. Its own limit, 8, would leave some as they are."""


def compile_network(network: Network, side: int) -> None:
    """Compiles a network's sides for square images.

    Images of other sizes, as validation has, are not worth it: each size would be compiled anew.

    Args:
        network: The network; its `encode` and `decode` are replaced.
        side: Side of the images, in pixels.
    """
    encode, decode, size = network.encode, network.decode, (side, side)
    fast_encode, fast_decode = (torch.compile(each, dynamic=False) for each in (encode, decode))

    def encode_(images: Tensor) -> Tensor:
        if tuple(images.shape[-2:]) != size:
            return encode(images)
        with torch._dynamo.config.patch(recompile_limit=_VARIANTS):
            return fast_encode(images)

    def decode_(z: Tensor, to: Sequence[int]) -> Tensor:
        if tuple(to) != size:
            return decode(z, to)
        with torch._dynamo.config.patch(recompile_limit=_VARIANTS):
            return fast_decode(z, size)

    network.encode = encode_  # type: ignore[method-assign]
    network.decode = decode_  # type: ignore[method-assign, assignment]
