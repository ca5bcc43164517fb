"""Any data set, written as a folder in Pascal VOC's layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from psmt_viz.data.classes import CLASSES_FILE
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.lists import Entry
from psmt_viz.data.palettes import voc_palette
from psmt_viz.data.splits import split_path
from psmt_viz.data.voc import IMAGES, MASKS, VocLayout, list_path
from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, write_text
from psmt_viz.progress import progress


def write_voc(
    data: SegmentationData,
    folder: Path,
    splits: Sequence[str] = ("1_16", "1_8", "1_4", "1_2"),
) -> None:
    """Writes a data set as a folder in Pascal VOC's layout that reads back exactly.

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
    if isinstance(data, DataFolder) and folder.resolve() == data.root.resolve():
        raise UserError("another folder than the data set's own", str(folder), "choose another folder with --out")
    parts = {part: data.ids(part) for part in ("train", "val")}
    halves = {name: data.split(name) for name in splits}
    ids = [id for members in parts.values() for id in members]
    for id in ids:
        hiding = VocLayout().image_path(folder, Entry(id=id))
        if hiding.is_file() and hiding.suffix != ".png":
            raise UserError(f"no other image of {id} in {folder}", str(hiding), "choose another folder")
    palette = voc_palette().ravel().tolist()
    with progress("write", len(ids)) as advance:
        for id in ids:
            mask = Image.fromarray(data.label(id))
            mask.putpalette(palette)
            _write_image(folder / IMAGES / f"{id}.png", Image.fromarray(data.image(id)))
            _write_image(folder / MASKS[0] / f"{id}.png", mask)
            advance("")
    write_text(folder / CLASSES_FILE, _lines(data.classes))
    for name, split in halves.items():
        _write_list(split_path(folder, name, "labeled"), split.labeled)
        _write_list(split_path(folder, name, "unlabeled"), split.unlabeled)
    for part, members in parts.items():
        _write_list(list_path(folder, part), members)


def _write_image(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        image.save(temporary)


def _write_list(path: Path, ids: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _lines(ids))


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)
