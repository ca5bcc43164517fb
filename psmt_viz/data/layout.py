"""What a way of arranging images, masks and lists in a folder has to say: the base class of all layouts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.classes import CLASSES_FILE, read_classes
from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.lists import Entry, Listing, read_list
from psmt_viz.data.mask_values import Paths, Reading, reading
from psmt_viz.data.tree import Tree
from psmt_viz.groups import DataConfig
from psmt_viz.metrics import IGNORE


class Layout(ABC):
    """How images, masks, lists and class names are arranged in a folder; each layout is a file of its own."""

    images: str
    """The folder that holds all images."""
    remarks: tuple[str, ...] = ()
    """What was found out by looking, for the user to know."""
    draws_val: bool = False
    """Whether the folder says nothing of validation images, so that some are drawn."""

    @abstractmethod
    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders.

        Args:
            root: The data set's folder.
            images_listed: The lists may give paths of their own, so the standard folders need not be there.
        """

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Returns the class names in the order of their ids, none where nothing tells, and what is wrong with them."""
        return read_classes(root) if (root / CLASSES_FILE).exists() else ((), ())

    @abstractmethod
    def listing(self, root: Path, part: str) -> Listing:
        """Returns the images of `train` or `val`."""

    @abstractmethod
    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns where an image is, or where it should be, relative to the data set's folder, with forward slashes."""

    @abstractmethod
    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns where a mask is, or where it should be, in the same way."""

    def reading(self, options: DataConfig, root: Path, names: tuple[str, ...], masks: Paths) -> Reading:
        """Finds out how masks are read (see `mask_values.reading`)."""
        return reading(options, root, names, masks)

    def class_ids(
        self, stored: NDArray[Any], path: Path, root: Path, how: Reading
    ) -> tuple[NDArray[np.uint8], Fault | None]:
        """Turns what a mask's file holds into class ids, 255 where none applies, and names what is wrong with it.

        Without class names (classes.txt is faulty itself), every number counts.
        """
        fix = "name every class in classes.txt, or set the pixels to 255"
        return how.values.ids(stored, len(how.names) or IGNORE, where=relative(path, root), fix=fix)

    def image_path(self, root: Path, entry: Entry) -> Path:
        """Returns where an image is, or where it should be."""
        return root / self.image_name(Tree(root), entry)

    def mask_path(self, root: Path, entry: Entry) -> Path:
        """Returns where a mask is, or where it should be."""
        return root / self.mask_name(Tree(root), entry)

    def read_list(self, path: Path, root: Path, *, may_be_empty: bool = False) -> Listing:
        """Reads a list file, whose lines hold ids or paths."""
        return read_list(path, root, may_be_empty=may_be_empty, identify=partial(self.identify, root))

    def identify(self, root: Path, entry: Entry) -> Entry:
        """Returns the entry with the id that this layout gives the image; by default the id of the list."""
        return entry

    def has_mask(self, entry: Entry) -> bool:
        """Returns whether an image is one of those that have a mask; where masks are named after ids, all may."""
        return True

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Returns the images that no list names, relative to the folder of images; by default none."""
        return []
