"""BatchNorm's running statistics over a step's batch that is cut into parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SharedStatistics:
    """Moves running statistics once a step, by the mean over its parts, however these are spread over processes.

    A part that follows another on one device begins from the same statistics as a part on another device. So a batch's
    parts are the same wherever they are computed, and all processes end the step alike.

    Args:
        network: Whose statistics.
        total: Sums a tensor over all processes.
        parts: Parts in all processes together; a single one is left to BatchNorm itself.
    """

    def __init__(self, network: nn.Module, *, total: Callable[[Tensor], Tensor], parts: int) -> None:
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        buffers = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
        self._buffers = buffers if parts > 1 else []
        self._total, self._parts = total, parts
        counters = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._counters = counters if parts > 1 else []
        self._before = [buffer.clone() for buffer in self._buffers + self._counters]
        self._sums = [torch.zeros_like(buffer) for buffer in self._buffers]

    @contextmanager
    def part(self) -> Iterator[None]:
        """Surrounds the forward and backward pass of one part."""
        if not self._buffers:
            yield
            return
        torch._foreach_copy_(self._buffers + self._counters, self._before)
        yield
        torch._foreach_add_(self._sums, self._buffers)

    def settle(self) -> None:
        """Sets the statistics to the mean over all parts; every process calls it after its last."""
        if not self._buffers:
            return
        mean = self._total(torch.cat([values.flatten() for values in self._sums])) / self._parts
        for buffer, values in zip(self._buffers, mean.split([b.numel() for b in self._buffers]), strict=True):
            buffer.copy_(values.view_as(buffer))
