"""The layout of Cityscapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing
from psmt_viz.data.mask_values import MaskValues, Paths, Reading
from psmt_viz.data.tree import Tree
from psmt_viz.groups import DataConfig
from psmt_viz.metrics import IGNORE

IMAGES, MASKS = "leftImg8bit", "gtFine"
_IMAGE, _LABEL_IDS, _TRAIN_IDS = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"

CITYSCAPES_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The 19 classes that are scored, in the order of their training ids."""
_SCORED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Their ids in the labelIds files."""
_LABELS = 34
"""Ids in the labelIds files, with those that are not scored."""

_TRAIN_ID = np.full(256, IGNORE, np.uint8)
_TRAIN_ID[list(_SCORED)] = np.arange(len(_SCORED))


class CityscapesLayout(Layout):
    """leftImg8bit/PART/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png and gtFine/PART/CITY/..._gtFine_labelIds.png.

    An image's id is its path under leftImg8bit without the ending, PART/CITY/CITY_SEQUENCE_FRAME. Masks with training
    ids (..._gtFine_labelTrainIds.png) are read where there are no label ids.
    """

    images = IMAGES

    def folder_faults(self, root: Path, *, images_listed: bool) -> list[Fault]:
        """Finds missing folders."""
        return [
            Fault(
                kind="missing folder",
                where=name,
                expected=f"a folder {name} in {root}",
                found="no such folder",
                fix=f"unpack {name} of Cityscapes beside the other",
            )
            for name in (IMAGES, MASKS)
            if not images_listed and not (root / name).is_dir()
        ]

    def read_classes(self, root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
        """Returns the 19 classes that are scored."""
        return CITYSCAPES_CLASSES, ()

    def listing(self, root: Path, part: str) -> Listing:
        """Lists leftImg8bit/PART in the order of the names."""
        folder, where = root / IMAGES / part, f"{IMAGES}/{part}"
        paths = [path for path in folder.glob(f"*/*{_IMAGE}") if not path.name.startswith(".")]
        ids = sorted(relative(path, root / IMAGES).removesuffix(_IMAGE) for path in paths)
        entries = tuple(Entry(id=id) for id in ids)
        if entries:
            return Listing(where=where, entries=entries)
        fault = Fault(
            kind="empty list",
            where=where,
            expected=f"images CITY/*{_IMAGE} in {folder}",
            found="none",
            fix=f"unpack {where} of Cityscapes",
        )
        return Listing(where=where, faults=(fault,))

    def identify(self, root: Path, entry: Entry) -> Entry:
        """Gives an entry of a list the id PART/CITY/CITY_SEQUENCE_FRAME, so that overlaps of lists are seen.

        A list's line may hold that id, its last part alone (CITY_SEQUENCE_FRAME), or paths.
        """
        if entry.image:
            if not (entry.image.startswith(f"{IMAGES}/") and entry.image.endswith(_IMAGE)):
                return entry
            return Entry(id=entry.image.removeprefix(f"{IMAGES}/").removesuffix(_IMAGE), mask=entry.mask)
        name = entry.id.removesuffix(_IMAGE.removesuffix(".png"))
        if "/" in name:
            return Entry(id=name)
        city = name.split("_")[0]
        ids = [f"{part}/{city}/{name}" for part in ("train", "val")]
        return Entry(id=next((id for id in ids if (root / IMAGES / f"{id}{_IMAGE}").is_file()), ids[0]))

    def image_name(self, tree: Tree, entry: Entry) -> str:
        """Returns the image of an id, or the path that a list gives."""
        return entry.image or f"{IMAGES}/{entry.id}{_IMAGE}"

    def mask_name(self, tree: Tree, entry: Entry) -> str:
        """Returns the mask of an id, label ids before training ids, or the path that a list gives."""
        if entry.mask:
            return entry.mask
        names = [f"{MASKS}/{entry.id}{ending}" for ending in (_LABEL_IDS, _TRAIN_IDS)]
        return next((name for name in names if tree.is_file(name)), names[0])

    def reading(self, options: DataConfig, root: Path, names: tuple[str, ...], masks: Paths) -> Reading:
        """Cityscapes' numbers are known."""
        return Reading(names=names, values=MaskValues())

    def class_ids(
        self, stored: NDArray[Any], path: Path, root: Path, how: Reading
    ) -> tuple[NDArray[np.uint8], Fault | None]:
        """Maps label ids to training ids; in a file of training ids, these stay."""
        train_ids = path.name.endswith(_TRAIN_IDS)
        fix = f"take *{_LABEL_IDS} as Cityscapes has it, or set the pixels to {IGNORE}"
        count = len(how.names) if train_ids else _LABELS
        ids, fault = MaskValues().ids(stored, count, where=relative(path, root), fix=fix)
        return ids if train_ids else _TRAIN_ID[ids], fault


class CityscapesFolder(DataFolder):
    """A data set in Cityscapes' layout.

    Images are leftImg8bit/PART/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png, masks gtFine/PART/CITY/..._gtFine_labelIds.png
    (or labelTrainIds), PART being train or val. Lists, where they are given, hold one id per line
    (PART/CITY/CITY_SEQUENCE_FRAME, or its last part alone), or an image's and a mask's path, relative to the folder.
    """

    layout = CityscapesLayout()
