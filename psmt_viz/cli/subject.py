"""What a command analyses: a run, or the user's own networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from psmt_viz.cli.flags import TheirNetwork
from psmt_viz.cli.settings import folder_settings
from psmt_viz.errors import UserError
from psmt_viz.settings import flag_of

if TYPE_CHECKING:
    from psmt_viz.subject import Subject


def open_subject(
    run: Path | None,
    model: TheirNetwork | None,
    *,
    data: str | None,
    folder: Any = None,
    weights: str,
    device: str,
) -> Subject:
    """Opens the run, or the user's own networks; `folder` holds the flags of a folder.

    Raises:
        UserError: if both are given, or flags of one with the other, or something does not exist.
    """
    from psmt_viz.subject import Foreign, RunSubject, Subject

    options, theirs = folder_settings(folder), model or TheirNetwork()
    if options and data is None:
        names = ", ".join(map(flag_of, options))
        raise UserError(f"--data with {names}", "no --data", "name the folder that they are about")
    if theirs.model is None:
        if unused := [name for name, value in vars(theirs).items() if value is not None]:
            raise UserError(f"--model with {flag_of(unused[0])}", "no --model", "name the network with --model")
        return RunSubject.open(run, data=data, options=options, weights=weights, device=device)
    if run is not None:
        raise UserError("a run or --model", "both", "leave one of them out")
    if weights != "last":
        raise UserError("--weights with a run", "--model, which brings its own", "leave --weights out")
    foreign = Foreign(name=theirs.model, cut=theirs.split_at, checkpoint=theirs.checkpoint, title=theirs.name)
    return Subject.of_model(foreign, data=data, options=options, device=device)
