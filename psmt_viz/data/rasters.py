"""Image and mask files, read to arrays or to the fault that they have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from psmt_viz.data.faults import Fault, relative
from psmt_viz.metrics import IGNORE

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")

# What Pillow raises for a broken file depends on where it breaks.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def read_image(path: Path, root: Path) -> NDArray[np.uint8] | Fault:
    """Reads an image as (H, W, 3) uint8 RGB."""
    where = relative(path, root)
    if not path.is_file():
        return Fault(
            kind="missing image",
            where=where,
            expected=f"an image {path}",
            found="no such file",
            fix="add the image or take its id out of the lists",
        )
    try:
        with Image.open(path) as file:
            return np.array(file.convert("RGB"))  # a copy: PIL's own memory is read-only
    except _UNREADABLE as error:
        return _unreadable("unreadable image", f"a readable image {path}", where, error)


def read_mask(path: Path, root: Path) -> NDArray[Any] | Fault:
    """Reads a mask as (H, W) integers, exactly the numbers in the file."""
    where = relative(path, root)
    if not path.is_file():
        return Fault(
            kind="missing mask",
            where=where,
            expected=f"a mask {path}",
            found="no such file",
            fix="add the mask or take its id out of the lists",
        )
    try:
        with Image.open(path) as file:
            if file.mode not in ("P", "L", "1", "I", "I;16", "I;16B"):
                return Fault(
                    kind="mask with colours",
                    where=where,
                    found=f"a {file.mode} mask",
                    expected=f"class ids in one channel (palette or grey) in {path}",
                    fix="save masks as palette PNG whose pixel values are class ids, not colours",
                )
            values = np.asarray(file)
    except _UNREADABLE as error:
        return _unreadable("unreadable mask", f"a readable mask {path}", where, error)
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def unknown_ids(mask: NDArray[Any], where: str, count: int, fix: str) -> Fault | None:
    """Finds ids in a mask that are neither 0 to count - 1 nor 255."""
    unknown = ((mask >= count) & (mask != IGNORE)) | (mask < 0)
    if not unknown.any():
        return None
    ids, share = np.unique(mask[unknown]), float(unknown.mean())
    shown = ", ".join(str(id) for id in ids[:8]) + (", ..." if len(ids) > 8 else "")
    return Fault(
        kind="unknown ids in mask",
        where=where,
        expected=f"ids 0 to {count - 1} and {IGNORE}",
        found=f"{shown} on {share:.2%} of the pixels",
        fix=fix,
    )


def _unreadable(kind: str, expected: str, where: str, error: Exception) -> Fault:
    # Pillow's own sentence for a file that is no image holds the path a second time.
    found = "no image file" if isinstance(error, UnidentifiedImageError) else str(error)
    return Fault(kind=kind, where=where, expected=expected, found=found, fix="copy or download the file again")
