"""Which training images are labelled and which are not: nested splits drawn from a list, and a folder's own splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError

SPLITS = "ImageSets/Segmentation/semi"
"""Where a folder of any layout has its own splits: SPLITS/NAME/{labeled,unlabeled}.txt."""

_SEED = 2022
_FRACTION = re.compile(r"1_([1-9][0-9]{0,5})")


def split_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the splits that a folder has of its own."""
    folder = root / SPLITS
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))


def split_path(root: Path, name: str, half: str) -> Path:
    """Returns the list file of the `labeled` or the `unlabeled` images of a folder's own split."""
    return root / SPLITS / name / f"{half}.txt"


def nested_split(ids: Sequence[str], name: str, *, others: Iterable[str] = (), unlabeled: Iterable[str] = ()) -> Split:
    """Draws the split `1_N` (every N-th training image is labelled) or `full` (all of them are).

    The ids are shuffled once, with a fixed seed, and the first ceil(len / N) are labelled. So the labelled images of
    1_16 are among those of 1_8, and the same ids give the same split everywhere.

    Args:
        ids: The training ids whose images have masks; their order does not matter.
        name: `1_N` with N of 1 or more, or `full`.
        others: Further splits to name in the error message: those that the data set has of its own.
        unlabeled: The training ids whose images have none.

    Raises:
        UserError: if `name` is neither.
    """
    ordered = sorted(ids)
    if name == "full":
        return Split(tuple(ordered), tuple(sorted(unlabeled)))
    if (fraction := _FRACTION.fullmatch(name)) is None:
        known = ", ".join([*others, "full", "1_N for any N (1_8 labels every eighth image)"])
        raise UserError(f"one of the splits {known}", repr(name), "choose one of them with --split")
    count = -(-len(ordered) // int(fraction[1]))  # rounded up
    shuffled = [ordered[i] for i in np.random.default_rng(_SEED).permutation(len(ordered))]
    return Split(tuple(sorted(shuffled[:count])), tuple(sorted([*shuffled[count:], *unlabeled])))


def drawn_val(ids: Sequence[str]) -> tuple[str, ...]:
    """Draws a fifth of the images, at least one, for validation, with a fixed seed; in the order of their names."""
    ordered = sorted(ids)
    shuffled = np.random.default_rng(_SEED + 1).permutation(len(ordered))
    return tuple(sorted(ordered[i] for i in shuffled[: -(-len(ordered) // 5)]))
