"""Opens a data set by the name or the folder that a user gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psmt_viz.data.cityscapes import CityscapesLayout
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.folder import DataFolder, folder_options
from psmt_viz.data.layout import Layout
from psmt_viz.data.objects import load_data
from psmt_viz.data.pairs import PairsLayout
from psmt_viz.data.scenes import Scenes
from psmt_viz.data.voc import IMAGES, VocLayout, list_path
from psmt_viz.errors import UserError
from psmt_viz.groups import DataConfig
from psmt_viz.plugins import is_name

_OWN = (IMAGES, "leftImg8bit")
"""Folders by which Pascal VOC's and Cityscapes' layouts are known."""


def find_layout(root: Path, options: DataConfig) -> Layout:
    """Returns how a folder is arranged, by looking; where there is none, Pascal VOC's layout, which says so.

    Args:
        root: The folder.
        options: What the user says of it.
    """
    named = options.image_dir is not None or options.mask_dir is not None or options.pair is not None
    if not named and (root / "leftImg8bit").is_dir():
        return CityscapesLayout()
    listed = options.labeled_list is not None or any(list_path(root, part).exists() for part in ("train", "val"))
    further_in = not named and any(next(root.glob(f"{above}/{name}"), None) for above in ("*", "*/*") for name in _OWN)
    if not root.is_dir() or further_in or (not named and listed and (root / IMAGES).is_dir()):
        return VocLayout()
    return PairsLayout(root, options)


def open_data(data: str, *, names: Sequence[str] = (), **options: Any) -> SegmentationData:
    """Opens a data set.

    Args:
        data: `scenes` for the built-in synthetic data set, the path of a folder of images and masks (`./scenes` for a
            folder of that name), or `module:name` of a data set of your own (see `objects.load_data`).
        names: What the classes are called where a folder does not say it.
        options: Settings of a folder, by the names of their flags: `classes` to keep, in the order of their new ids;
            `labeled_list` with `unlabeled_list`, and `val_list`; `image_dir`, `mask_dir`, `pair`; `mask_values`,
            `ignore_index`, `reduce_zero_label`, `palette` (see `groups.DataConfig`).

    Raises:
        UserError: if there is no such data set, or an option does not apply to it.
    """
    if data == Scenes.name:
        if used := [name for name, value in options.items() if value]:
            fix = "leave it out, or write the scenes to a folder with psmt-viz data and use that"
            raise UserError("the built-in scenes as they are", ", ".join(used), fix)
        return Scenes()
    if is_name(data) and not Path(data).exists():
        return load_data(data, folder_options(Path(data), options), names=names)
    root = Path(data).expanduser()
    return DataFolder(root, layout=find_layout(root, folder_options(root, options)), names=names, **options)
