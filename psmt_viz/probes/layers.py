"""Layers of a network by name, and what one of them gives on the way from z to logits."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole
from psmt_viz.models.network import Network

SIDES = ("z", "logits")
"""Layers that every network has: what `encode` returns (with the perturbation) and what `decode` returns."""


def find_layer(network: Network, layer: str) -> nn.Module:
    """Returns the module of a name among `network.layers()`.

    Raises:
        UserError: if there is none.
    """
    layers = network.layers()
    if layer not in layers:
        names = list(dict.fromkeys([*SIDES, *layers]))
        near = difflib.get_close_matches(layer, names, 3)
        some = ", ".join([name for name in names if "." not in name][:6])
        fix = f"did you mean {', '.join(near)}?" if near else f"choose one, for instance {some}"
        raise UserError("--layer z, logits or a module of the student", repr(layer), fix)
    return layers[layer]


def decoded_layer(network: Network, layer: str, z: Tensor, size: Sequence[int]) -> Tensor:
    """Returns what a layer gives while z of whole images is decoded: (B, C, h, w).

    Args:
        network: Whose layer.
        layer: `z` itself, or a name among `network.layers()`; where `logits` is none of them, all of what `decode`
            returns.
        z: (B, C, h, w).
        size: Height and width of the images.

    Raises:
        UserError: if there is no such layer, or decoding does not use it exactly once, for one map.
    """
    if layer == "z":
        return z
    if layer == "logits" and layer not in network.layers():
        return decode_whole(network.decode, z, size, multiple=network.multiple)
    seen: list[Tensor] = []
    # Copied, because a later layer may work in place.
    hook = find_layer(network, layer).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.clone())
    )
    try:
        decode_whole(network.decode, z, size, multiple=network.multiple)
    finally:
        hook.remove()
    if len(seen) != 1 or seen[0].ndim != 4:
        got = f"{layer}, used {len(seen)} times" if len(seen) != 1 else f"shape {tuple(seen[0].shape)} of {layer}"
        raise UserError("--layer that gives one map (B, C, h, w) between z and logits", got, "choose z or another")
    return seen[0]
