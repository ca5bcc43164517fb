"""What a stopped run needs to go on."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write

STATE = "state.pt"


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes state.pt, whole; the moment it is renamed into place is the moment the checkpoint counts.

    Everything else in the run folder (weights, tables) can be written again from it.
    """
    with atomic_write(folder / STATE) as temporary:
        torch.save(dict(state), temporary)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Reads state.pt, or returns None where there is none yet.

    Raises:
        UserError: if the file cannot be read.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"a whole checkpoint {path}", reason, "start again in another folder") from None
