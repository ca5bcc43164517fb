"""BatchNorm's running statistics over a step's batch that is cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SharedStatistics:
    """Moves running statistics once a step, by the mean over its micro-batches, however processes share these.

    A micro-batch that follows another on one device begins from the same statistics as one on another device. So they
    are the same wherever they are computed, and all processes end the step alike. Layers in eval mode, whose statistics
    do not move, are left alone.

    Args:
        network: Whose statistics.
        total: Sums a tensor over all processes.
        micro_batches: Of all processes together; a single one is left to BatchNorm itself.
    """

    def __init__(self, network: nn.Module, *, total: Callable[[Tensor], Tensor], micro_batches: int) -> None:
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
        buffers = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
        self._buffers = buffers if micro_batches > 1 else []
        self._total, self._micro_batches = total, micro_batches
        counters = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._counters = counters if micro_batches > 1 else []
        self._before = [buffer.clone() for buffer in self._buffers + self._counters]
        self._sums = [torch.zeros_like(buffer) for buffer in self._buffers]

    @contextmanager
    def micro_batch(self) -> Iterator[None]:
        """Surrounds the forward and backward passes of one micro-batch."""
        if not self._buffers:
            yield
            return
        torch._foreach_copy_(self._buffers + self._counters, self._before)
        yield
        torch._foreach_add_(self._sums, self._buffers)

    def finish(self) -> None:
        """Sets the statistics to the mean over all micro-batches; every process calls it after its last."""
        if not self._buffers:
            return
        mean = self._total(torch.cat([values.flatten() for values in self._sums])) / self._micro_batches
        for buffer, values in zip(self._buffers, mean.split([b.numel() for b in self._buffers]), strict=True):
            buffer.copy_(values.view_as(buffer))
