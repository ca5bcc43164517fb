"""Data sets in folders on disk, whatever their layout."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.classes import class_lut
from psmt_viz.data.dataset import Split
from psmt_viz.data.faults import Fault, first_error, some
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing, merge_entries
from psmt_viz.data.rasters import read_image, read_mask
from psmt_viz.data.splits import nested_split, split_names, split_path
from psmt_viz.data.tree import ListedTree
from psmt_viz.errors import UserError
from psmt_viz.groups import DataConfig
from psmt_viz.settings import names_of

T = TypeVar("T")


class DataFolder:
    """A data set in a folder, arranged in one of several layouts. Nothing is ever written to the folder.

    Folder, lists and class names are checked here, images and masks when they are read. Splits of the folder's own
    are ImageSets/Segmentation/semi/SPLIT/{labeled,unlabeled}.txt. What was found out by looking, and images that are in
    two lists which should share none, are told as warnings.

    Args:
        root: The folder.
        layout: How it is arranged; the subclasses have their own.
        names: What the classes are called where the folder does not say it.
        options: Settings of `groups.DataConfig` by name: `classes`, the names to keep, which get the ids 0, 1, ... in
            this order (all other classes become 255); `labeled_list` with `unlabeled_list`, and `val_list`, which
            replace the folder's; and those that say how masks are read.

    Raises:
        UserError: if a folder or list is missing, empty or malformed, a class name is unknown, or it is open what the
            numbers in the masks stand for.
    """

    layout: Layout

    def __init__(self, root: Path, *, layout: Layout | None = None, names: Sequence[str] = (), **options: Any) -> None:
        # `~` reaches Python unexpanded from configuration files and from --data=~/voc.
        self.root = Path(root).expanduser()
        self.options = given = folder_options(self.root, options)
        if layout is not None:
            self.layout = layout
        require_both_lists(given)
        self._raise_first(self.layout.folder_faults(self.root, images_listed=given.labeled_list is not None))
        own_names, faults = self.layout.read_classes(self.root)
        self._raise_first(faults)
        self._entries: dict[str, Entry] = {}
        self._given: Split | None = None
        if given.labeled_list is not None and given.unlabeled_list is not None:
            self._given = Split(*(self._read(Path(half)).ids for half in (given.labeled_list, given.unlabeled_list)))
            train = tuple(dict.fromkeys(self._given.labeled + self._given.unlabeled))
        else:
            train = self._add(self.layout.listing(self.root, "train")).ids
        val = self._read(Path(given.val_list)) if given.val_list else self._val(train)
        self._ids = {"train": train, "val": val.ids}
        self._reading = self.layout.reading(given, self.root, own_names or tuple(names), self._masks)
        self._raise_first(self._reading.faults)
        self.classes = given.classes or self._reading.names
        self._lut = class_lut(self._reading.names, self.classes)
        for remark in (*self.layout.remarks, *self._reading.remarks):
            warnings.warn(f"{self.name}: {remark}", stacklevel=2)
        self._warn_of_shared(train, val.ids, "the training images", "those for validation")
        if self._given is not None:
            labeled, unlabeled = self._given.labeled, self._given.unlabeled
            self._warn_of_shared(labeled, unlabeled, "the labelled images", "the unlabelled ones")

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
            train = self._ids["train"]
            masked = tuple(filter(self.has_mask, train))
            return nested_split(masked, name, others=self.splits(), unlabeled={*train} - {*masked})
        labeled = self._read(split_path(self.root, name, "labeled"))
        unlabeled = self._read(split_path(self.root, name, "unlabeled"), may_be_empty=name == "full")
        self._warn_of_shared(labeled.ids, unlabeled.ids, "the labelled images", f"the unlabelled ones of split {name}")
        return Split(labeled.ids, unlabeled.ids)

    def has_mask(self, id: str) -> bool:
        """Returns whether an image is one of those that have a mask; where masks are named after ids, all may.

        Raises:
            UserError: if the id is unknown.
        """
        return self.layout.has_mask(self._entry(id))

    def image(self, id: str) -> NDArray[np.uint8]:
        """Returns the image, (H, W, 3) uint8 RGB.

        Raises:
            UserError: if the id is unknown or the file is missing or unreadable.
        """
        entry = self._entry(id)
        mask = self.layout.mask_path(self.root, entry) if self.has_mask(id) else None
        return self._unless_faulty(read_image(self.layout.image_path(self.root, entry), self.root, mask=mask))

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns the label of each pixel, (H, W) uint8: an index into `classes`, or 255.

        Raises:
            UserError: if the id is unknown or the mask is missing, unreadable, or holds unknown numbers or colours.
        """
        path = self.layout.mask_path(self.root, self._entry(id))
        stored = self._unless_faulty(read_mask(path, self.root))
        ids, fault = self.layout.class_ids(stored, path, self.root, self._reading)
        if fault is not None:
            raise fault.error(self.root)
        return np.take(self._lut, ids)

    def fingerprint(self) -> dict[str, Any]:
        """Returns counts, class names and a hash over the sorted paths and sizes of all listed images and masks."""
        tree, names = ListedTree(self.root), set()
        for ids in self._ids.values():
            for id in ids:
                entry = self._entries[id]
                names.add(self.layout.image_name(tree, entry))
                if self.layout.has_mask(entry):
                    names.add(self.layout.mask_name(tree, entry))
        text = "\n".join(f"{name}\t{tree.size(name)}" for name in sorted(names))
        return {
            "train": len(self._ids["train"]),
            "val": len(self._ids["val"]),
            "classes": list(self.classes),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }

    def _val(self, train: Sequence[str]) -> Listing:
        """Returns the folder's validation images; where they are drawn, never those of the lists that are given."""
        val = self._add(self.layout.listing(self.root, "val"))
        if self._given is None or not self.layout.draws_val:
            return val
        others = [*val.entries, *self._add(self.layout.listing(self.root, "train")).entries]
        kept = tuple(entry for entry in others if entry.id not in {*train} and self.layout.has_mask(entry))
        return replace(val, entries=kept)

    def _masks(self) -> list[Path]:
        """Returns the files of the masks of all images that have one."""
        tree = ListedTree(self.root)
        entries = [entry for entry in self._entries.values() if self.layout.has_mask(entry)]
        names = [name for entry in entries if tree.is_file(name := self.layout.mask_name(tree, entry))]
        return [self.root / name for name in dict.fromkeys(names)]

    def _warn_of_shared(self, first: Iterable[str], second: Iterable[str], *names: str) -> None:
        if shared := sorted({*first} & {*second}):
            words = f"{self.name}: in both {names[0]} and {names[1]}, {some(shared)}"
            warnings.warn(f"{words}; psmt-viz checks names the lists", stacklevel=3)

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


def folder_options(root: Path, options: Mapping[str, Any]) -> DataConfig:
    """Returns settings of a folder as those of a run: paths as text, sequences as tuples.

    Raises:
        UserError: if a name is unknown or a value out of bounds.
    """
    values: dict[str, Any] = {"data": str(root)}
    for name, value in options.items():
        if name not in names_of(DataConfig):
            raise UserError("settings of a data set's folder", name, f"choose among {', '.join(names_of(DataConfig))}")
        path = isinstance(value, Path)
        values[name] = str(value) if path else tuple(value) if isinstance(value, list) else value
    return DataConfig(**values)


def require_both_lists(given: DataConfig) -> None:
    """Raises a UserError if only one half of a split is given: the other half would silently be another split's."""
    if (given.labeled_list is None) != (given.unlabeled_list is None):
        missing = "--unlabeled-list" if given.unlabeled_list is None else "--labeled-list"
        raise UserError("both --labeled-list and --unlabeled-list, or neither", "one of them", f"add {missing}")
