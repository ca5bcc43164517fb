"""The checkpoint: what a stopped run needs to be resumed."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.runs import RunFile


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes state.pt atomically; the moment it is renamed into place is the moment the checkpoint counts.

    Everything else in the run folder (weights, tables) can be written again from it.
    """
    with atomic_write(folder / RunFile.STATE) as temporary:
        torch.save(dict(state), temporary)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Reads state.pt, or returns None where there is none yet.

    Raises:
        UserError: if the file cannot be read.
    """
    path = folder / RunFile.STATE
    if not path.is_file():
        return None
    try:
        return _current(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"a whole checkpoint {path}", reason, "start again in another folder") from None


_ROW = ("loss_sup", "loss_unsup", "confident_fraction", "teacher_disagreement", "unsup_weight", "learning_rate")


def _current(state: dict[str, Any]) -> dict[str, Any]:
    """Returns a state as it is written now.

    Before, a step's numbers were in a list, NaN where there was none, and the weights of all networks in one dict.
    """
    rows, networks = state.get("rows", []), state.get("networks", {})
    if any(isinstance(row, list) for row in rows):
        named = [dict(zip(_ROW, row, strict=True)) for row in rows]
        state["rows"] = [{name: value for name, value in row.items() if not math.isnan(value)} for row in named]
    if networks and "student" not in networks:
        by_role: dict[str, dict[str, Any]] = {}
        for key, value in networks.items():
            place, _, rest = key.partition(".")
            if place == "teachers":
                number, _, rest = rest.partition(".")
                place = f"teacher{int(number) + 1}"
            by_role.setdefault(place, {})[rest] = value
        state["networks"] = by_role
    return state
