"""Palettes: which colour of a mask stands for which class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.faults import Fault
from psmt_viz.data.lists import read_text
from psmt_viz.errors import UserError

Color = tuple[int, int, int]
PALETTE_FILES = ("class_dict.csv", "label_colors.txt", "labelmap.txt", "palette.txt")
"""What the file is called in other people's folders."""
_VOID = re.compile(r"void|unlabell?ed|ignore|none", re.IGNORECASE)
_CITYSCAPES: tuple[Color, ...] = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
"""Of the 19 scored classes, in the order of their training ids."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours of the classes in the order of their ids, and colours that stand for no class."""

    colors: tuple[Color, ...]
    names: tuple[str, ...] = ()
    """Of the classes, where the palette names them."""
    void: tuple[Color, ...] = ()


def voc_palette() -> NDArray[np.uint8]:
    """Returns VOC's colours, (256, 3): the bits of an id are dealt out to red, green and blue, highest first."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for level in range(8):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            palette[:, channel] |= bit << (7 - level)
    return palette.astype(np.uint8)


def palette_of(name: str, root: Path) -> Palette:
    """Returns a palette by its name, `voc` or `cityscapes`, or of a file.

    A file has one class a line: its name and three numbers from 0 to 255, in either order, separated by commas, colons
    or blanks. Lines of a class called void, unlabelled or ignore stand for no class.

    Args:
        name: The name; or a file, relative to the working directory or to the data set's folder.
        root: The data set's folder.

    Raises:
        UserError: if there is no such palette or file, or a line has another form.
    """
    if name == "voc":
        colors = [tuple(map(int, color)) for color in voc_palette()]
        return Palette(colors=tuple(colors[:21]), void=(colors[255],))  # type: ignore[arg-type]
    if name == "cityscapes":
        return Palette(colors=_CITYSCAPES, void=((0, 0, 0),))
    path = next((each for each in (Path(name).expanduser(), root / name) if each.is_file()), None)
    if path is None:
        raise UserError(f"--palette voc, cityscapes or a file {name}", "no such file", "check the path")
    return read_palette(path, root)


def read_palette(path: Path, root: Path) -> Palette:
    """Reads a palette file (see `palette_of`).

    Raises:
        UserError: if a line has another form, or a colour or name comes twice.
    """
    text = read_text(path, root)
    if isinstance(text, Fault):
        raise text.error(root)
    colors: dict[Color, str] = {}
    void = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _line(line)
        if found is None:
            if number == 1:  # a head
                continue
            expected = f"a class's name and three numbers from 0 to 255 in {path.name}:{number}"
            raise UserError(expected, repr(line.strip()), "write for example: road,128,64,128")
        name, color = found
        if color in colors or color in void:
            raise UserError(f"each colour once in {path.name}", f"{color} again in line {number}", "remove one of them")
        if _VOID.fullmatch(name):
            void.append(color)
        else:
            colors[color] = name
    if len(colors) < 2:
        raise UserError(f"2 or more classes in {path.name}", f"{len(colors)}", "write one class a line")
    names = tuple(colors.values())
    named = all(names) and len(set(names)) == len(names)
    return Palette(colors=tuple(colors), names=names if named else (), void=tuple(void))


def _line(line: str) -> tuple[str, Color] | None:
    """Returns name and colour of a line; None if it has another form."""
    words = [word for word in re.split(r"[,:;\t ]+", line.strip()) if word]
    for start in (0, len(words) - 3, *range(1, max(1, len(words) - 3))):
        numbers = words[start : start + 3]
        if len(numbers) == 3 and all(word.isdecimal() and int(word) <= 255 for word in numbers):
            red, green, blue = map(int, numbers)
            return " ".join(words[:start] + words[start + 3 :]), (red, green, blue)
    return None
