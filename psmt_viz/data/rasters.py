"""Image and mask files, read to arrays or to the fault that they have."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from psmt_viz.data.faults import Fault, relative

T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
"""Of files that are read, whatever their case."""
IMAGE_SUFFIXES = (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES))
"""The same as they stand on disk, in the order in which they are looked for."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")
"""What is opened, by content; others of Pillow's start programs (PostScript)."""
_LOSSY = ("JPEG", "MPO")
_ORIENTATION = 0x0112
# What Pillow raises for a broken file depends on where it breaks.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def is_raster(name: str) -> bool:
    """Returns whether a file has a suffix of those that are read, and is not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def without_suffix(name: str) -> str:
    """Returns a path without the suffix of an image, if it has one."""
    return name[: name.rindex(".")] if is_raster(name) else name


def read_image(path: Path, root: Path, *, mask: Path | None = None) -> NDArray[np.uint8] | Fault:
    """Reads an image as (H, W, 3) uint8 RGB: of 16 bits the upper eight, of transparent ones the colours.

    Args:
        path: The file.
        root: The data set's folder.
        mask: The image's mask, whose size says whether an orientation in the image's EXIF counts: it does, as in every
            viewer, unless the mask fits the stored pixels alone.
    """

    def pixels(file: Image.Image) -> NDArray[np.uint8] | Fault:
        if orientation(file) != 1:
            file = upright(file, size_of(mask) if mask is not None else None)
        if file.mode in ("F", "I"):
            deep = np.asarray(file)
            if file.mode == "F" or deep.min() < 0 or deep.max() > 2**16 - 1:
                bits = "32-bit float" if file.mode == "F" else "32-bit"
                return Fault(
                    kind="unreadable image",
                    where=relative(path, root),
                    expected=f"an image of 8 or 16 bits a channel in {path}",
                    found=f"a {bits} image of {deep.min():g} to {deep.max():g}",
                    fix="save it with 8 or 16 bits",
                )
            return _colored(deep)
        if file.mode.startswith("I;16"):
            return _colored(np.asarray(file))
        return np.array(file.convert("RGB"))  # a copy: PIL's own memory is read-only

    return _opened(path, root, "image", pixels)


def _colored(deep: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns grey values of 16 bits as RGB of 8, rounded down as Pillow does it with colours."""
    grey = (deep.astype(np.uint16) >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def orientation(file: Image.Image) -> int:
    """Returns the orientation that an image's EXIF names: 1 (as stored) to 8."""
    found = file.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(file: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """Returns an image turned as its EXIF says, unless what it belongs to has the stored size and not the turned one.

    Args:
        file: The image.
        size: Width and height of its mask; None where there is none.
    """
    turned = ImageOps.exif_transpose(file)
    return file if size == file.size != turned.size else turned


def size_of(path: Path) -> tuple[int, int] | None:
    """Returns width and height from a file's head; None if there is no such image."""
    try:
        with Image.open(path, formats=_FORMATS) as file:
            return file.size
    except _UNREADABLE:
        return None


def read_mask(path: Path, root: Path) -> NDArray[Any] | Fault:
    """Reads a mask: (H, W), exactly the numbers in the file, or (H, W, 3) colours.

    Numbers of fewer than eight bits, which Pillow stretches to 255, are those of the file again.
    """

    def stored(file: Image.Image) -> NDArray[Any] | Fault:
        if file.format in _LOSSY:
            return Fault(
                kind="mask in JPEG",
                where=relative(path, root),
                found="a JPEG, which changes numbers at every edge",
                expected=f"a mask that keeps every number, in {path}",
                fix="make the masks again as PNG; they cannot be restored from JPEG files",
            )
        raw = _raw_mode(file)
        if file.mode in ("P", "L", "1", "I", "I;16", "I;16B"):
            return _numbers(np.asarray(file), raw)
        return np.asarray(file.convert("RGB"))

    return _opened(path, root, "mask", stored)


def _raw_mode(file: Image.Image) -> str:
    """Returns how Pillow will unpack the pixels, such as `L;4` for 4 bits and `L;I` for white as 0."""
    tiles = getattr(file, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _numbers(values: NDArray[Any], raw: str) -> NDArray[Any]:
    if values.dtype == np.bool_:
        return (~values if raw.endswith("I") else values).astype(np.uint8)
    if not raw.startswith("L;"):
        return values
    if raw.endswith("I"):
        values = 255 - values
    steps = {"2": 85, "4": 17}
    return values // steps.get(raw.removeprefix("L;")[:1], 1)


def _opened(path: Path, root: Path, what: str, read: Callable[[Image.Image], T | Fault]) -> T | Fault:
    where = relative(path, root)
    article = "an" if what == "image" else "a"
    if not path.is_file():
        beside = f"no such file{_beside(path)}"
        fix = f"add the {what} or take its id out of the lists"
        return Fault(kind=f"missing {what}", where=where, expected=f"{article} {what} {path}", found=beside, fix=fix)
    try:
        with Image.open(path, formats=_FORMATS) as file:
            return read(file)
    except _UNREADABLE as error:
        # Pillow's own sentence for a file that is no image holds the path a second time.
        found = "no image file" if isinstance(error, UnidentifiedImageError) else str(error)
        return Fault(
            kind=f"unreadable {what}",
            where=where,
            expected=f"a readable {what} {path}",
            found=found,
            fix="copy or download the file again",
        )


def _beside(path: Path) -> str:
    """Names a file that differs in its suffix or its case alone, which may be what was meant."""
    try:
        near = [each.name for each in path.parent.iterdir() if each.stem.lower() == path.stem.lower()]
    except OSError:
        return ""
    return f", but {min(near)} beside it" if near else ""


def unknown_values(unknown: NDArray[np.bool_], values: NDArray[Any], *, where: str, expected: str, fix: str) -> Fault:
    """Returns the fault of pixels that stand for no class.

    Args:
        unknown: (H, W) which pixels.
        values: (H, W) their numbers, or (H, W, 3) their colours.
        where: The file.
        expected: What would have been known.
        fix: What to do.
    """
    found, share = np.unique(values[unknown], axis=0), float(unknown.mean())
    names = ["#{:02X}{:02X}{:02X}".format(*each) if np.ndim(each) else str(each) for each in found[:8]]
    shown = ", ".join(names) + (", ..." if len(found) > 8 else "")
    return Fault(
        kind="unknown ids in mask",
        where=where,
        expected=expected,
        found=f"{shown} on {share:.2%} of the pixels",
        fix=fix,
    )
