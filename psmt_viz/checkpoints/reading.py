"""From a file to a checkpoint: no code in the file is run, and its layout is recognised by its keys."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psmt_viz.checkpoints.checkpoint import Checkpoint
from psmt_viz.checkpoints.layouts import layouts
from psmt_viz.errors import UserError

_SCALAR: Any = np.float64().__reduce__()[0]
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    np.dtype,
    np.dtypes.Float64DType,
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
]
"""What files hold beside weights: the command line, and the score as NumPy's float, under its old or new name."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint of another codebase; no code in it is run.

    Args:
        path: A file of `torch.save`.

    Raises:
        UserError: if it is missing, damaged, wants code to be run, or is of no codebase that is known.
    """
    file = load_pickled(path)
    known = layouts()
    if isinstance(file, Mapping):
        for layout in known:
            if layout.matches(file):
                return layout.read(file, path)
    names = " or ".join(layout.CODEBASE for layout in known)
    raise UserError(f"a checkpoint of {names} in {path}", _content(file), "give the file that its training wrote")


def _content(file: Any) -> str:
    if not isinstance(file, Mapping):
        return type(file).__name__
    return f"the keys {', '.join(map(str, list(file)[:3])) or '(none)'}"


def load_pickled(path: Path) -> Any:
    """Returns what a file of `torch.save` holds; no code in it is run.

    Raises:
        UserError: if it is missing or damaged, or wants code to be run.
    """
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"a checkpoint {path}", "nothing there", "check the path") from None
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        got = f"one that wants {wanted[1]} to be run" if wanted else "something else"
        raise UserError(f"a checkpoint of weights in {path}", got, "give one that you trust") from None
    except Exception as error:  # a damaged pickle raises almost anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"a whole checkpoint {path}", reason, "download it again, or give another") from None
