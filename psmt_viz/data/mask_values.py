"""What the numbers and colours in the files of masks stand for: class ids, or no class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.faults import Fault
from psmt_viz.data.palettes import PALETTE_FILES, Palette, palette_of
from psmt_viz.data.rasters import read_mask, unknown_values
from psmt_viz.groups import DataConfig
from psmt_viz.metrics import IGNORE

_UNKNOWN = -1
_LOOKED_AT = 500
"""Masks at most that are read to find out what is in them; of more, as many evenly spread."""


Paths = Callable[[], Sequence[Path]]
"""Lists the files of masks, which takes a while where there are many."""


@dataclass(frozen=True, kw_only=True)
class MaskValues:
    """How masks are read."""

    values: tuple[int, ...] = ()
    """The numbers of the classes 0, 1, ...; empty: the ids themselves."""
    ignore: int | None = None
    """A number that stands for no class, beside 255."""
    reduce_zero: bool = False
    """0 stands for no class, and class 0 has the number 1."""
    palette: Palette | None = None
    """Colours of the classes; without it masks hold numbers alone."""

    @property
    def plain(self) -> bool:
        """Whether the numbers are class ids and nothing else is said."""
        return not self.values and self.ignore is None and not self.reduce_zero

    def ids(self, stored: NDArray[Any], count: int, *, where: str, fix: str) -> tuple[NDArray[np.uint8], Fault | None]:
        """Turns what a file holds into class ids.

        Args:
            stored: (H, W) numbers or (H, W, 3) colours.
            count: Number of classes.
            where: The file, as it is named in a fault.
            fix: What to do about unknown numbers.

        Returns:
            (H, W) class ids, 255 where none applies; and what is wrong with the file, whose unknown pixels are 255.
        """
        stored = self.numbers_of(stored)
        if stored.ndim == 3:
            return self._of_colors(stored, where)
        table = _table(self, count)
        inside = (stored >= 0) & (stored < len(table))
        ids = table[np.where(inside, stored, len(table) - 1)] if not inside.all() else table[stored]
        unknown = (ids == _UNKNOWN) | ~inside
        fault = None
        if unknown.any():
            fault = unknown_values(unknown, stored, where=where, expected=self._expected(count), fix=fix)
        return np.where(unknown, IGNORE, ids).astype(np.uint8), fault

    def numbers_of(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Returns colours that are all grey as the numbers that they are, where no palette says otherwise."""
        if stored.ndim == 3 and self.palette is None and (stored == stored[..., :1]).all():
            return stored[..., 0]
        return stored

    def numbers(self, count: int) -> tuple[int, ...]:
        """Returns the number in the files of each class."""
        return self.values or tuple(range(int(self.reduce_zero), count + int(self.reduce_zero)))

    def void(self, count: int) -> tuple[int, ...]:
        """Returns the numbers that stand for no class."""
        numbers = {IGNORE} - set(self.numbers(count))
        numbers |= {0} if self.reduce_zero else set()
        return tuple(sorted(numbers | ({self.ignore} if self.ignore is not None else set())))

    def _expected(self, count: int) -> str:
        numbers, void = self.numbers(count), self.void(count)
        if self.values:
            return f"values {', '.join(map(str, numbers))} and, for no class, {' or '.join(map(str, void)) or 'none'}"
        return f"ids {numbers[0]} to {numbers[-1]} and {' and '.join(map(str, void))}"

    def _of_colors(self, stored: NDArray[Any], where: str) -> tuple[NDArray[np.uint8], Fault | None]:
        if self.palette is None:
            colored = Fault(
                kind="mask with colours",
                where=where,
                found="colours",
                expected=f"class ids in one channel (palette or grey) in {where}",
                fix="say which colour is which class with --palette voc, cityscapes or a file of `name,r,g,b` lines",
            )
            return np.full(stored.shape[:2], IGNORE, np.uint8), colored
        packed = stored.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        codes = {_packed(color): id for id, color in enumerate(self.palette.colors)}
        codes |= {_packed(color): IGNORE for color in self.palette.void}
        known = np.array(sorted(codes))
        places = np.searchsorted(known, packed).clip(max=len(known) - 1)
        ids = np.array([codes[code] for code in known.tolist()], np.uint8)[places]
        unknown = known[places] != packed
        fault = None
        if unknown.any():
            expected = f"the {len(self.palette.colors)} colours of the palette"
            fix = "add the colours to the palette, or save masks without blended edges"
            fault = unknown_values(unknown, stored, where=where, expected=expected, fix=fix)
        return np.where(unknown, IGNORE, ids).astype(np.uint8), fault


def _packed(color: tuple[int, int, int]) -> int:
    return (color[0] << 16) | (color[1] << 8) | color[2]


@lru_cache(maxsize=16)
def _table(of: MaskValues, count: int) -> NDArray[np.int16]:
    """Returns (2^16,) number -> class id, 255 for no class, -1 where unknown."""
    table = np.full(1 << 16, _UNKNOWN, np.int16)
    for id, number in enumerate(of.numbers(count)[:IGNORE]):
        table[number] = id
    table[list(of.void(count))] = IGNORE
    return table


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the masks of a folder are read, and what its classes are called."""

    names: tuple[str, ...]
    values: MaskValues
    remarks: tuple[str, ...] = ()
    """What was found out by looking, for the user to know."""
    faults: tuple[Fault, ...] = ()


def reading(
    options: DataConfig,
    root: Path,
    names: tuple[str, ...],
    masks: Callable[[], Sequence[Any]],
    *,
    read: Callable[[Any], NDArray[Any] | Fault] | None = None,
) -> Reading:
    """Finds out how masks are read, from what the user says and, where that leaves it open, from the masks.

    Masks of 0 and 255 alone are those of an object and its background wherever there are two class names; with other
    names, or none, 255 may mean the object or no class, and the user is asked.

    Args:
        options: What the user says.
        root: The data set's folder.
        names: Class names; empty: the folder has none.
        masks: Lists the files, or whatever `read` takes; it is asked only if something is open.
        read: Returns the numbers or colours of a mask; default: of a file.
    """
    asked = _asked(options, root)
    if asked.palette is not None and not names:
        names = asked.palette.names
    if names and not asked.plain:
        return _counted(asked, names)
    seen = _Seen(masks(), read or (lambda path: read_mask(path, root)), asked)
    if asked.plain and seen.only_0_and_255():
        if len(names) != 2:
            return Reading(names=names, values=asked, faults=(_binary(names),))
        remark = f"masks hold 0 and 255 alone: 255 is read as {names[1]}"
        return Reading(names=names, values=replace(asked, values=(0, 255)), remarks=(remark,))
    if names:
        return _counted(asked, names)
    count = len(asked.palette.colors) if asked.palette else len(asked.values) or seen.classes(asked)
    if count < 2:
        fault = Fault(
            kind="number of classes",
            where="masks",
            expected="2 or more classes in the masks",
            found=f"{count} in {seen.looked_at} masks",
            fix="check the masks, or name the classes in classes.txt, one a line in the order of their ids",
        )
        return Reading(names=(), values=asked, faults=(fault,))
    names = tuple(f"class {id}" for id in range(count))
    remark = f"no classes.txt: the classes are called class 0 to class {count - 1}"
    if 0 < seen.looked_at < seen.count:
        remark += f", as {seen.looked_at} of {seen.count} masks show"
    return Reading(names=names, values=asked, remarks=(remark + "; name them there, one a line",))


def _asked(options: DataConfig, root: Path) -> MaskValues:
    named = options.palette
    if named is None:
        named = next((name for name in PALETTE_FILES if (root / name).is_file()), None)
    return MaskValues(
        values=options.mask_values,
        ignore=options.ignore_index,
        reduce_zero=options.reduce_zero_label,
        palette=palette_of(named, root) if named is not None else None,
    )


def _counted(asked: MaskValues, names: tuple[str, ...]) -> Reading:
    """Checks that there are as many names as numbers or colours."""
    count = len(asked.palette.colors) if asked.palette else len(asked.values) or len(names)
    if count == len(names):
        return Reading(names=names, values=asked)
    what = "colours in the palette" if asked.palette else "--mask-values"
    fault = Fault(
        kind="number of classes",
        where="classes.txt",
        expected=f"{count} class names, as there are {count} {what}",
        found=f"{len(names)}: {', '.join(names[:8])}",
        fix=f"give one for each of the {what}",
    )
    return Reading(names=names, values=asked, faults=(fault,))


def _binary(names: Sequence[str]) -> Fault:
    there = f"{len(names)} class names" if names else "no class names"
    return Fault(
        kind="masks of 0 and 255",
        where="masks",
        expected="class ids in the masks, 255 being no class",
        found=f"only 0 and 255, and {there}",
        fix="if 255 is the object, give --mask-values 0 255 or write its two class names into classes.txt, background "
        "first",
    )


class _Seen:
    """What is in masks; each is read once, and no more of them than a question needs."""

    def __init__(self, masks: Sequence[Any], read: Callable[[Any], NDArray[Any] | Fault], how: MaskValues) -> None:
        self.count = len(masks)
        step = max(1.0, len(masks) / _LOOKED_AT)
        self._masks = [masks[int(index * step)] for index in range(min(len(masks), _LOOKED_AT))]
        self._read, self._how, self._found = read, how, list[NDArray[Any]]()

    @property
    def looked_at(self) -> int:
        return len(self._found)

    def _each(self) -> Iterator[NDArray[Any]]:
        """Yields the different numbers of each mask; of those in colours or unreadable, none."""
        yield from self._found
        for mask in self._masks[len(self._found) :]:
            stored = self._read(mask)
            numbers = self._how.numbers_of(stored) if isinstance(stored, np.ndarray) else np.empty((0, 0), int)
            found = np.unique(numbers) if numbers.ndim == 2 else np.array([], int)
            self._found.append(found)
            yield found

    def only_0_and_255(self) -> bool:
        high = False
        for numbers in self._each():
            if not np.isin(numbers, (0, IGNORE)).all():
                return False
            high |= IGNORE in numbers
        return high

    def classes(self, asked: MaskValues) -> int:
        """Returns how many classes the numbers say that there are."""
        void = asked.void(0)
        highest = max((int(number) for each in self._each() for number in each if number not in void), default=-1)
        return highest + 1 - int(asked.reduce_zero)
