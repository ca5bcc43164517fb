"""The built-in synthetic data set as a data set: ids, splits, images and labels, drawn on demand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.dataset import Split
from psmt_viz.data.scenes.drawing import CLASSES, VERSION, draw_scene
from psmt_viz.data.scenes.style import SceneStyle
from psmt_viz.data.splits import nested_split
from psmt_viz.errors import UserError


class Scenes:
    """The built-in synthetic data set: procedurally drawn scenes with exact labels and no void pixels.

    An image is a function of the seed and its id alone, so the order of access does not matter and nothing is stored
    on disk. Images stay in memory once drawn (64 KB each at the default size).

    Args:
        train: Number of training images.
        val: Number of validation images.
        size: Side of the square images in pixels, at least 16.
        seed: Other seeds give other images of the same kind.
        style: What makes the scenes easy or hard.

    Raises:
        UserError: if there would be no image, or none large enough to show an object.
    """

    name = "scenes"
    classes = CLASSES

    def __init__(
        self, *, train: int = 512, val: int = 128, size: int = 128, seed: int = 0, style: SceneStyle | None = None
    ) -> None:
        self.size, self.seed, self.style = size, seed, style or SceneStyle()
        for field, value, least in (("train", train, 1), ("val", val, 1), ("size", size, 16), ("seed", seed, 0)):
            if value < least:
                raise UserError(f"{field} of at least {least} for the scenes", str(value), f"raise {field}")
        self._ids = {"train": _numbered("train", train), "val": _numbered("val", val)}
        self._seeds: dict[str, tuple[int, int, int]] = {}
        for part, ids in enumerate(self._ids.values()):
            for index, id in enumerate(ids):
                self._seeds[id] = (seed, part, index)
        self._drawn: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the ids of `train` or `val`.

        Raises:
            UserError: if `part` is neither.
        """
        if part not in self._ids:
            raise UserError("the part train or val", repr(part), "choose one of the two")
        return self._ids[part]

    def split(self, name: str) -> Split:
        """Returns the nested split `1_N` or `full`; see `nested_split`."""
        return nested_split(self._ids["train"], name)

    def image(self, id: str) -> NDArray[np.uint8]:
        """Returns the image, (size, size, 3) uint8 RGB; the caller's own copy."""
        return self._pair(id)[0].copy()

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns the class id of each pixel, (size, size) uint8 without any 255; the caller's own copy."""
        return self._pair(id)[1].copy()

    def fingerprint(self) -> dict[str, Any]:
        """Returns counts, class names and a hash over everything that decides the pixels."""
        recipe = {"version": VERSION, "size": self.size, "seed": self.seed, "style": asdict(self.style)}
        return {
            "train": len(self._ids["train"]),
            "val": len(self._ids["val"]),
            "classes": list(self.classes),
            "sha256": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        }

    def _pair(self, id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if id not in self._drawn:
            if id not in self._seeds:
                first, last = self._ids["train"][0], self._ids["val"][-1]
                raise UserError(f"an id from {first} to {last}", repr(id), "see ids('train') and ids('val')")
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._seeds[id])))
            self._drawn[id] = draw_scene(rng, self.size, self.style)
        return self._drawn[id]


def _numbered(part: str, count: int) -> tuple[str, ...]:
    return tuple(f"{part}_{index:04d}" for index in range(count))
