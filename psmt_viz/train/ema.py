"""The exponential moving average by which a teacher follows the student."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, *, keep: float) -> None:
    """Moves a teacher towards the student: keep * teacher + (1 - keep) * student, parameters and buffers alike.

    Counters, which have no fractions, are copied.

    Args:
        teacher: The network that moves.
        student: A network of the same architecture; not changed.
        keep: Share of itself that the teacher keeps.
    """
    own, other = teacher.state_dict(), student.state_dict()
    floating = [name for name, value in own.items() if value.is_floating_point()]
    torch._foreach_lerp_([own[name] for name in floating], [other[name] for name in floating], 1 - keep)
    counters = own.keys() - set(floating)
    if counters:
        torch._foreach_copy_([own[name] for name in counters], [other[name] for name in counters])
