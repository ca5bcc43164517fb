"""How many steps a run takes, resolved from its settings and its data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from psmt_viz.config import Config
from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Lengths in optimiser steps."""

    steps_per_epoch: int
    warmup_steps: int
    ramp_steps: int
    total_steps: int
    """Warm-up included."""
    parts: int
    """Parts into which a step's batch is cut, over all devices and one after the other on each; a part has its own
    BatchNorm statistics and CutMix partners."""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


def resolve(config: Config, split: Split, *, devices: int = 1) -> Plan:
    """Turns epochs into steps.

    An epoch is `steps_per_epoch` steps or, where that is not set, one pass over the unlabelled images (over the
    labelled ones, if every image is labelled).

    Args:
        config: The run's settings.
        split: Which images are labelled.
        devices: Processes that train together.

    Raises:
        UserError: if there is no labelled image, PS-MT has no unlabelled one, an epoch would have no step, or a batch
            cannot be cut into equal parts.
    """
    method = config.method
    if not split.labeled:
        raise UserError("at least 1 labelled image", "none", "choose another --split or --labeled-list")
    if method.method == "psmt" and not split.unlabeled:
        fix = "choose a --split that leaves some images unlabelled, or --method supervised"
        raise UserError("unlabelled images for PS-MT", "none", fix)
    if split.unlabeled:
        images, batch = split.unlabeled, method.batch_unlabeled
    else:
        images, batch = split.labeled, method.batch_labeled
    steps = method.steps_per_epoch or len(images) // batch
    if steps == 0:
        got = f"{len(images)} images at batch {batch}"
        raise UserError("at least one batch an epoch", got, "lower the batch or set --steps-per-epoch")
    parts = devices * config.system.accumulate
    for name in ("batch_labeled", "batch_unlabeled"):
        if (size := getattr(method, name)) % parts:
            what = f"{devices} devices x --accumulate {config.system.accumulate}"
            fix = f"choose a multiple of {parts}"
            raise UserError(f"--{name.replace('_', '-')} that {what} can share equally", f"{size}", fix)
    warmup = method.warmup_epochs * steps
    return Plan(
        steps_per_epoch=steps,
        warmup_steps=warmup,
        ramp_steps=round(method.ramp_epochs * steps),
        total_steps=warmup + method.epochs * steps,
        parts=parts,
    )
