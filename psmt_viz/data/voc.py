"""The layout of Pascal VOC, which data sets of one's own can have as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.classes import CLASSES_FILE, read_classes
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing
from psmt_viz.data.rasters import IMAGE_SUFFIXES, unknown_ids
from psmt_viz.data.tree import Tree

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Pascal VOC's class names in the order of their ids; used for a folder without classes.txt."""

IMAGES = "JPEGImages"
MASKS = ("SegmentationClass", "SegmentationClassAug")
"""The first that is there is read."""
LISTS = "ImageSets/Segmentation"


class VocLayout(Layout):
    """JPEGImages/ID.jpg, SegmentationClass/ID.png, ImageSets/Segmentation/{train,val}.txt, classes.txt."""

    images = IMAGES

    def recognizes(self, root: Path) -> bool:
        """Returns whether the folder has JPEGImages."""
        return (root / IMAGES).is_dir()

    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders, and the folder that was meant if it lies further in."""
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing there"
            fix = "give a folder in Pascal VOC's or Cityscapes' layout, or scenes for the built-in synthetic data set"
            return [Fault(kind="missing folder", where=str(root), expected=f"a folder {root}", found=found, fix=fix)]
        if images_listed:
            return []
        return [_missing(root, names) for names in ((IMAGES,), MASKS) if not _any_folder(root, names)]

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Reads classes.txt; without the file, the names are VOC's."""
        if not (root / CLASSES_FILE).exists():
            return VOC_CLASSES, ()
        return read_classes(root)

    def listing(self, root: Path, part: str) -> Listing:
        """Reads train.txt or val.txt."""
        return self.read_list(list_path(root, part), root)

    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns JPEGImages/ID with the suffix that is there, or the path that a list gives."""
        if entry.image:
            return entry.image
        stem = f"{IMAGES}/{entry.id}"
        ending = next((suffix for suffix in IMAGE_SUFFIXES if tree.is_file(stem + suffix)), IMAGE_SUFFIXES[0])
        return stem + ending

    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns SegmentationClass/ID.png, or the path that a list gives."""
        if entry.mask:
            return entry.mask
        folder = next((name for name in MASKS if tree.is_dir(name)), MASKS[0])
        return f"{folder}/{entry.id}.png"

    def unknown_ids(self, mask: NDArray[Any], path: Path, root: Path, names: Sequence[str]) -> Fault | None:
        """Finds ids that name no class; without names (classes.txt is faulty itself), none."""
        if not names:
            return None
        fix = "name every class in classes.txt, or set the pixels to 255"
        return unknown_ids(mask, relative(path, root), len(names), fix)

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Looks through JPEGImages."""
        folder = root / IMAGES
        if not folder.is_dir():
            return []
        listed = {self.image_path(root, entry) for entry in entries}
        found = []
        for path in folder.rglob("*"):
            is_image = path.suffix in IMAGE_SUFFIXES and not path.name.startswith(".")
            if is_image and path not in listed:
                found.append(relative(path, folder))
        return sorted(found)


class VocFolder(DataFolder):
    """A data set in Pascal VOC's layout.

    Images are JPEGImages/ID.jpg (or .jpeg, .png), masks SegmentationClass/ID.png (or SegmentationClassAug), lists
    ImageSets/Segmentation/{train,val}.txt, and class names are in classes.txt (without it, they are VOC's 21). A list
    holds one id per line, or an image's and a mask's path, relative to the folder (`/JPEGImages/x.jpg
    /SegmentationClassAug/x.png`).
    """

    layout = VocLayout()


def list_path(root: Path, part: str) -> Path:
    """Returns the list file of `train` or `val`."""
    return root / LISTS / f"{part}.txt"


def voc_palette() -> NDArray[np.uint8]:
    """Returns VOC's colours, (256, 3): the bits of an id are dealt out to red, green and blue, highest first."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for level in range(8):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            palette[:, channel] |= bit << (7 - level)
    return palette.astype(np.uint8)


def _any_folder(root: Path, names: Sequence[str]) -> bool:
    return any((root / name).is_dir() for name in names)


def _missing(root: Path, names: Sequence[str]) -> Fault:
    patterns = [f"{above}/{name}" for name in (IMAGES, "leftImg8bit") for above in ("*", "*/*")]
    inner = next((path for pattern in patterns for path in root.glob(pattern)), None)
    return Fault(
        kind="missing folder",
        where=names[0],
        expected=f"a folder {' or '.join(names)} in {root}",
        found="no such folder",
        fix=f"give {inner.parent} instead" if inner else f"add the folder {names[0]}, as VOC has it",
    )
