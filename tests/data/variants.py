"""Folders as people have them, drawn by scripts: name -> what builds one with ten images of three classes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from psmt_viz.data.palettes import voc_palette

COUNT = 10
SIZE = (20, 28)
NAMES = ("ground", "tree", "road")


def pair(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) and its mask of ids 0 to 2, each class on some pixels."""
    rng = np.random.default_rng(number)
    label = np.zeros(SIZE, np.uint8)
    label[2:9, 3 + number % 5 : 12] = 1
    label[11:18, 14:25] = 2
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), label


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def put_names(root: Path, names: tuple[str, ...] = NAMES) -> None:
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))


def grey_png(path: Path, values: np.ndarray, bits: int) -> None:
    """A grey PNG of 1, 2 or 4 bits a pixel, which Pillow does not write."""
    height, width = values.shape
    per = 8 // bits
    padded = np.pad(values, ((0, 0), (0, -width % per))).reshape(height, -1, per)
    shifts = bits * np.arange(per)[::-1]
    rows = (padded.astype(np.uint8) << shifts.astype(np.uint8)).sum(axis=2).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def _pairs(root: Path, image: str, mask: str, *, part: Callable[[int], str] = lambda _: "") -> None:
    """Draws all pairs; in the patterns, `#` is the number and `PART` the part."""
    for number in range(COUNT):
        pixels, label = pair(number)
        for pattern, values in ((image, pixels), (mask, label)):
            name = pattern.replace("PART", part(number)).replace("#", f"{number:02d}")
            put(root / name, values)
    put_names(root)


def _train_or(other: str) -> Callable[[int], str]:
    return lambda number: other if number >= 7 else "train"


def _sub_folders(root: Path) -> None:
    for number in range(COUNT):
        pixels, label = pair(number)
        name = f"{'ab'[number % 2]}/{number // 2}.png"
        put(root / "images" / name, pixels)
        put(root / "masks" / name, label)
    put_names(root)


def _listed(root: Path) -> None:
    _pairs(root, "images/#.png", "masks/#.png")
    lines = [f"images\\{number:02d}.png\tmasks\\{number:02d}.png" for number in range(COUNT)]
    (root / "train.txt").write_bytes("\r\n".join(lines[:7]).encode("utf-8-sig"))
    (root / "val.txt").write_text("\n".join(f"{number:02d}" for number in range(7, COUNT)))


def _few_masks(root: Path) -> None:
    _pairs(root, "images/#.png", "masks/#.png")
    for number in range(5, COUNT):
        (root / "masks" / f"{number:02d}.png").unlink()


LAYOUTS: Mapping[str, Callable[[Path], None]] = {
    "images and masks": lambda root: _pairs(root, "images/#.png", "masks/#.png"),
    "images and labels, other suffixes": lambda root: _pairs(root, "imgs/#.bmp", "labels/#.tif"),
    "upper case": lambda root: _pairs(root, "Images/#.PNG", "Masks/#.PNG"),
    "img_dir and ann_dir": lambda root: _pairs(root, "img_dir/PART/#.png", "ann_dir/PART/#.png", part=_train_or("val")),
    "parts above": lambda root: _pairs(root, "PART/images/#.png", "PART/masks/#.png", part=_train_or("valid")),
    "parts below": lambda root: _pairs(
        root, "images/PART/#.png", "annotations/PART/#.png", part=_train_or("validation")
    ),
    "CamVid's own": lambda root: _pairs(root, "PART/#.png", "PARTannot/#.png", part=_train_or("test")),
    "mask in the name, one folder": lambda root: _pairs(root, "#.png", "#_mask.png"),
    "mask in the name, two folders": lambda root: _pairs(root, "images/#.png", "masks/#_mask.png"),
    "only a number shared": lambda root: _pairs(root, "images/#_training.tif", "1st_manual/#_manual1.gif"),
    "sub-folders of equal names": _sub_folders,
    "VOC without lists": lambda root: _pairs(root, "JPEGImages/#.png", "SegmentationClass/#.png"),
    "lists beside": _listed,
    "few masks": _few_masks,
}


def recode(root: Path, change: Callable[[Path, np.ndarray], None]) -> None:
    """Writes every mask below `masks` again."""
    for path in sorted((root / "masks").iterdir()):
        values = np.asarray(Image.open(path))
        path.unlink()
        change(path, values)


def colored(values: np.ndarray) -> np.ndarray:
    """A mask in VOC's colours."""
    return voc_palette()[values]
