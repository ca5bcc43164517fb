"""What a command analyses: a run, or the user's own networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from psmt_viz.errors import UserError

if TYPE_CHECKING:
    from psmt_viz.subject import Subject


def open_subject(
    run: Path | None,
    model: str | None,
    *,
    data: str | None,
    classes: Sequence[str] = (),
    weights: str,
    device: str,
) -> Subject:
    """Opens the run, or the user's own networks.

    Raises:
        UserError: if both are given, or flags of one with the other, or something does not exist.
    """
    from psmt_viz.subject import RunSubject, Subject

    if model is None:
        return RunSubject.open(run, data=data, weights=weights, device=device)
    if run is not None:
        raise UserError("a run or --model", "both", "leave one of them out")
    if weights != "last":
        raise UserError("--weights with a run", "--model, which brings its own", "leave --weights out")
    return Subject.of_model(model, data=data, classes=classes, device=device)
