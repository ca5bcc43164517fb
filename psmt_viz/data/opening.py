"""Opens a data set by the name or the folder that a user gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psmt_viz.data.cityscapes import CityscapesFolder
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.scenes import Scenes
from psmt_viz.data.voc import VocFolder
from psmt_viz.errors import UserError

FOLDERS: tuple[type[DataFolder], ...] = (CityscapesFolder, VocFolder)
"""One per layout; the first whose layout recognizes a folder opens it."""


def folder_type(root: Path) -> type[DataFolder]:
    """Returns the class that opens a folder; a folder that no layout recognizes is opened, and refused, as VOC's."""
    return next((each for each in FOLDERS if each.layout.recognizes(root)), VocFolder)


def open_data(
    data: str,
    *,
    classes: Sequence[str] = (),
    labeled_list: Path | None = None,
    unlabeled_list: Path | None = None,
    val_list: Path | None = None,
) -> SegmentationData:
    """Opens a data set.

    Args:
        data: `scenes` for the built-in synthetic data set, else the path of a folder in Pascal VOC's or Cityscapes'
            layout (`./scenes` for a folder of that name).
        classes: Names of the classes to keep, in the order of their new ids; all if empty. Folders only.
        labeled_list: Replaces the folder's splits, together with `unlabeled_list`. Folders only.
        unlabeled_list: The other half of that split. Folders only.
        val_list: Replaces the folder's list of validation images. Folders only.

    Raises:
        UserError: if there is no such data set, or an option does not apply to it.
    """
    if data == Scenes.name:
        options = {
            "classes": classes,
            "labeled_list": labeled_list,
            "unlabeled_list": unlabeled_list,
            "val_list": val_list,
        }
        if used := [name for name, value in options.items() if value]:
            fix = "leave it out, or write the scenes to a folder with psmt-viz data and use that"
            raise UserError("the built-in scenes as they are", ", ".join(used), fix)
        return Scenes()
    root = Path(data).expanduser()
    return folder_type(root)(
        root,
        classes=classes,
        labeled_list=labeled_list,
        unlabeled_list=unlabeled_list,
        val_list=val_list,
    )
