"""How a step's batch is cut over devices and micro-batches, and what each image then weighs in a mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.stream import Batch
from psmt_viz.train.engine import Engine
from psmt_viz.train.plan import Plan


class Parts:
    """Knows which images of a step's batch are computed here, and counts pixels over all of it.

    Args:
        config: The run's settings.
        plan: Its lengths and parts.
        engine: The processes that train together.
    """

    def __init__(self, config: Config, plan: Plan, engine: Engine) -> None:
        self._config, self._plan, self._engine = config, plan, engine

    def cut(self, batch: Batch, whole: int) -> dict[range, Batch]:
        """Cuts this process's share of a batch: numbers of images in the whole batch -> those images.

        Args:
            batch: The share.
            whole: Images in the whole batch.
        """
        count, size = self._config.system.accumulate, whole // self._plan.parts
        first = range(self._engine.rank * count * size, whole, size)
        return {range(at, at + len(part.label)): part for at, part in zip(first, batch.parts(count), strict=False)}

    def weights(self, counts: Sequence[Tensor], parts: Iterable[range], whole: int) -> tuple[list[Tensor], Tensor]:
        """Returns what a pixel of each image weighs in a mean over the whole batch, and how many pixels count.

        The mean is over all pixels that count or, with `loss_mean="gpu"`, the mean of each group's own.

        Args:
            counts: Of each part here, the pixels of its images that count, (B,).
            parts: Numbers of those images in the whole batch.
            whole: Images in it.

        Returns:
            Weights (B,) part by part, and the pixels that count in all processes, ().
        """
        groups = self._config.groups if self._config.method.loss_mean == "gpu" else 1
        device = self._engine.device
        own = [torch.tensor([number * groups // whole for number in part], device=device) for part in parts]
        total = torch.zeros(groups, dtype=torch.int64, device=device)
        total = self._engine.sum(total.index_add(0, torch.cat(own), torch.cat(list(counts))))
        weight = 1 / (total.clamp(min=1) * groups).to(self._engine.dtype)
        return [weight[group] for group in own], total.sum()
