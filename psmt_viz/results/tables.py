"""Tables as CSV files that read back as they were."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table as CSV, whole, with enough digits to read the same floats back."""
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


_NAMES = (
    *("role", "truth", "prediction", "kind", "against", "judge", "norm", "class", "image"),
    *("source", "run", "dataset", "split", "benchmark"),
)
"""Columns of names, which stay text even where they look like numbers (`0016`) or like nothing (`NA`)."""


def read_csv(path: Path) -> pd.DataFrame:
    """Reads a table that `write_csv` wrote.

    Raises:
        UserError: if the file is missing or is not a table.
    """
    try:
        # Per column, or a name such as NA would be no name.
        numbers = [name for name in pd.read_csv(path, nrows=0).columns if name not in _NAMES]
        absent = {name: ["", "nan", "NaN"] for name in numbers}
        return pd.read_csv(path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=absent)
    except FileNotFoundError:
        raise UserError(f"a table {path}", "nothing there", "check the path") from None
    except OSError as error:
        raise UserError(f"a readable file {path}", (error.strerror or str(error)).lower(), "check the path") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"a CSV table in {path}", str(error), "restore the file or make it again") from None
