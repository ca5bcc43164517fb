"""How a step's batch is cut over devices and micro-batches, and what each pixel then weighs in a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.loader import Batch
from psmt_viz.train.engine import Engine
from psmt_viz.train.plan import Plan


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Images of a step's batch that go through a network together."""

    images: range
    """Their numbers in the whole batch."""
    of: int
    """Images in the whole batch."""
    views: Batch
    dtype: torch.dtype
    """Of the images that networks get."""

    @property
    def weak(self) -> Tensor:
        """The weak view, (B, 3, H, W) in [0, 1]."""
        return self.views.weak.to(self.dtype) / 255

    @property
    def strong(self) -> Tensor:
        """The strong view, (B, 3, H, W) in [0, 1]."""
        return self.views.strong.to(self.dtype) / 255

    @property
    def label(self) -> Tensor:
        """(B, H, W) uint8 class ids; 255 where there is none."""
        return self.views.label


class MicroBatches:
    """Knows which images of a step's batch are computed here, and counts pixels over all of it.

    Args:
        config: The run's settings.
        plan: Its lengths and micro-batches.
        engine: The processes that train together.
    """

    def __init__(self, config: Config, plan: Plan, engine: Engine) -> None:
        self._config, self._plan, self._engine = config, plan, engine

    def cut(self, batch: Batch, of: int) -> list[MicroBatch]:
        """Cuts this process's share of a batch into micro-batches.

        Args:
            batch: The share.
            of: Images in the whole batch.
        """
        count, size = self._config.system.accumulate, of // self._plan.micro_batches
        starts = range(self._engine.rank * count * size, of, size)
        return [
            MicroBatch(images=range(at, at + len(views.label)), of=of, views=views, dtype=self._engine.dtype)
            for at, views in zip(starts, batch.chunks(count), strict=False)
        ]

    def pixel_weights(
        self, micro_batches: Sequence[MicroBatch], counts: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """Returns what a pixel of each image weighs in a mean over the whole batch, and how many pixels count.

        The mean is over all pixels that count or, with `loss_mean="gpu"`, the mean of each group's own.

        Args:
            micro_batches: All of the batch that is computed here.
            counts: Of each of them, the pixels of its images that count, (B,).

        Returns:
            Weights (B,) of each micro-batch, and the pixels that count in all processes, ().
        """
        method, device = self._config.method, self._engine.device
        groups = method.groups if method.loss_mean == "gpu" else 1
        own = [
            torch.arange(each.images.start, each.images.stop, device=device) * groups // each.of
            for each in micro_batches
        ]
        total = torch.zeros(groups, dtype=torch.int64, device=device)
        total = self._engine.sum(total.index_add(0, torch.cat(own), torch.cat(list(counts))))
        weight = 1 / (total.clamp(min=1) * groups).to(self._engine.dtype)
        return [weight[group] for group in own], total.sum()
