"""How often each class is seen in the lists of a folder, and which are seen too rarely to be learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.data.faults import Fault
from psmt_viz.data.list_checks import GIVEN, CheckedLists
from psmt_viz.data.lists import Listing
from psmt_viz.metrics import IGNORE

RARE = 0.001
"""Share of the labelled pixels below which a class is hardly learnt."""
NO_CLASS = "no class"

Pixels = Mapping[str, NDArray[np.int64]]
"""Id -> (256,) pixels of each label."""


def unlearnable_classes(lists: CheckedLists, pixels: Pixels, names: Sequence[str]) -> list[Fault]:
    """Finds classes without a pixel in train, in val or the labelled half of a split, and rare ones in the latter."""
    labeled = {listing.where for listing, _ in lists.splits.values()}
    faults = []
    for listing, counts in _counted(lists, pixels):
        classes = counts[:, : len(names)].sum(axis=0)
        shown = [name or f"the class with id {id}" for id, name in enumerate(names[:IGNORE])]
        absent = [name for name, count in zip(shown, classes, strict=False) if count == 0]
        if absent:
            faults.append(
                Fault(
                    kind="class without a pixel",
                    where=listing.where,
                    expected="every class on some pixel",
                    found=f"no pixel of {', '.join(absent)}",
                    fix="add images that show them, or leave them out with --classes",
                    severity="warning",
                )
            )
        share = classes / max(1, classes.sum())
        rare = [f"{name} {each:.3%}" for name, each in zip(shown, share, strict=False) if 0 < each < RARE]
        if rare and (listing.where in labeled or not labeled):
            faults.append(
                Fault(
                    kind="rare class",
                    where=listing.where,
                    expected=f"every class on {RARE:.1%} of the labelled pixels",
                    found=", ".join(rare),
                    fix="expect a low IoU; choose a split in which more images show them",
                    severity="warning",
                )
            )
    return faults


def shares(lists: CheckedLists, pixels: Pixels, names: Sequence[str]) -> pd.DataFrame:
    """Returns one row per list and class, `no class` last: list, class, images, share."""
    rows = []
    for listing, counts in _counted(lists, pixels):
        every = counts.sum()
        for name, id in [*zip(names, range(len(names)), strict=True), (NO_CLASS, IGNORE)]:
            images, share = int((counts[:, id] > 0).sum()), float(counts[:, id].sum() / max(1, every))
            rows.append((listing.where, name, images, share))
    return pd.DataFrame(rows, columns=["list", "class", "images", "share"])


def _counted(lists: CheckedLists, pixels: Pixels) -> Iterator[tuple[Listing, NDArray[np.int64]]]:
    """Yields each list whose masks are learnt from or scored with, and (images, 256) pixels."""
    # With lists given, the training masks in use are those of the labelled list alone.
    train = [] if GIVEN in lists.splits else [*lists.train]
    for listing in [*train, lists.val, *(labeled for labeled, _ in lists.splits.values())]:
        masks = [pixels[id] for id in listing.ids if id in pixels]
        if masks and any(mask.any() for mask in masks):
            yield listing, np.stack(masks)
