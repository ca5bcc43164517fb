"""The step of the supervised control."""

from __future__ import annotations

from collections.abc import Mapping

from psmt_viz.data.loader import Batch
from psmt_viz.methods.supervised import SupervisedConfig
from psmt_viz.train.method import StepLog, TrainingMethod


class Supervised(TrainingMethod[SupervisedConfig]):
    """The warm-up of the other methods, from the first step to the last."""

    def step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step from labelled images."""
        return self.warmup_step(step, batches)
