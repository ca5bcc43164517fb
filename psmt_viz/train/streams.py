"""The streams of batches that a run reads."""

from __future__ import annotations

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.stream import Stream
from psmt_viz.train.plan import Plan, drops_last, pass_steps


def open_streams(
    config: Config, plan: Plan, data: SegmentationData, split: Split, *, rank: int = 0, world: int = 1
) -> dict[str, Stream]:
    """Returns name -> stream: `labeled` and, for PS-MT, `teacher1`, `teacher2` (their warm-up) and `unlabeled`.

    Args:
        config: The run's settings.
        plan: Its lengths.
        data: The data set.
        split: Which images are labelled.
        rank: Which of the processes this one is.
        world: Processes that train together.
    """
    method = config.method

    def stream(name: str) -> Stream:
        labeled = name != "unlabeled"
        ids = split.labeled if labeled else split.unlabeled
        batch = method.batch_labeled if labeled else method.batch_unlabeled
        drop = drops_last(config, plan.parts)
        batches = max(1, pass_steps(len(ids), batch, groups=config.groups, drop_last=drop))
        stages: list[tuple[int, int]] = []
        if labeled and method.labeled_stream == "replay":
            stages = [(0, batches), (plan.warmup_steps, plan.steps_per_epoch)]
        elif not labeled and method.steps_per_epoch is None:
            stages = [(plan.warmup_steps, plan.steps_per_epoch)]
        return Stream(
            data,
            ids,
            labeled=labeled,
            views=config.views,
            batch=batch,
            seed=config.system.seed,
            name=name,
            workers=config.system.workers,
            stages=stages,
            pass_batches=batches,
            keep_last=not drop,
            rank=rank,
            world=world,
        )

    # Each teacher warms up on its own order, or the two would stay alike.
    names = ("labeled", "teacher1", "teacher2", "unlabeled") if method.method == "psmt" else ("labeled",)
    return {name: stream(name) for name in names}
