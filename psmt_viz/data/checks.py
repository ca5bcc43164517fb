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

from psmt_viz.data.cityscapes import layout_of
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.layout import Entry, Listing, merge_entries, split_names, split_path
from psmt_viz.data.layouts import Layout
from psmt_viz.data.rasters import read_image, read_mask
from psmt_viz.data.voc import class_lut, require_both_lists
from psmt_viz.metrics import IGNORE
from psmt_viz.progress import progress

COLUMNS = ("severity", "kind", "where", "found", "fix")

# The name of the split that the user gives as two lists; no folder can have it.
_GIVEN = ""


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
        classes: Names of the classes to keep, as for `VocFolder`.
        labeled_list: Replaces the folder's splits, as for `VocFolder`.
        unlabeled_list: The other half of that split.
        val_list: Replaces the folder's val.txt.

    Returns:
        One row a fault, errors first: severity (`error`, `warning`), kind, where, found, fix. No row means no fault.

    Raises:
        UserError: if `classes` holds an unknown name, or only one half of a split is given.
    """
    root = Path(root).expanduser()
    require_both_lists(labeled_list, unlabeled_list)
    layout = layout_of(root)
    faults = layout.folder_faults(root, images_listed=labeled_list is not None)
    if not root.is_dir():
        return _table(faults)
    names, class_faults = layout.read_classes(root)
    lists = _read_lists(layout, root, labeled_list, unlabeled_list, val_list)
    entries: dict[str, Entry] = {}
    faults += class_faults
    for listing in lists.all:
        faults += [*listing.faults, *merge_entries(entries, listing)]
    faults += _overlaps(lists)

    # Faulty names (blank, twice) have faults of their own; the ids still count.
    kept = tuple(classes) or names
    table = class_lut(names, kept) if classes else _identity(len(names))
    must_have_mask = lists.may_be_labeled
    presence: dict[str, NDArray[np.bool_]] = {}
    inspect = partial(_inspect, layout=layout, root=root, names=names, table=table)
    with ThreadPoolExecutor() as pool, progress("check", len(entries)) as advance:
        for seen in pool.map(inspect, entries.values()):
            presence[seen.id] = seen.present
            faults += [
                _as_warning(fault) if fault.kind == "missing mask" and seen.id not in must_have_mask else fault
                for fault in seen.faults
            ]
            advance("")
    faults += _absent_classes(lists, presence, kept)
    faults += _unlisted(layout, root, entries.values())
    return _table(faults)


@dataclass(frozen=True, kw_only=True)
class _Lists:
    train: tuple[Listing, ...]
    """train.txt, or the two halves of the split that is given."""
    val: Listing
    splits: Mapping[str, tuple[Listing, Listing]]
    """Name -> labelled and unlabelled half."""

    @property
    def all(self) -> list[Listing]:
        """Every list file once."""
        halves = [half for pair in self.splits.values() for half in pair]
        return [*(listing for listing in self.train if listing not in halves), self.val, *halves]

    @property
    def train_ids(self) -> set[str]:
        return {id for listing in self.train for id in listing.ids}

    @property
    def may_be_labeled(self) -> set[str]:
        """The ids whose masks are read; without splits in the folder, any training image can be drawn as labelled."""
        labeled = {id for half, _ in self.splits.values() for id in half.ids} if self.splits else self.train_ids
        return labeled | set(self.val.ids)


def _read_lists(
    layout: Layout, root: Path, labeled_list: Path | None, unlabeled_list: Path | None, val_list: Path | None
) -> _Lists:
    val = layout.read_list(val_list, root) if val_list else layout.listing(root, "val")
    if labeled_list is not None and unlabeled_list is not None:
        given = layout.read_list(labeled_list, root), layout.read_list(unlabeled_list, root)
        return _Lists(train=given, val=val, splits={_GIVEN: given})
    splits = {
        name: (
            layout.read_list(split_path(root, name, "labeled"), root),
            layout.read_list(split_path(root, name, "unlabeled"), root, may_be_empty=name == "full"),
        )
        for name in split_names(root)
    }
    return _Lists(train=(layout.listing(root, "train"),), val=val, splits=splits)


def _overlaps(lists: _Lists) -> list[Fault]:
    """Finds ids that are in two lists which should share none, or in a split but not in train."""
    faults = []
    train, val = lists.train_ids, set(lists.val.ids)
    if both := sorted(train & val):
        faults.append(
            Fault(
                kind="train and val overlap",
                where=" and ".join([*(listing.where for listing in lists.train), lists.val.where]),
                expected="no id in both train and val",
                found=_some(both),
                fix="take them out of the training list, or the scores will be too good",
            )
        )
    for labeled, unlabeled in lists.splits.values():
        members = set(labeled.ids) | set(unlabeled.ids)
        if both := sorted(set(labeled.ids) & set(unlabeled.ids)):
            faults.append(
                Fault(
                    kind="labelled and unlabelled overlap",
                    where=f"{labeled.where} and {unlabeled.where}",
                    expected="no id in both halves of a split",
                    found=_some(both),
                    fix="take them out of one of the two lists",
                )
            )
        if train and (foreign := sorted(members - train - val)):
            faults.append(
                Fault(
                    kind="split ids not in train",
                    where=f"{labeled.where} and {unlabeled.where}",
                    expected="splits of the training list",
                    found=_some(foreign),
                    fix="add them to train.txt or take them out of the split",
                    severity="warning",
                )
            )
        if leaked := sorted((members & val) - train):
            faults.append(
                Fault(
                    kind="split and val overlap",
                    where=f"{labeled.where} and {unlabeled.where}",
                    expected="no id of val in a split",
                    found=_some(leaked),
                    fix="take them out of the split, or the scores will be too good",
                )
            )
    return faults


@dataclass(frozen=True, kw_only=True)
class _Seen:
    id: str
    faults: tuple[Fault, ...]
    present: NDArray[np.bool_]
    """(256,) which labels the mask has after the choice of classes."""


def _inspect(entry: Entry, *, layout: Layout, root: Path, names: Sequence[str], table: NDArray[np.uint8]) -> _Seen:
    """Reads one image and its mask."""
    faults: list[Fault] = []
    path = layout.mask_path(root, entry)
    image, mask = read_image(layout.image_path(root, entry), root), read_mask(path, root)
    present = np.zeros(256, np.bool_)
    where = relative(path, root)
    if isinstance(image, Fault):
        faults.append(image)
    if isinstance(mask, Fault):
        faults.append(mask)
    else:
        unknown = layout.unknown_ids(mask, path, root, names)
        mask = layout.class_ids(mask, path)
        if unknown is not None:
            faults.append(unknown)
        present[table[np.where((mask >= 0) & (mask < len(table)), mask, IGNORE)]] = True
        if unknown is None and not present[:IGNORE].any():
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
                fix="make the mask anew in the image's size",
            )
        )
    return _Seen(id=entry.id, faults=tuple(faults), present=present)


def _absent_classes(lists: _Lists, presence: Mapping[str, NDArray[np.bool_]], names: Sequence[str]) -> list[Fault]:
    """Finds classes without a pixel in train, in val or in the labelled half of a split."""
    # With lists given, the training masks in use are those of the labelled list alone.
    train = [] if _GIVEN in lists.splits else [*lists.train]
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
    images = layout.unlisted(root, entries)
    if not images:
        return []
    return [
        Fault(
            kind="images in no list",
            where=layout.images,
            expected="every image in a list",
            found=_some(images),
            fix="add their ids to a list to use them",
            severity="warning",
        )
    ]


def _identity(count: int) -> NDArray[np.uint8]:
    ids = np.arange(256)
    return np.where(ids < count, ids, IGNORE).astype(np.uint8)


def _as_warning(fault: Fault) -> Fault:
    return replace(fault, found=f"{fault.found}, for an image that is only used unlabelled", severity="warning")


def _some(items: Sequence[str]) -> str:
    """Names the first few of many."""
    return f"{len(items)}: {', '.join(items[:5])}{', ...' if len(items) > 5 else ''}"


def _table(faults: Iterable[Fault]) -> pd.DataFrame:
    ordered = sorted(faults, key=lambda fault: fault.severity != "error")
    return pd.DataFrame([[getattr(fault, column) for column in COLUMNS] for fault in ordered], columns=list(COLUMNS))
