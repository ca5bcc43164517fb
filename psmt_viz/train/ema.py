"""How a teacher follows the student: the exponential moving average of its weights."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, *, keep: float) -> None:
    """Moves a teacher towards the student: keep * teacher + (1 - keep) * student, parameters and buffers alike.

    Counters, which have no fractions, are copied.

    Mean teachers are better role models (Tarvainen and Valpola, 2017), eq. 2.
    """
    own, other = teacher.state_dict(), student.state_dict()
    floating = [name for name, value in own.items() if value.is_floating_point()]
    torch._foreach_lerp_([own[name] for name in floating], [other[name] for name in floating], 1 - keep)
    for name in own.keys() - set(floating):
        own[name].copy_(other[name])
