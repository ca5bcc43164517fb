"""Every fault of a data set's folder, found in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.data.class_checks import shares, unlearnable_classes
from psmt_viz.data.classes import class_lut
from psmt_viz.data.faults import Fault, first_error, printable, relative, some
from psmt_viz.data.folder import folder_options, require_both_lists
from psmt_viz.data.layout import Layout
from psmt_viz.data.list_checks import overlaps, read_lists
from psmt_viz.data.lists import Entry, merge_entries
from psmt_viz.data.mask_values import Reading
from psmt_viz.data.opening import find_layout
from psmt_viz.data.rasters import orientation, read_image, read_mask, size_of, upright
from psmt_viz.data.voc import VocLayout
from psmt_viz.metrics import IGNORE
from psmt_viz.progress import progress

COLUMNS = ("severity", "kind", "where", "found", "fix")


def check(root: Path, **options: Any) -> Checked:
    """Finds every fault of a folder; reads all files and writes none.

    Args:
        root: The folder.
        options: Settings of the folder by name, as for `DataFolder`.

    Raises:
        UserError: if `classes` holds an unknown name, or only one half of a split is given.
    """
    root = Path(root).expanduser()
    given = folder_options(root, options)
    require_both_lists(given)
    layout = find_layout(root, given)
    faults = layout.folder_faults(root, images_listed=given.labeled_list is not None)
    if not root.is_dir() or (first_error(faults) is not None and not isinstance(layout, VocLayout)):
        return Checked(faults=_table(faults))
    names, class_faults = layout.read_classes(root)
    lists = read_lists(layout, root, given)
    entries: dict[str, Entry] = {}
    faults += class_faults
    for listing in lists.all:
        faults += [*listing.faults, *merge_entries(entries, listing)]
    faults += overlaps(lists)
    paths = [layout.mask_path(root, entry) for entry in entries.values() if layout.has_mask(entry)]
    how = layout.reading(given, root, names, lambda: [path for path in paths if path.is_file()])
    faults += how.faults
    faults += [_remark(root, text) for text in (*layout.remarks, *how.remarks)]

    # Faulty names (blank, twice) have faults of their own; the ids still count.
    kept = given.classes or how.names
    lut = class_lut(how.names, kept) if given.classes else _identity_lut(len(how.names))
    must_have_mask = lists.may_be_labeled
    pixels: dict[str, NDArray[np.int64]] = {}
    inspect = partial(_inspect, layout=layout, root=root, how=how, lut=lut)
    with ThreadPoolExecutor() as pool, progress("check", len(entries)) as advance:
        for inspected in pool.map(inspect, entries.values()):
            pixels[inspected.id] = inspected.pixels
            for fault in inspected.faults:
                if fault.kind == "mask all void" and how.faults:
                    continue  # what the numbers stand for is open
                needed = fault.kind != "missing mask" or inspected.id in must_have_mask
                faults.append(fault if needed else _as_warning(fault))
            advance("")
    faults += unlearnable_classes(lists, pixels, kept)
    faults += _unlisted(layout, root, entries.values())
    return Checked(faults=_table(faults), shares=shares(lists, pixels, kept))


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `check` found."""

    faults: pd.DataFrame
    """One row per fault, errors first: severity (`error`, `warning`), kind, where, found, fix. No rows: no fault."""
    shares: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per list and class, `no class` last: list, class, images that show it, share of the list's pixels."""

    def lines(self) -> list[str]:
        """Returns the faults in words, those of one kind with one fix as one line: how many, and the first three."""
        lines = []
        for (severity, kind, fix), rows in self.faults.groupby(["severity", "kind", "fix"], sort=False):
            first = [f"{where}: {found}" for where, found in rows[["where", "found"]].head(3).itertuples(index=False)]
            count = f"{len(rows)} times, first " if len(rows) > 3 else ""
            lines.append(f"{severity}: {kind}: {count}{'; '.join(first)}; {fix}")
        return lines


@dataclass(frozen=True, kw_only=True)
class _Inspected:
    id: str
    faults: tuple[Fault, ...]
    pixels: NDArray[np.int64]
    """(256,) pixels of each label after the choice of classes."""


def _inspect(entry: Entry, *, layout: Layout, root: Path, how: Reading, lut: NDArray[np.uint8]) -> _Inspected:
    """Reads one image and its mask."""
    path = layout.mask_path(root, entry) if layout.has_mask(entry) else None
    image_path = layout.image_path(root, entry)
    image = read_image(image_path, root, mask=path)
    faults = [image] if isinstance(image, Fault) else [*_remarkable(image_path, root, path)]
    pixels = np.zeros(256, np.int64)
    mask = read_mask(path, root) if path is not None else None
    if isinstance(mask, Fault):
        faults.append(mask)
    elif mask is not None and path is not None:
        where = relative(path, root)
        ids, unknown = layout.class_ids(mask, path, root, how)
        pixels = np.bincount(lut[ids].ravel(), minlength=256)
        if unknown is not None:
            faults.append(unknown)
        elif not pixels[:IGNORE].any():
            faults.append(
                Fault(
                    kind="mask all void",
                    where=where,
                    expected="a class on some pixel",
                    found="no class (or classes that are not kept) on every pixel",
                    fix="label the image or take its id out of the labelled lists",
                    severity="warning",
                )
            )
        if not isinstance(image, Fault) and image.shape[:2] != mask.shape[:2]:
            (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape[:2]
            faults.append(
                Fault(
                    kind="size mismatch",
                    where=where,
                    expected=f"a mask of the image's size, {width} x {height}",
                    found=f"a mask of {mask_width} x {mask_height}, an image of {width} x {height}",
                    fix="save the mask in the image's size",
                )
            )
    return _Inspected(id=entry.id, faults=tuple(faults), pixels=pixels)


def _remarkable(path: Path, root: Path, mask: Path | None) -> Iterator[Fault]:
    """Yields what is read in a way that one should know of: an orientation in EXIF, few of 16 bits."""
    where = relative(path, root)
    with Image.open(path) as file:
        if (turned := orientation(file)) != 1:
            heeded = upright(file, size_of(mask) if mask is not None else None) is not file
            told = "heeded" if heeded else "not heeded, because the mask has another size"
            yield Fault(
                kind="orientation in EXIF",
                where=where,
                expected="images as they are stored",
                found=f"orientation {turned}, {told}",
                fix="look at checks.png, and save image and mask turned alike where they do not fit",
                severity="warning",
            )
        if file.mode.startswith("I") and (highest := int(np.asarray(file).max())) < 1 << 12:
            yield Fault(
                kind="dark 16-bit image",
                where=where,
                expected="values up to 65535",
                found=f"values up to {highest}, of which the upper 8 of 16 bits are read",
                fix="stretch the images of the data set alike, or save them with 8 bits",
                severity="warning",
            )


def _remark(root: Path, text: str) -> Fault:
    found, _, fix = text.partition("; ")
    return Fault(
        kind="found by looking", where=root.name, expected="it said", found=found, fix=fix or "-", severity="warning"
    )


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
    rows = [[printable(getattr(fault, column)) for column in COLUMNS] for fault in ordered]
    return pd.DataFrame(rows, columns=list(COLUMNS))
