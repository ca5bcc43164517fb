"""What the names of folders and files say in other people's data sets: images or masks, training or validation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "mask", ""]

_IMAGES = frozenset(
    [
        "images",
        "image",
        "imgs",
        "img",
        "img_dir",
        "image_dir",
        "jpegimages",
        "jpgs",
        "photos",
        "pictures",
        "rgb",
        "inputs",
        "input",
        "leftimg8bit",
        "x",
    ]
)
_MASKS = frozenset(
    [
        "masks",
        "mask",
        "mask_dir",
        "labels",
        "label",
        "annotations",
        "annotation",
        "annot",
        "annots",
        "ann",
        "ann_dir",
        "segmentationclass",
        "segmentationclassaug",
        "segmentation",
        "segmentations",
        "segmaps",
        "gt",
        "gts",
        "gtfine",
        "groundtruth",
        "ground_truth",
        "targets",
        "target",
        "y",
    ]
)
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_COMPOUND = re.compile(rf"(?:({'|'.join(_PARTS)})[_-]?(\w+)|(\w+?)[_-]?({'|'.join(_PARTS)}))", re.IGNORECASE)
_ENDING = re.compile(r"[ _.-](?:masks?|labels?|labelids|gt|seg|segmentation|annotations?|annot|l)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a folder's path says."""

    kind: Kind = ""
    """What it holds; empty: it does not say."""
    part: str = ""
    """`train`, `val` or `test`; empty: it does not say."""
    rest: tuple[str, ...] = ()
    """The names that say neither."""


def place_of(folder: str) -> Place:
    """Reads a folder's path with forward slashes, such as `train/images` or `valannot`."""
    kind: Kind = ""
    part, rest = "", []
    for name in filter(None, folder.split("/")):
        own_kind, own_part = _read(name)
        kind, part = own_kind or kind, own_part or part
        if not own_kind and not own_part:
            rest.append(name)
    return Place(kind=kind, part=part, rest=tuple(rest))


def _read(name: str) -> tuple[Kind, str]:
    word = name.lower()
    if word in _PARTS:
        return "", _PARTS[word]
    if kind := _kind(word):
        return kind, ""
    if (found := _COMPOUND.fullmatch(word)) is not None:
        part, other = (found[1], found[2]) if found[1] else (found[4], found[3])
        if kind := _kind(other):
            return kind, _PARTS[part]
    return "", ""


def _kind(word: str) -> Kind:
    return "image" if word in _IMAGES else "mask" if word in _MASKS else ""


def mask_ending(stem: str) -> str:
    """Returns the ending of a file's stem that says that it is a mask (`_mask`, `_label`, ...), or nothing."""
    found = _ENDING.search(stem)
    return found[0] if found else ""


def cores(stems: list[str]) -> list[str]:
    """Returns stems without the words at start and end that all of them share: `21` of `21_training`.

    Words are runs of letters, of digits, or of other characters, so that numbers stay whole.
    """
    words = [re.findall(r"[^\W\d_]+|\d+|[\W_]+", stem) for stem in stems]
    shortest = min(map(len, words))
    if len(words) < 2:
        return stems
    start = 0
    while start < shortest and len({each[start] for each in words}) == 1:
        start += 1
    end = 0
    while end < shortest - start and len({each[len(each) - 1 - end] for each in words}) == 1:
        end += 1
    return ["".join(each[start : len(each) - end]) for each in words]
