"""Folders of images and masks as people have them, with or without lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from psmt_viz.data.classes import CLASSES_FILE
from psmt_viz.data.faults import Fault
from psmt_viz.data.folder import DataFolder, folder_options
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing, read_text
from psmt_viz.data.mask_values import Paths, Reading
from psmt_viz.data.pairing import Pair, find_pairs
from psmt_viz.data.rasters import without_suffix
from psmt_viz.data.splits import drawn_val
from psmt_viz.data.tree import Tree
from psmt_viz.groups import DataConfig

_LISTS = ("", "ImageSets/Segmentation", "ImageSets", "lists", "splits", "list")
"""Folders in which train.txt and val.txt are looked for."""
_ADE20K = "objectInfo150.txt"
"""The table of objects that ADE20K's scene parsing has beside images and annotations."""


class PairsLayout(Layout):
    """Images and masks that belong together by their names, in folders whose names say which are which.

    `images` with `masks`, `labels` or `annotations`, with `train` and `val` above or below them, CamVid's `train` and
    `trainannot`, masks called `x_mask.png` beside x.jpg, and whatever `image_dir`, `mask_dir` and `pair` name. Lists,
    where there are none, are made of the folders `train` and `val` (`test` in its place); where nothing tells, a fifth
    of the images that have masks is drawn for validation. Images without a mask are used unlabelled.

    Args:
        root: The folder.
        options: What the user says.
    """

    def __init__(self, root: Path, options: DataConfig) -> None:
        found = find_pairs(root, options)
        self.images, self._faults = found.images, found.faults
        self._pairs = {pair.id: pair for pair in found.pairs}
        self._by_path = {path: pair.id for pair in found.pairs for path in (pair.image, pair.mask) if path}
        self._by_end = _unique_ends(found.pairs)
        lists = (root / place for place in _LISTS)
        self._lists = next((each for each in lists if (each / "train.txt").is_file()), None)
        parts = {pair.part for pair in found.pairs if pair.mask}
        self._val_part = next((part for part in ("val", "test") if part in parts), "")
        listed = self._lists is not None and (self._lists / "val.txt").is_file()
        self.draws_val = not listed and not self._val_part
        self.remarks = () if self._faults else tuple(self._told(given=options))

    def _told(self, given: DataConfig) -> Iterable[str]:
        if self.draws_val and given.val_list is None:
            yield (
                "no list or folder of validation images: a fifth of those with masks was drawn, always the same; "
                "choose others with --val-list"
            )
        elif self._lists is None and self._val_part == "test" and given.val_list is None:
            yield "no folder val: the images of the folder test are for validation"

    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Returns what was wrong when images and masks were looked for."""
        return [*self._faults]

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Reads classes.txt, or ADE20K's list of 150 objects."""
        if (root / CLASSES_FILE).exists() or not (root / _ADE20K).is_file():
            return super().read_classes(root)
        text = read_text(root / _ADE20K, root)
        if isinstance(text, Fault):
            return (), (text,)
        rows = [line.split("\t") for line in text.splitlines()[1:] if line.strip()]
        return tuple(row[-1].split(",")[0].strip() for row in rows), ()

    def reading(self, options: DataConfig, root: Path, names: tuple[str, ...], masks: Paths) -> Reading:
        """Finds out how masks are read; those of ADE20K have 0 for no class."""
        if (root / _ADE20K).is_file() and not options.mask_values:
            options = replace(options, reduce_zero_label=True)
        return super().reading(options, root, names, masks)

    def listing(self, root: Path, part: str) -> Listing:
        """Returns what a list, a folder's name or the draw makes the training or the validation images."""
        if self._lists is not None and (self._lists / f"{part}.txt").is_file():
            return self._without_drawn(self.read_list(self._lists / f"{part}.txt", root))
        own = [pair for pair in self._pairs.values() if self._part(pair) == part]
        return Listing(where=f"{self.images or 'images'} ({part})", entries=tuple(Entry(id=pair.id) for pair in own))

    def _part(self, pair: Pair) -> str:
        """Returns `train` or `val`; of images of a third part, neither."""
        if self.draws_val:
            return "val" if pair.id in self._drawn else "train"
        if pair.part == self._val_part:
            return "val"
        return "train" if pair.part in ("train", "") else ""

    @cached_property
    def _drawn(self) -> frozenset[str]:
        """The ids that were drawn for validation, if they had to be."""
        if not self.draws_val:
            return frozenset()
        return frozenset(drawn_val([pair.id for pair in self._pairs.values() if pair.mask]))

    def _without_drawn(self, listing: Listing) -> Listing:
        return replace(listing, entries=tuple(entry for entry in listing.entries if entry.id not in self._drawn))

    def identify(self, root: Path, entry: Entry) -> Entry:
        """Gives an entry of a list the id of the image that it means: by its path, its id, or the end of its id."""
        for path in (entry.image, entry.id):
            if path in self._by_path:
                return Entry(id=self._by_path[path], mask=entry.mask)
        name = without_suffix(entry.image) if entry.image else entry.id
        if name in self._pairs:
            return Entry(id=name, mask=entry.mask)
        return replace(entry, id=self._by_end.get(name.rpartition("/")[2], name))

    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns the image of an id, or the path that a list gives."""
        pair = self._pairs.get(entry.id)
        return entry.image or (pair.image if pair else f"{self.images}/{entry.id}.jpg")

    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns the mask of an id, or the path that a list gives."""
        pair = self._pairs.get(entry.id)
        return entry.mask or (pair.mask if pair else f"{entry.id}.png")

    def has_mask(self, entry: Entry) -> bool:
        """Returns whether there is a mask, or a list says so, or the id is unknown."""
        pair = self._pairs.get(entry.id)
        return bool(entry.mask or pair is None or pair.mask)

    def unlisted(self, root: Path, entries: Iterable[Entry]) -> list[str]:
        """Returns images that no list and no part has."""
        listed = {entry.id for entry in entries}
        return [pair.image for pair in self._pairs.values() if pair.id not in listed]


def _unique_ends(pairs: Iterable[Pair]) -> dict[str, str]:
    """Returns last name of an id -> id, where only one ends in it."""
    found: dict[str, str | None] = {}
    for pair in pairs:
        end = pair.id.rpartition("/")[2]
        found[end] = None if end in found else pair.id
    return {end: id for end, id in found.items() if id is not None}


class PairsFolder(DataFolder):
    """A data set in folders of images and masks (see `PairsLayout`).

    Args:
        root: The folder.
        options: As for `DataFolder`.
    """

    def __init__(self, root: Path, **options: Any) -> None:
        root = Path(root).expanduser()
        super().__init__(root, layout=PairsLayout(root, folder_options(root, options)), **options)
