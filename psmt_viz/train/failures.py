"""Failures of a training whose cause is known, told as errors that name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from psmt_viz.errors import UserError
from psmt_viz.train.engine import Engine


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turns failures whose cause is known into errors that say it; the last checkpoint is whole in each case."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        fix = "raise --accumulate, or lower the batch or --crop, and continue with --resume"
        raise UserError("a step that fits into the device's memory", str(error), fix) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        got = "one image with a feature map of one pixel"
        raise UserError("several values for BatchNorm", got, "raise --crop or the images of a micro-batch") from None
    except RuntimeError as error:
        if engine.world_size == 1 or not any(word in str(error).lower() for word in ("gloo", "nccl", "connection")):
            raise
        fix = "see its own message, and continue with --resume"
        raise UserError(f"all {engine.world_size} processes to the end", "one that died", fix) from None
