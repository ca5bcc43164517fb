"""The state in which networks serve a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Puts networks in eval mode without parameter gradients, and restores every module and parameter afterwards.

    BatchNorm uses and keeps its running statistics, dropout is off, and no `.grad` is touched. Each module's own mode
    comes back, also where modes are mixed or an error ends the block.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    wanted = [(parameter, parameter.requires_grad) for network in networks for parameter in network.parameters()]
    try:
        # What stands right already is left alone: to set it takes as long as the search in a small network.
        if any(training for _, training in modes):
            for network in networks:
                network.eval()
        for parameter, flag in wanted:
            if flag:
                parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training
        for parameter, flag in wanted:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
