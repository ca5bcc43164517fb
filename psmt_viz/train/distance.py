"""How far apart the weights of two networks are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def relative_distance(first: nn.Module, second: nn.Module) -> float:
    """Returns ||a - b|| / ((||a|| + ||b||) / 2), Euclidean, over all parameters a and b of two networks.

    Buffers do not count: BatchNorm's running statistics follow the images, not the loss.

    Args:
        first: A network.
        second: Another of the same architecture, on the same device.

    Returns:
        From 0 for equal weights to 2 for opposite ones, summed in float64; NaN where all weights are 0.
    """
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    # One pair of tensors at a time: whole networks in float64 would take twice the memory of both.
    norms = [_norms(_wide(one), _wide(other)) for one, other in pairs if one.is_floating_point()]
    size, other_size, apart = torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()
    return 2 * apart / (size + other_size) if size + other_size else torch.nan


def _norms(one: Tensor, other: Tensor) -> Tensor:
    return torch.stack([torch.linalg.vector_norm(values) for values in (one, other, one - other)])


def _wide(values: Tensor) -> Tensor:
    # Apple's GPUs have no float64; an epoch can afford the way to the CPU.
    return (values.cpu() if values.device.type == "mps" else values).double()
