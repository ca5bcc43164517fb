"""How a folder's layout answers what a data set asks of it; Pascal VOC's answers are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from psmt_viz.data import layout as voc
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.layout import Entry, Listing
from psmt_viz.data.rasters import unknown_ids


class Layout(Protocol):
    """A way to arrange images, masks, lists and class names in a folder."""

    @property
    def images(self) -> str:
        """The folder that holds all images."""
        ...

    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders; with lists that give paths, the standard ones are not asked for."""
        ...

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Returns the class names in the order of their ids, and what is wrong with them."""
        ...

    def listing(self, root: Path, part: str) -> Listing:
        """Returns the images of `train` or `val`."""
        ...

    def read_list(self, path: Path, root: Path, *, may_be_empty: bool = False) -> Listing:
        """Reads a list file."""
        ...

    def image_path(self, root: Path, entry: Entry) -> Path:
        """Returns where an image is, or where it should be."""
        ...

    def mask_path(self, root: Path, entry: Entry) -> Path:
        """Returns where a mask is, or where it should be."""
        ...

    def class_ids(self, mask: NDArray[Any], path: Path) -> NDArray[Any]:
        """Turns the numbers in a mask's file into class ids; 255 and numbers that mean nothing stay."""
        ...

    def unknown_ids(self, mask: NDArray[Any], path: Path, root: Path, names: Sequence[str]) -> Fault | None:
        """Finds numbers in a mask's file that mean nothing."""
        ...

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Returns the images that no list names, relative to the folder of images."""
        ...


class VocLayout:
    """Pascal VOC's: JPEGImages, SegmentationClass, ImageSets/Segmentation, classes.txt."""

    images = voc.IMAGES

    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders."""
        return voc.folder_faults(root, images_listed=images_listed)

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Reads classes.txt."""
        return voc.read_classes(root)

    def listing(self, root: Path, part: str) -> Listing:
        """Reads train.txt or val.txt."""
        return self.read_list(voc.list_path(root, part), root)

    def read_list(self, path: Path, root: Path, *, may_be_empty: bool = False) -> Listing:
        """Reads a list file: ids or paths."""
        return voc.read_list(path, root, may_be_empty=may_be_empty)

    def image_path(self, root: Path, entry: Entry) -> Path:
        """Returns JPEGImages/ID with the suffix that is there."""
        return voc.image_path(root, entry)

    def mask_path(self, root: Path, entry: Entry) -> Path:
        """Returns SegmentationClass/ID.png."""
        return voc.mask_path(root, entry)

    def class_ids(self, mask: NDArray[Any], path: Path) -> NDArray[Any]:
        """Returns the mask: its numbers are class ids."""
        return mask

    def unknown_ids(self, mask: NDArray[Any], path: Path, root: Path, names: Sequence[str]) -> Fault | None:
        """Finds ids that name no class; without names (classes.txt is faulty itself), none."""
        fix = "name every class in classes.txt, or set the pixels to 255"
        return unknown_ids(mask, relative(path, root), len(names), fix) if names else None

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Looks through JPEGImages."""
        folder = root / voc.IMAGES
        if not folder.is_dir():
            return []
        listed = {voc.image_path(root, entry) for entry in entries}
        images = (path for path in folder.rglob("*") if path.suffix in voc.SUFFIXES and not path.name.startswith("."))
        return sorted(relative(path, folder) for path in images if path not in listed)
