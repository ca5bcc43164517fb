"""What a way of arranging images, masks and lists in a folder has to say: the base class of all layouts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from psmt_viz.data.faults import Fault
from psmt_viz.data.lists import Entry, Listing, read_list
from psmt_viz.data.tree import Tree


class Layout(ABC):
    """How images, masks, lists and class names are arranged in a folder; each layout is a file of its own."""

    images: ClassVar[str]
    """The folder that holds all images."""

    @abstractmethod
    def recognizes(self, root: Path) -> bool:
        """Returns whether a folder looks as if it had this layout."""

    @abstractmethod
    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders.

        Args:
            root: The data set's folder.
            images_listed: The lists may give paths of their own, so the standard folders need not be there.
        """

    @abstractmethod
    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Returns the class names in the order of their ids, and what is wrong with them."""

    @abstractmethod
    def listing(self, root: Path, part: str) -> Listing:
        """Returns the images of `train` or `val`."""

    @abstractmethod
    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns where an image is, or where it should be, relative to the data set's folder, with forward slashes."""

    @abstractmethod
    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns where a mask is, or where it should be, in the same way."""

    @abstractmethod
    def unknown_ids(self, mask: NDArray[Any], path: Path, root: Path, names: Sequence[str]) -> Fault | None:
        """Finds numbers in a mask's file that stand for no class."""

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

    def class_ids(self, mask: NDArray[Any], path: Path) -> NDArray[Any]:
        """Turns the numbers in a mask's file into class ids; 255 and numbers that stand for no class stay."""
        return mask

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Returns the images that no list names, relative to the folder of images; by default none."""
        return []
