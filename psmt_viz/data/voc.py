"""Data sets on disk in the layout of Pascal VOC, read and written."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.faults import Fault, first_error, relative
from psmt_viz.data.layout import (
    IMAGES,
    MASKS,
    Entry,
    Listing,
    image_path,
    list_path,
    merge_entries,
    split_names,
    split_path,
)
from psmt_viz.data.layouts import Layout, VocLayout
from psmt_viz.data.rasters import read_image, read_mask
from psmt_viz.data.splits import nested_split
from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, write_text
from psmt_viz.metrics import IGNORE
from psmt_viz.progress import progress

T = TypeVar("T")


class VocFolder:
    """A data set in a VOC-layout folder; nothing is ever written there.

    Images are JPEGImages/ID.jpg (or .jpeg, .png), masks SegmentationClass/ID.png (or SegmentationClassAug), lists
    ImageSets/Segmentation/{train,val}.txt, splits ImageSets/Segmentation/semi/SPLIT/{labeled,unlabeled}.txt, class
    names classes.txt (without it, VOC's 21). A list holds an id a line, or an image's and a mask's path a line,
    relative to the folder (`/JPEGImages/x.jpg /SegmentationClassAug/x.png`). Folder, lists and names are checked
    here, files when they are read.

    Args:
        root: The folder.
        classes: Names to keep, which get the ids 0, 1, ... in this order; all other classes become 255. All are kept
            if it is empty.
        labeled_list: A list file that replaces the folder's splits; needs `unlabeled_list`.
        unlabeled_list: The other half of that split.
        val_list: A list file that replaces the folder's val.txt.

    Raises:
        UserError: if a folder or list is missing, empty or malformed, or a class name is unknown.
    """

    layout: ClassVar[Layout] = VocLayout()

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
            train = self._known(self.layout.listing(self.root, "train")).ids
        val = self._read(val_list) if val_list else self._known(self.layout.listing(self.root, "val"))
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
        """Returns the names of the splits that the folder brings itself."""
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
        return self._sound(read_image(self.layout.image_path(self.root, self._entry(id)), self.root))

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns the label of each pixel, (H, W) uint8: an index into `classes`, or 255.

        Raises:
            UserError: if the id is unknown or the mask is missing, unreadable, in colours or holds unknown ids.
        """
        path = self.layout.mask_path(self.root, self._entry(id))
        mask = self._sound(read_mask(path, self.root))
        if (fault := self.layout.unknown_ids(mask, path, self.root, self._names)) is not None:
            raise fault.error(self.root)
        return self._lut[self.layout.class_ids(mask, path)]

    def fingerprint(self) -> dict[str, Any]:
        """Returns counts, class names and a hash over the sorted paths and sizes of all listed images and masks."""
        listed = [self._entries[id] for part in self._ids.values() for id in part]
        paths = {find(self.root, entry) for entry in listed for find in (self.layout.image_path, self.layout.mask_path)}
        lines = sorted((relative(path, self.root), path.stat().st_size if path.is_file() else -1) for path in paths)
        text = "\n".join(f"{path}\t{size}" for path, size in lines)
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
        return self._known(self.layout.read_list(path, self.root, may_be_empty=may_be_empty))

    def _known(self, listing: Listing) -> Listing:
        self._raise_first([*listing.faults, *merge_entries(self._entries, listing)])
        return listing

    def _raise_first(self, faults: Iterable[Fault]) -> None:
        if (fault := first_error(faults)) is not None:
            raise fault.error(self.root)

    def _sound(self, value: T | Fault) -> T:
        if isinstance(value, Fault):
            raise value.error(self.root)
        return value


def require_both_lists(labeled_list: Path | None, unlabeled_list: Path | None) -> None:
    """Raises a UserError if only one half of a split is given: the other half would silently be another split's."""
    if (labeled_list is None) != (unlabeled_list is None):
        missing = "--unlabeled-list" if unlabeled_list is None else "--labeled-list"
        raise UserError("both --labeled-list and --unlabeled-list, or neither", "one of them", f"add {missing}")


def class_lut(names: Sequence[str], kept: Sequence[str]) -> NDArray[np.uint8]:
    """Returns the (256,) table from the ids of `names` to those of `kept`; what is not kept becomes 255.

    Raises:
        UserError: if a kept name is unknown or comes twice, or fewer than two are kept.
    """
    for name in kept:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            fix = f"did you mean {near[0]}?" if near else "choose among the data set's classes"
            raise UserError(f"class names among {', '.join(names)}", repr(name), fix)
    if len(kept) < 2 or len(set(kept)) < len(kept):
        raise UserError("two or more different class names", ", ".join(kept), "name each class to keep once")
    table = np.full(256, IGNORE, np.uint8)
    for new_id, name in enumerate(kept):
        table[names.index(name)] = new_id
    return table


def voc_palette() -> NDArray[np.uint8]:
    """Returns VOC's colours, (256, 3): the bits of an id are dealt out to red, green and blue, highest first."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (ids >> (3 * level + channel) & 1) << (7 - level)
    return palette.astype(np.uint8)


def write_voc(
    data: SegmentationData,
    folder: Path,
    splits: Sequence[str] = ("1_16", "1_8", "1_4", "1_2"),
) -> None:
    """Writes a data set as a VOC-layout folder that reads back exactly.

    Images are PNG, so that no pixel changes; masks are palette PNG with VOC's colours. Other files in the folder are
    left alone. The lists come last: without them, an export that was cut short is not taken for a whole one.

    Args:
        data: Any data set.
        folder: Where to; made if it does not exist.
        splits: Names of the splits to write under ImageSets/Segmentation/semi.

    Raises:
        UserError: if the folder is the data set's own, or already holds an image that would be read instead of one
            written here.
    """
    if isinstance(data, VocFolder) and folder.resolve() == data.root.resolve():
        raise UserError("another folder than the data set's own", str(folder), "choose another folder with --out")
    parts = {part: data.ids(part) for part in ("train", "val")}
    halves = {name: data.split(name) for name in splits}
    ids = [id for part in parts.values() for id in part]
    for id in ids:
        hiding = image_path(folder, Entry(id=id))
        if hiding.is_file() and hiding.suffix != ".png":
            raise UserError(f"no other image of {id} in {folder}", str(hiding), "choose another folder")
    palette = voc_palette().ravel().tolist()
    with progress("write", len(ids)) as advance:
        for id in ids:
            mask = Image.fromarray(data.label(id))
            mask.putpalette(palette)
            for name, image in ((IMAGES, Image.fromarray(data.image(id))), (MASKS[0], mask)):
                path = folder / name / f"{id}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as temporary:
                    image.save(temporary)
            advance("")
    write_text(folder / "classes.txt", _lines(data.classes))
    for name, split in halves.items():
        for half, members in (("labeled", split.labeled), ("unlabeled", split.unlabeled)):
            path = split_path(folder, name, half)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, _lines(members))
    for part, members in parts.items():
        path = list_path(folder, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _lines(members))


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)
