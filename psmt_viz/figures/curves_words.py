"""What a curve of scores says in words, the same in figure and page."""

from __future__ import annotations

from dataclasses import dataclass

from psmt_viz.results import Curves

_FALL = 0.2
"""Least fall of the ensemble after the warm-up, as a share of its score there, of which something is said."""


@dataclass(frozen=True, kw_only=True)
class Fall:
    """A fall of the ensemble's mIoU after the warm-up."""

    epoch: int
    """The epoch of the lowest score."""
    before: float
    """mIoU at the end of the warm-up."""
    lowest: float
    """mIoU in that epoch."""
    back: int | None
    """The first epoch after it that scores no less than the warm-up did; None if there is none yet."""
    last: int
    """The last epoch that is known."""

    def words(self) -> str:
        """Says what is seen and why."""
        back = f"is back in epoch {self.back}" if self.back is not None else f"is not back by epoch {self.last}"
        return (
            f"The ensemble falls from {100 * self.before:.1f} to {100 * self.lowest:.1f} % in epoch {self.epoch} and "
            f"{back}: the networks warmed up apart, and a teacher that is averaged towards the student first passes "
            "through weights that belong to neither."
        )


def fall_after_warmup(curves: Curves) -> Fall | None:
    """Returns the fall of a run's ensemble between the warm-up and the end of the ramp-up, if it is a fifth or more.

    A fall that comes later has other causes.
    """
    metrics, length = curves.metrics, curves.ramp.get("length", 0)
    if not {"miou_ensemble", "loss_unsup", "epoch", "step"} <= set(metrics):
        return None
    scored = metrics.dropna(subset=["miou_ensemble"])
    warmup, after = scored[scored["loss_unsup"].isna()], scored[scored["loss_unsup"].notna()]
    if not len(warmup):
        return None
    ramping = after[after["step"] <= warmup["step"].iloc[-1] + length]
    if not len(ramping):
        return None
    before = float(warmup["miou_ensemble"].iloc[-1])
    lowest = ramping.iloc[int(ramping["miou_ensemble"].argmin())]
    if lowest["miou_ensemble"] > (1 - _FALL) * before:
        return None
    later = after[(after["epoch"] > lowest["epoch"]) & (after["miou_ensemble"] >= before)]
    return Fall(
        epoch=int(lowest["epoch"]),
        before=before,
        lowest=float(lowest["miou_ensemble"]),
        back=int(later["epoch"].iloc[0]) if len(later) else None,
        last=int(scored["epoch"].iloc[-1]),
    )
