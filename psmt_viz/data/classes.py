"""The names of a data set's classes: read from classes.txt, and chosen by the user."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.faults import Fault
from psmt_viz.data.lists import read_text
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE

CLASSES_FILE = "classes.txt"


def read_classes(root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    """Reads classes.txt, one name per line in the order of the ids.

    Returns:
        The names, faulty ones included so that ids keep their meaning, and what is wrong with them.
    """
    text = read_text(root / CLASSES_FILE, root)
    if isinstance(text, Fault):
        return (), (text,)
    names = tuple(line.strip() for line in text.rstrip().split("\n")) if text.strip() else ()
    faults = []
    for number, name in enumerate(names, start=1):
        where = f"{CLASSES_FILE}:{number}"
        if not name:
            faults.append(_fault("blank class name", where, "a class name", "a blank line"))
        elif name in names[: number - 1]:
            faults.append(_fault("duplicate class name", where, "different class names", f"{name} a second time"))
    if not 2 <= len(names) <= IGNORE:
        expected = f"2 to {IGNORE} class names"
        faults.append(_fault("number of classes", CLASSES_FILE, expected, f"{len(names)} of them"))
    return names, tuple(faults)


def _fault(kind: str, where: str, expected: str, found: str) -> Fault:
    fix = "write one name per line; the name of class id N is on line N + 1"
    return Fault(kind=kind, where=where, expected=expected, found=found, fix=fix)


def class_lut(names: Sequence[str], kept: Sequence[str]) -> NDArray[np.uint8]:
    """Returns the (256,) lookup table from the ids of `names` to those of `kept`; all other ids become 255.

    Raises:
        UserError: if a kept name is unknown or comes twice, or fewer than two are kept.
    """
    for name in kept:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            fix = f"did you mean {near[0]}?" if near else "choose among the data set's classes"
            raise UserError(f"class names among {', '.join(names)}", repr(name), fix)
    if len(kept) < 2 or len(set(kept)) < len(kept):
        raise UserError("two or more different class names", ", ".join(kept), "name each class to keep once")
    table = np.full(256, IGNORE, np.uint8)
    for new_id, name in enumerate(kept):
        table[names.index(name)] = new_id
    return table
