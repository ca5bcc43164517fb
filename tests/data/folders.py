"""Small VOC-layout folders for the tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ground", "tree", "house", "road")


def put_image(path: Path, *, size: tuple[int, int] = (12, 10), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def put_mask(path: Path, values: np.ndarray | None = None, *, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.random.default_rng(seed).choice(np.array([0, 1, 2, 3, 255], np.uint8), (10, 12))
    mask = Image.fromarray(np.asarray(values, np.uint8))
    mask.putpalette(np.arange(768) % 256)
    mask.save(path)


def put_list(path: Path, lines: Iterable[str], *, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def lists(root: Path) -> Path:
    return root / "ImageSets" / "Segmentation"


def make_folder(root: Path, *, train: int = 8, val: int = 3) -> Path:
    """A sound folder of 4 classes, images of 12 x 10 pixels, ids a0..., v0..."""
    ids = {"train": [f"a{i}" for i in range(train)], "val": [f"v{i}" for i in range(val)]}
    for part, members in ids.items():
        put_list(lists(root) / f"{part}.txt", members)
        for i, id in enumerate(members):
            put_image(root / "JPEGImages" / f"{id}.jpg", seed=i)
            put_mask(root / "SegmentationClass" / f"{id}.png", seed=i)
    put_list(root / "classes.txt", CLASSES)
    return root
