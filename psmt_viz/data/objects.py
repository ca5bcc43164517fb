"""Data sets of one's own as Python objects: torch's, Hugging Face's, or any that follow `SegmentationData`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.data.classes import class_lut
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.faults import first_error
from psmt_viz.data.mask_values import Reading, reading
from psmt_viz.data.splits import drawn_val, nested_split
from psmt_viz.errors import UserError
from psmt_viz.groups import DataConfig
from psmt_viz.plugins import call_object, load_object

_METHODS = ("ids", "split", "image", "label", "fingerprint")
_IMAGES = ("image", "img", "pixel_values", "picture")
_MASKS = ("mask", "label", "annotation", "labels", "segmentation", "segmentation_mask", "semantic_map", "target")
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LOOKED_AT = 16
"""Images whose pixels are in the fingerprint."""


class Items(Protocol):
    """Images with masks, in a fixed order."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """An (image, mask) pair, or a mapping that holds both by name."""
        ...


def load_data(name: str, options: DataConfig, *, names: Sequence[str] = ()) -> SegmentationData:
    """Opens a data set of the user's own.

    Args:
        name: `module:name` of a data set, or of a function without arguments that returns one; the working directory
            is searched after everything else. A data set is an object with the methods of `SegmentationData`; or a
            torch `Dataset` of (image, mask) pairs, or a split of Hugging Face's `datasets` with columns for image and
            mask; or a mapping or tuple of such for `train` and `val`.
        options: `classes` and how masks are read.
        names: What the classes are called where the data set has no attribute `classes`.

    Raises:
        UserError: if there is no such object, or it is none of these.
    """
    made = load_object(name, flag="--data", example="my_data:make")
    if not _is_data(made) and (inspect.isclass(made) or inspect.isroutine(made)):
        made = call_object(made, name, flag="--data", kind="a data set")
    if all(callable(getattr(made, method, None)) for method in _METHODS):
        return made
    parts = _parts(made)
    if not parts or not all(map(_is_data, parts.values())):
        expected = f"--data {name} a data set with len() and [index], or train and val of them in a mapping"
        fix = "see the manual: your own data set in 15 lines"
        raise UserError(expected, type(made).__name__, fix)
    return PairedData(name.replace(":", "-"), parts, options=options, names=names or _names(made, parts))


def _is_data(made: Any) -> bool:
    if inspect.isclass(made):
        return False
    return hasattr(made, "__getitem__") and hasattr(made, "__len__")


def _parts(made: Any) -> dict[str, Items]:
    if isinstance(made, Mapping):
        known = {_PARTS[key]: value for key, value in made.items() if key in _PARTS}
        val = known.get("val", known.get("test"))
        if "train" not in known:
            return {}
        return {"train": known["train"], "val": val} if val else {"train": known["train"]}
    if isinstance(made, tuple) and len(made) == 2 and all(map(_is_data, made)):
        return {"train": made[0], "val": made[1]}
    return {"train": made} if _is_data(made) else {}


def _names(made: Any, parts: Mapping[str, Items]) -> tuple[str, ...]:
    found = getattr(made, "classes", None) or getattr(parts["train"], "classes", None) or ()
    return tuple(map(str, found))


class PairedData:
    """Images and masks of Python objects, as every command wants them.

    Args:
        name: A short name.
        parts: `train` and perhaps `val`; without it, a fifth of the images is drawn for validation, always the same.
        options: `classes` and how masks are read (see `groups.DataConfig`).
        names: Class names in the order of their ids; default: class 0, class 1, ...

    Raises:
        UserError: if an image or a mask has no form that is known, or class names do not fit.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Items],
        *,
        options: DataConfig | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._items = {
            f"{part}/{index:06d}": (items, index) for part, items in parts.items() for index in range(len(items))
        }
        every = {part: tuple(id for id in self._items if id.startswith(f"{part}/")) for part in ("train", "val")}
        if not every["val"]:
            every["val"] = drawn_val(every["train"])
            every["train"] = tuple(id for id in every["train"] if id not in {*every["val"]})
        self._ids = every
        self._reading = self._read(options or DataConfig(), tuple(names))
        self.classes = (options.classes if options else ()) or self._reading.names
        self._lut = class_lut(self._reading.names, self.classes)

    def _read(self, options: DataConfig, names: tuple[str, ...]) -> Reading:
        found = reading(options, Path(), names, lambda: [*self._items], read=lambda id: self._stored(str(id)))
        if (fault := first_error(found.faults)) is not None:
            raise UserError(fault.expected, f"{fault.found} in {self.name}", fault.fix)
        return found

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the ids of `train` or `val`: part and index."""
        if part not in self._ids:
            raise UserError("the part train or val", repr(part), "choose one of the two")
        return self._ids[part]

    def split(self, name: str) -> Split:
        """Returns the split `1_N` or `full` of the training images."""
        return nested_split(self._ids["train"], name)

    def image(self, id: str) -> NDArray[np.uint8]:
        """Returns the image, (H, W, 3) uint8 RGB."""
        return as_rgb(self._pair(id)[0], f"image {id} of {self.name}")

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns the label of each pixel, (H, W) uint8: an index into `classes`, or 255."""
        fix = "name every class, or say what the numbers mean with --mask-values or --ignore-index"
        ids, fault = self._reading.values.ids(self._stored(id), len(self._reading.names), where=id, fix=fix)
        if fault is not None:
            raise UserError(fault.expected, f"{fault.found} ({id} of {self.name})", fault.fix)
        return np.take(self._lut, ids)

    def fingerprint(self) -> dict[str, Any]:
        """Returns counts, class names and a hash over the ids and the pixels of some images and masks."""
        ids = [*self._items]
        found = hashlib.sha256("\n".join(ids).encode())
        for place in np.linspace(0, len(ids) - 1, min(_LOOKED_AT, len(ids))):
            id = ids[round(place)]
            found.update(self.image(id).tobytes())
            found.update(self.label(id).tobytes())
        return {
            "train": len(self._ids["train"]),
            "val": len(self._ids["val"]),
            "classes": list(self.classes),
            "sha256": found.hexdigest(),
        }

    def _pair(self, id: str) -> tuple[Any, Any]:
        if id not in self._items:
            raise UserError(f"an id of {self.name}", repr(id), "see ids('train') and ids('val')")
        items, index = self._items[id]
        item = items[index]
        if isinstance(item, Mapping):
            image = next((item[key] for key in _IMAGES if key in item), None)
            mask = next((item[key] for key in _MASKS if key in item), None)
            if image is None or mask is None:
                expected = f"an image ({', '.join(_IMAGES)}) and a mask ({', '.join(_MASKS)}) in each item"
                raise UserError(expected, ", ".join(map(str, item)), "rename the columns")
            return image, mask
        if not isinstance(item, Sequence) or len(item) < 2:
            raise UserError("(image, mask) pairs", type(item).__name__, "return both for each index")
        return item[0], item[1]

    def _stored(self, id: str) -> NDArray[Any]:
        return as_numbers(self._pair(id)[1], f"mask {id} of {self.name}")


def as_rgb(image: Any, what: str) -> NDArray[np.uint8]:
    """Returns an image of PIL, numpy or torch as (H, W, 3) uint8 RGB; floats are taken as 0 to 1.

    Raises:
        UserError: if it has another form, or floats outside 0 to 1 (normalised ones).
    """
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    values = _array(image)
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        values = values.transpose(1, 2, 0)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3):
        raise UserError(f"{what} of shape (H, W, 3) or (3, H, W)", f"shape {values.shape}", "return RGB images")
    if np.issubdtype(values.dtype, np.floating):
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            got = f"{values.min():.3g} to {values.max():.3g}"
            raise UserError(f"{what} from 0 to 1", got, "return it before it is normalised")
        values = np.rint(values * 255)
    elif values.dtype != np.uint8:
        raise UserError(f"{what} as uint8 or floats from 0 to 1", str(values.dtype), "convert it")
    return np.ascontiguousarray(np.broadcast_to(values.astype(np.uint8), (*values.shape[:2], 3)))


def as_numbers(mask: Any, what: str) -> NDArray[Any]:
    """Returns a mask of PIL, numpy or torch as (H, W) integers, or (H, W, 3) colours.

    Raises:
        UserError: if it has another form.
    """
    values = np.asarray(mask) if isinstance(mask, Image.Image) else _array(mask)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating) and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if not np.issubdtype(values.dtype, np.integer) or not (values.ndim == 2 or values.shape[2:] == (3,)):
        got = f"{values.dtype} of shape {values.shape}"
        raise UserError(f"{what} as integers of shape (H, W)", got, "return class ids, one a pixel")
    return values


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
