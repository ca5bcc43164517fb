"""The layout of Pascal VOC, which data sets of one's own can have as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from psmt_viz.data.classes import CLASSES_FILE
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing
from psmt_viz.data.rasters import IMAGE_SUFFIXES, is_raster, without_suffix
from psmt_viz.data.tree import Tree

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Pascal VOC's class names in the order of their ids; used for its own images where there is no classes.txt."""

_VOCS_ID = re.compile(r"20\d\d_\d{6}")
IMAGES = "JPEGImages"
MASKS = ("SegmentationClass", "SegmentationClassAug")
"""The first that is there is read."""
LISTS = "ImageSets/Segmentation"


class VocLayout(Layout):
    """JPEGImages/ID.jpg, SegmentationClass/ID.png, ImageSets/Segmentation/{train,val}.txt, classes.txt."""

    images = IMAGES

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
        """Reads classes.txt; without the file, a folder whose images are called like VOC's has VOC's classes."""
        if not (root / CLASSES_FILE).exists() and _is_vocs_own(root):
            return VOC_CLASSES, ()
        return super().read_classes(root)

    def listing(self, root: Path, part: str) -> Listing:
        """Reads train.txt or val.txt."""
        return self.read_list(list_path(root, part), root)

    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns JPEGImages/ID with the suffix that is there, or the path that a list gives."""
        if entry.image:
            return entry.image
        return _with_suffix(tree, f"{IMAGES}/{entry.id}", IMAGE_SUFFIXES)

    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns SegmentationClass/ID with the suffix that is there, .png before others, or the path of a list."""
        if entry.mask:
            return entry.mask
        folder = next((name for name in MASKS if tree.is_dir(name)), MASKS[0])
        return _with_suffix(tree, f"{folder}/{entry.id}", (".png", *IMAGE_SUFFIXES))

    def identify(self, root: Path, entry: Entry) -> Entry:
        """Gives a path the id that the image has in lists of ids: its path below JPEGImages without the suffix."""
        if not entry.image:
            return entry
        return replace(entry, id=without_suffix(entry.image).removeprefix(f"{IMAGES}/"))

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Looks through JPEGImages."""
        folder = root / IMAGES
        if not folder.is_dir():
            return []
        listed = {self.image_path(root, entry) for entry in entries}
        paths = (path for path in folder.rglob("*") if is_raster(path.name) and path not in listed)
        return sorted(relative(path, folder) for path in paths)


class VocFolder(DataFolder):
    """A data set in Pascal VOC's layout.

    Images are JPEGImages/ID.jpg (or .png, .tif, ...), masks SegmentationClass/ID.png (or SegmentationClassAug), lists
    ImageSets/Segmentation/{train,val}.txt, and class names are in classes.txt. A list
    holds one id per line, or an image's and a mask's path, relative to the folder (`/JPEGImages/x.jpg
    /SegmentationClassAug/x.png`).
    """

    layout = VocLayout()


def list_path(root: Path, part: str) -> Path:
    """Returns the list file of `train` or `val`."""
    return root / LISTS / f"{part}.txt"


def _with_suffix(tree: Tree, stem: str, suffixes: Sequence[str]) -> str:
    return stem + next((suffix for suffix in suffixes if tree.is_file(stem + suffix)), suffixes[0])


def _is_vocs_own(root: Path) -> bool:
    """Returns whether most images are called as in Pascal VOC, 2007_000032."""
    names = [path.stem for path in islice((root / IMAGES).glob("*"), 100)]
    return 2 * sum(_VOCS_ID.fullmatch(name) is not None for name in names) > len(names)


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
