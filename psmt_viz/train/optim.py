"""SGD as PS-MT uses it."""

from __future__ import annotations

import torch
from torch import nn

from psmt_viz.config import OptimConfig
from psmt_viz.models.network import Network


def make_optimizer(network: Network, config: OptimConfig) -> torch.optim.SGD:
    """Returns SGD with weight decay on convolution and linear weights only, and the head's own learning rate."""
    head = {id(parameter) for parameter in network.head_parameters()}
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault((id(parameter) in head, id(parameter) in decayed), []).append(parameter)
    # One kernel for all parameters; with fp16 it also asks the gradients on the device whether they are finite.
    fused = all(parameter.is_cuda for parameter in network.parameters())
    return torch.optim.SGD(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay if decay else 0.0,
                "lr_factor": config.head_lr_factor if in_head else 1.0,
            }
            for (in_head, decay), parameters in groups.items()
        ],
        lr=config.lr,  # every step sets its own
        momentum=config.momentum,
        fused=fused or None,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate, each group's times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
