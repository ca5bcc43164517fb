"""Every fault of a data set's folder, found in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.data.classes import class_lut
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.folder import require_both_lists
from psmt_viz.data.layout import Layout
from psmt_viz.data.list_checks import GIVEN, CheckedLists, overlaps, read_lists, some
from psmt_viz.data.lists import Entry, merge_entries
from psmt_viz.data.opening import folder_type
from psmt_viz.data.rasters import read_image, read_mask
from psmt_viz.metrics import IGNORE
from psmt_viz.progress import progress

COLUMNS = ("severity", "kind", "where", "found", "fix")


def check(
    root: Path,
    *,
    classes: Sequence[str] = (),
    labeled_list: Path | None = None,
    unlabeled_list: Path | None = None,
    val_list: Path | None = None,
) -> pd.DataFrame:
    """Finds every fault of a folder in Pascal VOC's or Cityscapes' layout; reads all files and writes none.

    Args:
        root: The folder.
        classes: Names of the classes to keep, as for `DataFolder`.
        labeled_list: Replaces the folder's splits, as for `DataFolder`.
        unlabeled_list: The other half of that split.
        val_list: Replaces the folder's list of validation images.

    Returns:
        One row per fault, errors first: severity (`error`, `warning`), kind, where, found, fix. No rows: no fault.

    Raises:
        UserError: if `classes` holds an unknown name, or only one half of a split is given.
    """
    root = Path(root).expanduser()
    require_both_lists(labeled_list, unlabeled_list)
    layout = folder_type(root).layout
    faults = layout.folder_faults(root, images_listed=labeled_list is not None)
    if not root.is_dir():
        return _table(faults)
    names, class_faults = layout.read_classes(root)
    lists = read_lists(layout, root, labeled_list, unlabeled_list, val_list)
    entries: dict[str, Entry] = {}
    faults += class_faults
    for listing in lists.all:
        faults += [*listing.faults, *merge_entries(entries, listing)]
    faults += overlaps(lists)

    # Faulty names (blank, twice) have faults of their own; the ids still count.
    kept = tuple(classes) or names
    lut = class_lut(names, kept) if classes else _identity_lut(len(names))
    must_have_mask = lists.may_be_labeled
    presence: dict[str, NDArray[np.bool_]] = {}
    inspect = partial(_inspect, layout=layout, root=root, names=names, lut=lut)
    with ThreadPoolExecutor() as pool, progress("check", len(entries)) as advance:
        for inspected in pool.map(inspect, entries.values()):
            presence[inspected.id] = inspected.present
            for fault in inspected.faults:
                needed = fault.kind != "missing mask" or inspected.id in must_have_mask
                faults.append(fault if needed else _as_warning(fault))
            advance("")
    faults += _absent_classes(lists, presence, kept)
    faults += _unlisted(layout, root, entries.values())
    return _table(faults)


@dataclass(frozen=True, kw_only=True)
class _Inspected:
    id: str
    faults: tuple[Fault, ...]
    present: NDArray[np.bool_]
    """(256,) which labels the mask has after the choice of classes."""


def _inspect(entry: Entry, *, layout: Layout, root: Path, names: Sequence[str], lut: NDArray[np.uint8]) -> _Inspected:
    """Reads one image and its mask."""
    path = layout.mask_path(root, entry)
    image, mask = read_image(layout.image_path(root, entry), root), read_mask(path, root)
    faults = [each for each in (image, mask) if isinstance(each, Fault)]
    present = np.zeros(256, np.bool_)
    where = relative(path, root)
    if not isinstance(mask, Fault):
        unknown = layout.unknown_ids(mask, path, root, names)
        ids = layout.class_ids(mask, path)
        known = (ids >= 0) & (ids < len(lut))
        present[lut[np.where(known, ids, IGNORE)]] = True
        if unknown is not None:
            faults.append(unknown)
        elif not present[:IGNORE].any():
            faults.append(
                Fault(
                    kind="mask all void",
                    where=where,
                    expected="a class on some pixel",
                    found="255 (or classes that are not kept) on every pixel",
                    fix="label the image or take its id out of the labelled lists",
                    severity="warning",
                )
            )
    if not isinstance(image, Fault) and not isinstance(mask, Fault) and image.shape[:2] != mask.shape:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        faults.append(
            Fault(
                kind="size mismatch",
                where=where,
                expected=f"a mask of the image's size, {width} x {height}",
                found=f"a mask of {mask_width} x {mask_height}, an image of {width} x {height}",
                fix="save the mask in the image's size",
            )
        )
    return _Inspected(id=entry.id, faults=tuple(faults), present=present)


def _absent_classes(
    lists: CheckedLists, presence: Mapping[str, NDArray[np.bool_]], names: Sequence[str]
) -> list[Fault]:
    """Finds classes without a pixel in train, in val or in the labelled half of a split."""
    # With lists given, the training masks in use are those of the labelled list alone.
    train = [] if GIVEN in lists.splits else [*lists.train]
    faults = []
    for listing in [*train, lists.val, *(labeled for labeled, _ in lists.splits.values())]:
        masks = [presence[id] for id in listing.ids if id in presence]
        if not masks:
            continue
        present = np.any(masks, axis=0)
        absent = [name or f"the class with id {id}" for id, name in enumerate(names[:IGNORE]) if not present[id]]
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
    return faults


def _unlisted(layout: Layout, root: Path, entries: Iterable[Entry]) -> list[Fault]:
    """Finds images that no list names."""
    images = layout.unlisted(root, entries)
    if not images:
        return []
    return [
        Fault(
            kind="images in no list",
            where=layout.images,
            expected="every image in a list",
            found=some(images),
            fix="add their ids to a list to use them",
            severity="warning",
        )
    ]


def _identity_lut(count: int) -> NDArray[np.uint8]:
    """Returns the (256,) lookup table that keeps the ids below `count` and turns all others into 255."""
    ids = np.arange(256)
    return np.where(ids < count, ids, IGNORE).astype(np.uint8)


def _as_warning(fault: Fault) -> Fault:
    return replace(fault, found=f"{fault.found}, for an image that is only used unlabelled", severity="warning")


def _table(faults: Iterable[Fault]) -> pd.DataFrame:
    ordered = sorted(faults, key=lambda fault: fault.severity != "error")
    return pd.DataFrame([[getattr(fault, column) for column in COLUMNS] for fault in ordered], columns=list(COLUMNS))
