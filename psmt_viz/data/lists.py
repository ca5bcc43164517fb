"""Lists of images: one id, or the paths of an image and its mask, per line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from psmt_viz.data.faults import Fault, relative
from psmt_viz.data.rasters import SUFFIXES, is_raster, without_suffix

_TWO = re.compile(rf"(.+?\.(?:{'|'.join(suffix[1:] for suffix in SUFFIXES)}))\s+(\S.*)", re.IGNORECASE)
"""Two names, the first of which ends with an image's suffix."""
_ONE_ID_PER_LINE = "write one id per line, for example 2007_000032"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a list, with the paths that the list gives for it."""

    id: str
    image: str = ""
    """Path relative to the data set's folder; empty: where the folder's layout has the image of this id."""
    mask: str = ""
    """Path relative to the data set's folder; empty: where the folder's layout has the mask of this id."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list file as it was read."""

    where: str
    entries: tuple[Entry, ...] = ()
    """Without duplicates, in the file's order."""
    faults: tuple[Fault, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in the file's order."""
        return tuple(entry.id for entry in self.entries)


def read_list(
    path: Path,
    root: Path,
    *,
    may_be_empty: bool = False,
    identify: Callable[[Entry], Entry] = lambda entry: entry,
) -> Listing:
    """Reads a list file: a line holds an id, or the paths of an image and a mask relative to the data set's folder.

    Blank lines, CRLF and a byte order mark are tolerated; ids that come twice are kept once.

    Args:
        path: The list file.
        root: The data set's folder.
        may_be_empty: An empty list is no fault.
        identify: Gives an entry the id of its image in the folder's layout, so that the image has one id in all lists.
    """
    where = relative(path, root)
    if not path.is_file():
        fault = Fault(
            kind="missing list", where=where, expected=f"a list file {path}", found="no such file", fix=_ONE_ID_PER_LINE
        )
        return Listing(where=where, faults=(fault,))
    text = read_text(path, root)
    if isinstance(text, Fault):
        return Listing(where=where, faults=(text,))
    entries: dict[str, Entry] = {}
    faults: list[Fault] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{where}:{number}"
        found = _read_line(line, place)
        if isinstance(found, Fault):
            faults.append(found)
            continue
        entry = identify(found)
        earlier = entries.get(entry.id)
        merged = entry if earlier is None else _merge(earlier, entry, place)
        if isinstance(merged, Fault):
            faults.append(merged)
            continue
        entries[entry.id] = merged
        if earlier is not None:
            faults.append(_duplicate(entry, place))
    if not entries and not faults and not may_be_empty:
        faults.append(
            Fault(
                kind="empty list",
                where=where,
                expected=f"ids in {path}",
                found="an empty list",
                fix=_ONE_ID_PER_LINE,
            )
        )
    return Listing(where=where, entries=tuple(entries.values()), faults=tuple(faults))


def merge_entries(known: dict[str, Entry], listing: Listing) -> list[Fault]:
    """Adds a list's entries to those known; the same id with two different files is a fault."""
    faults = []
    for entry in listing.entries:
        merged = _merge(known.get(entry.id, entry), entry, listing.where)
        if isinstance(merged, Fault):
            faults.append(merged)
        else:
            known[entry.id] = merged
    return faults


def read_text(path: Path, root: Path) -> str | Fault:
    """Reads a list or another text file, without a byte order mark and with LF for CRLF."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return Fault(
            kind="unreadable list",
            where=relative(path, root),
            expected=f"UTF-8 text in {path}",
            found=str(error),
            fix="save the file as UTF-8 text",
        )


def _read_line(line: str, where: str) -> Entry | Fault:
    names = _names(line.strip())
    if len(names) > 2 or (len(names) == 2 and not is_raster(names[1])):
        return Fault(
            kind="malformed line",
            where=where,
            expected="an id, or the paths of an image and its mask",
            found=repr(line.strip()),
            fix="write one id per line, without class flags",
        )
    # Windows' separators; no name on disk is meant to hold a backslash.
    names = [name.replace("\\", "/") for name in names]
    for name in names:
        if _leaves_the_folder(name):
            return Fault(
                kind="path leaves the folder",
                where=where,
                expected="a path inside the data set's folder",
                found=repr(name),
                fix="write ids, or paths from the data set's folder without ..",
            )
    # The authors' lists start paths with a slash and mean the data set's folder, never the disk's root.
    paths = [str(PurePosixPath(name.lstrip("/"))) for name in names]
    first = paths[0]
    if len(paths) == 2:
        # UniMatch's lists repeat an image that has no mask.
        return Entry(id=without_suffix(first), image=first, mask=paths[1] if paths[1] != first else "")
    # A file's name alone (x.jpg) is an id; with a folder (JPEGImages/x.jpg), it is a path.
    return Entry(id=without_suffix(first), image=first if is_raster(first) and "/" in names[0] else "")


def _names(line: str) -> list[str]:
    """Returns the one or two names of a line; they may hold blanks where tabs or suffixes tell them apart."""
    if "\t" in line:
        return [name.strip() for name in line.split("\t") if name.strip()]
    if (two := _TWO.fullmatch(line)) is not None:
        return [two[1], two[2]]
    words = line.split()
    flagged = len(words) > 1 and re.fullmatch(r"[+-]?\d", words[-1]) is not None
    return words if flagged else [line]


def _leaves_the_folder(name: str) -> bool:
    return ".." in PurePosixPath(name).parts or bool(PureWindowsPath(name).drive) or not name.isprintable()


def _duplicate(entry: Entry, where: str) -> Fault:
    return Fault(
        kind="duplicate id",
        where=where,
        expected="each id once",
        found=f"{entry.id} again",
        fix="remove the line",
        severity="warning",
    )


def _merge(known: Entry, entry: Entry, where: str) -> Entry | Fault:
    for field in ("image", "mask"):
        first, second = getattr(known, field), getattr(entry, field)
        if first and second and first != second:
            return Fault(
                kind="two files for one id",
                where=where,
                expected=f"one {field} for {entry.id}",
                found=f"{first} and {second}",
                fix="give the files different names",
            )
    return Entry(id=known.id, image=known.image or entry.image, mask=known.mask or entry.mask)
