"""Nested labelled/unlabelled splits drawn from a list of ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError

_SEED = 2022
_FRACTION = re.compile(r"1_([1-9][0-9]{0,5})")


def nested_split(ids: Sequence[str], name: str, *, others: Iterable[str] = ()) -> Split:
    """Draws the split `1_N` (every N-th training image is labelled) or `full` (all of them).

    The ids are shuffled once, with a fixed seed, and the first ceil(len / N) are labelled. So the labelled images of
    1_16 are among those of 1_8, and the same ids give the same split everywhere.

    Args:
        ids: The training ids; their order does not matter.
        name: `1_N` with N from 1 up, or `full`.
        others: Further splits to name in the error message, those that the data set brings itself.

    Raises:
        UserError: if `name` is neither.
    """
    ordered = sorted(ids)
    if name == "full":
        return Split(tuple(ordered), ())
    if (fraction := _FRACTION.fullmatch(name)) is None:
        known = ", ".join([*others, "full", "1_N for any N (1_8 labels every eighth image)"])
        raise UserError(f"one of the splits {known}", repr(name), "choose one of them with --split")
    labeled_count = -(-len(ordered) // int(fraction[1]))
    shuffled = [ordered[i] for i in np.random.default_rng(_SEED).permutation(len(ordered))]
    return Split(tuple(sorted(shuffled[:labeled_count])), tuple(sorted(shuffled[labeled_count:])))
