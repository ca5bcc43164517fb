"""What lies where in a VOC-layout folder: the folders, the class names and the lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from psmt_viz.data.faults import Fault, relative
from psmt_viz.metrics import IGNORE

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Pascal VOC's class names in the order of their ids; used for a folder without classes.txt."""

IMAGES = "JPEGImages"
MASKS = ("SegmentationClass", "SegmentationClassAug")
LISTS = "ImageSets/Segmentation"
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a list, with the paths that the list gives for it."""

    id: str
    image: str = ""
    """Path relative to the data set's folder; empty means JPEGImages/ID with any known suffix."""
    mask: str = ""
    """Path relative to the data set's folder; empty means SegmentationClass/ID.png."""


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


def list_path(root: Path, part: str) -> Path:
    """Returns the list file of `train` or `val`."""
    return root / LISTS / f"{part}.txt"


def split_path(root: Path, split: str, part: str) -> Path:
    """Returns the list file of the `labeled` or `unlabeled` images of a split that the folder brings itself."""
    return root / LISTS / "semi" / split / f"{part}.txt"


def split_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the splits that the folder brings itself."""
    semi = root / LISTS / "semi"
    return tuple(sorted(path.name for path in semi.iterdir() if path.is_dir())) if semi.is_dir() else ()


def folder_faults(root: Path, *, images_listed: bool = False) -> list[Fault]:
    """Finds missing folders.

    Args:
        root: The data set's folder.
        images_listed: The lists may give paths of their own, so the standard folders are not asked for.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing there"
        fix = "give the path of a VOC-layout folder or of Cityscapes, or scenes for the embedded data set"
        return [Fault(kind="missing folder", where=str(root), expected=f"a folder {root}", found=found, fix=fix)]
    if images_listed:
        return []
    faults = []
    for names in ((IMAGES,), MASKS):
        if not any((root / name).is_dir() for name in names):
            patterns = [f"{above}/{name}" for name in (IMAGES, "leftImg8bit") for above in ("*", "*/*")]
            inner = next((path for pattern in patterns for path in root.glob(pattern)), None)
            fix = f"give {inner.parent} instead" if inner else f"add the folder {names[0]}, as VOC has it"
            expected = f"a folder {' or '.join(names)} in {root}"
            faults.append(
                Fault(kind="missing folder", where=names[0], expected=expected, found="no such folder", fix=fix)
            )
    return faults


def read_classes(root: Path) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    """Reads classes.txt, one name a line in the order of the ids; without the file, VOC's names.

    Returns:
        The names, faulty ones included so that ids keep their meaning, and what is wrong with them.
    """
    path = root / "classes.txt"
    if not path.exists():
        return VOC_CLASSES, ()

    def fault(kind: str, where: str, expected: str, found: str) -> Fault:
        fix = "write one name a line, the line's number being the class id + 1"
        return Fault(kind=kind, where=where, expected=expected, found=found, fix=fix)

    text = _read_text(path, root)
    if isinstance(text, Fault):
        return (), (text,)
    names = tuple(line.strip() for line in text.rstrip().split("\n")) if text.strip() else ()
    faults = []
    for number, name in enumerate(names, start=1):
        where = f"classes.txt:{number}"
        if not name:
            faults.append(fault("blank class name", where, "a class name", "a blank line"))
        elif name in names[: number - 1]:
            faults.append(fault("duplicate class name", where, "different class names", f"{name} a second time"))
    if not 2 <= len(names) <= IGNORE:
        expected = f"2 to {IGNORE} class names"
        faults.append(fault("number of classes", "classes.txt", expected, f"{len(names)} of them"))
    return names, tuple(faults)


def read_list(
    path: Path,
    root: Path,
    *,
    may_be_empty: bool = False,
    resolve: Callable[[Entry], Entry] = lambda entry: entry,
) -> Listing:
    """Reads a list file: a line holds an id, or the paths of an image and a mask relative to the data set's folder.

    Blank lines, CRLF and a byte order mark are tolerated; ids that come twice are kept once.

    Args:
        path: The list file.
        root: The data set's folder.
        may_be_empty: An empty list is no fault.
        resolve: Gives an entry the id that its image has in this layout, so that the same image is known in any list.
    """
    where = relative(path, root)
    if not path.is_file():
        fault = Fault(
            kind="missing list",
            where=where,
            expected=f"a list file {path}",
            found="no such file",
            fix="write one id a line, for example 2007_000032",
        )
        return Listing(where=where, faults=(fault,))
    text = _read_text(path, root)
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
        entry = resolve(found)
        if (earlier := entries.get(entry.id)) is None:
            entries[entry.id] = entry
        elif isinstance(merged := _merge(earlier, entry, place), Fault):
            faults.append(merged)
        else:
            entries[entry.id] = merged
            faults.append(
                Fault(
                    kind="duplicate id",
                    where=place,
                    expected="each id once",
                    found=f"{entry.id} again",
                    fix="remove the line",
                    severity="warning",
                )
            )
    if not entries and not faults and not may_be_empty:
        faults.append(
            Fault(
                kind="empty list",
                where=where,
                expected=f"ids in {path}",
                found="an empty list",
                fix="write one id a line, for example 2007_000032",
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


def image_path(root: Path, entry: Entry) -> Path:
    """Returns where an image is, or where it should be."""
    if entry.image:
        return root / entry.image
    # Not Path.with_suffix: ids may contain dots.
    candidates = [root / IMAGES / f"{entry.id}{suffix}" for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


def mask_path(root: Path, entry: Entry) -> Path:
    """Returns where a mask is, or where it should be."""
    if entry.mask:
        return root / entry.mask
    folder = next((name for name in MASKS if (root / name).is_dir()), MASKS[0])
    return root / folder / f"{entry.id}.png"


def _read_text(path: Path, root: Path) -> str | Fault:
    try:
        return path.read_text(encoding="utf-8-sig")  # also turns CRLF into LF
    except (OSError, UnicodeDecodeError) as error:
        return Fault(
            kind="unreadable list",
            where=relative(path, root),
            expected=f"UTF-8 text in {path}",
            found=str(error),
            fix="save the file as UTF-8 text",
        )


def _read_line(line: str, where: str) -> Entry | Fault:
    tokens = line.split()
    if len(tokens) > 2 or (len(tokens) == 2 and not tokens[1].lower().endswith(".png")):
        return Fault(
            kind="malformed line",
            where=where,
            expected="an id, or an image's path and a mask's .png path",
            found=repr(line.strip()),
            fix="write one id a line (no class flags, no spaces)",
        )
    for token in tokens:
        # The authors' lists start paths with a slash and mean the data set's folder, never the disk's root.
        leaves = ".." in PurePosixPath(token).parts or "\\" in token or PureWindowsPath(token).drive
        if leaves or not token.isprintable():
            return Fault(
                kind="path leaves the folder",
                where=where,
                expected="a path inside the data set's folder",
                found=repr(token),
                fix="write ids, or paths from the data set's folder without ..",
            )
    paths = [token.lstrip("/") for token in tokens]
    if len(paths) == 2:
        return Entry(id=PurePosixPath(paths[0]).stem, image=paths[0], mask=paths[1])
    if PurePosixPath(paths[0]).suffix in SUFFIXES:
        return Entry(id=PurePosixPath(paths[0]).stem, image=paths[0] if "/" in tokens[0] else "")
    return Entry(id=str(PurePosixPath(paths[0])))


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
