"""Data sets in folders on disk, whatever their layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.classes import class_lut
from psmt_viz.data.dataset import Split
from psmt_viz.data.faults import Fault, first_error
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing, merge_entries
from psmt_viz.data.rasters import read_image, read_mask
from psmt_viz.data.splits import nested_split, split_names, split_path
from psmt_viz.data.tree import ListedTree
from psmt_viz.errors import UserError

T = TypeVar("T")


class DataFolder:
    """A data set in a folder; each layout has a subclass. Nothing is ever written to the folder.

    Folder, lists and class names are checked here, images and masks when they are read. Splits of the folder's own
    are ImageSets/Segmentation/semi/SPLIT/{labeled,unlabeled}.txt.

    Args:
        root: The folder.
        classes: Names to keep, which get the ids 0, 1, ... in this order; all other classes become 255. All are kept
            if it is empty.
        labeled_list: A list file that replaces the folder's splits; needs `unlabeled_list`.
        unlabeled_list: The other half of that split.
        val_list: A list file that replaces the folder's list of validation images.

    Raises:
        UserError: if a folder or list is missing, empty or malformed, or a class name is unknown.
    """

    layout: ClassVar[Layout]

    def __init__(
        self,
        root: Path,
        *,
        classes: Sequence[str] = (),
        labeled_list: Path | None = None,
        unlabeled_list: Path | None = None,
        val_list: Path | None = None,
    ) -> None:
        # `~` reaches Python unexpanded from configuration files and from --data=~/voc.
        self.root = Path(root).expanduser()
        require_both_lists(labeled_list, unlabeled_list)
        self._raise_first(self.layout.folder_faults(self.root, images_listed=labeled_list is not None))
        self._names, faults = self.layout.read_classes(self.root)
        self._raise_first(faults)
        self.classes = tuple(classes) or self._names
        self._lut = class_lut(self._names, self.classes)
        self._entries: dict[str, Entry] = {}
        self._given: Split | None = None
        if labeled_list is not None and unlabeled_list is not None:
            self._given = Split(self._read(labeled_list).ids, self._read(unlabeled_list).ids)
            train = tuple(dict.fromkeys(self._given.labeled + self._given.unlabeled))
        else:
            train = self._add(self.layout.listing(self.root, "train")).ids
        val = self._read(val_list) if val_list else self._add(self.layout.listing(self.root, "val"))
        self._ids = {"train": train, "val": val.ids}

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the ids of `train` or `val` in the order of the list.

        Raises:
            UserError: if `part` is neither.
        """
        if part not in self._ids:
            raise UserError("the part train or val", repr(part), "choose one of the two")
        return self._ids[part]

    def splits(self) -> tuple[str, ...]:
        """Returns the names of the splits that the folder has of its own."""
        return split_names(self.root)

    def split(self, name: str) -> Split:
        """Returns a split: the given lists whatever the name, else the folder's own, else one drawn in memory.

        Raises:
            UserError: if the folder has no such split and the name is neither `1_N` nor `full`, or a list is faulty.
        """
        if self._given is not None:
            return self._given
        if name not in self.splits():
            return nested_split(self._ids["train"], name, others=self.splits())
        labeled = self._read(split_path(self.root, name, "labeled"))
        unlabeled = self._read(split_path(self.root, name, "unlabeled"), may_be_empty=name == "full")
        return Split(labeled.ids, unlabeled.ids)

    def image(self, id: str) -> NDArray[np.uint8]:
        """Returns the image, (H, W, 3) uint8 RGB.

        Raises:
            UserError: if the id is unknown or the file is missing or unreadable.
        """
        path = self.layout.image_path(self.root, self._entry(id))
        return self._unless_faulty(read_image(path, self.root))

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns the label of each pixel, (H, W) uint8: an index into `classes`, or 255.

        Raises:
            UserError: if the id is unknown or the mask is missing, unreadable, in colours or holds unknown ids.
        """
        path = self.layout.mask_path(self.root, self._entry(id))
        mask = self._unless_faulty(read_mask(path, self.root))
        if (fault := self.layout.unknown_ids(mask, path, self.root, self._names)) is not None:
            raise fault.error(self.root)
        return np.take(self._lut, self.layout.class_ids(mask, path))

    def fingerprint(self) -> dict[str, Any]:
        """Returns counts, class names and a hash over the sorted paths and sizes of all listed images and masks."""
        tree, names = ListedTree(self.root), set()
        for ids in self._ids.values():
            for id in ids:
                entry = self._entries[id]
                names.add(self.layout.image_name(tree, entry))
                names.add(self.layout.mask_name(tree, entry))
        text = "\n".join(f"{name}\t{tree.size(name)}" for name in sorted(names))
        return {
            "train": len(self._ids["train"]),
            "val": len(self._ids["val"]),
            "classes": list(self.classes),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }

    def _entry(self, id: str) -> Entry:
        if id not in self._entries:
            raise UserError(f"an id of the lists in {self.root}", repr(id), "see ids('train') and ids('val')")
        return self._entries[id]

    def _read(self, path: Path, *, may_be_empty: bool = False) -> Listing:
        return self._add(self.layout.read_list(path, self.root, may_be_empty=may_be_empty))

    def _add(self, listing: Listing) -> Listing:
        """Adds a list's images to those known, and returns it."""
        self._raise_first([*listing.faults, *merge_entries(self._entries, listing)])
        return listing

    def _raise_first(self, faults: Iterable[Fault]) -> None:
        if (fault := first_error(faults)) is not None:
            raise fault.error(self.root)

    def _unless_faulty(self, value: T | Fault) -> T:
        if isinstance(value, Fault):
            raise value.error(self.root)
        return value


def require_both_lists(labeled_list: Path | None, unlabeled_list: Path | None) -> None:
    """Raises a UserError if only one half of a split is given: the other half would silently be another split's."""
    if (labeled_list is None) != (unlabeled_list is None):
        missing = "--unlabeled-list" if unlabeled_list is None else "--labeled-list"
        raise UserError("both --labeled-list and --unlabeled-list, or neither", "one of them", f"add {missing}")
