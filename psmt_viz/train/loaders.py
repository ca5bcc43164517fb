"""The loaders of the batches that a run reads."""

from __future__ import annotations

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.loader import InfiniteLoader
from psmt_viz.methods.settings import UNLABELED
from psmt_viz.train.plan import Plan, drops_last, pass_steps


def open_loaders(
    config: Config, plan: Plan, data: SegmentationData, split: Split, *, rank: int = 0, world_size: int = 1
) -> dict[str, InfiniteLoader]:
    """Returns name -> loader, of all that the method's steps take batches of (see `Method.loaders`).

    Args:
        config: The run's settings.
        plan: Its lengths.
        data: The data set.
        split: Which images are labelled.
        rank: Which of the processes this one is.
        world_size: Processes that train together.
    """
    method = config.method

    def loader(name: str) -> InfiniteLoader:
        labeled = name != UNLABELED
        ids = split.labeled if labeled else split.unlabeled
        batch = method.batch_labeled if labeled else method.batch_unlabeled
        drop = drops_last(config, plan.micro_batches)
        batches = max(1, pass_steps(len(ids), batch, groups=method.groups, drop_last=drop))
        stages: list[tuple[int, int]] = []
        if labeled and method.labeled_stream == "replay":
            stages = [(0, batches), (plan.warmup_steps, plan.steps_per_epoch)]
        elif not labeled and method.steps_per_epoch is None:
            stages = [(plan.warmup_steps, plan.steps_per_epoch)]
        return InfiniteLoader(
            data,
            ids,
            labeled=labeled,
            views=config.views,
            batch=batch,
            seed=config.system.seed,
            name=name,
            workers=config.system.workers,
            stages=stages,
            epoch_batches=batches,
            keep_last=not drop,
            rank=rank,
            world_size=world_size,
        )

    # Each network warms up on an order of its own, or those that start alike would stay alike.
    names = dict.fromkeys([*method.loaders(warmup=True), *method.loaders(warmup=False)])
    return {name: loader(name) for name in names}
