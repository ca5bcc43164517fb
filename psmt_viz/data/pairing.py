"""Images and masks of a folder of any arrangement: which are which, and which belong together."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from psmt_viz.data.faults import Fault, printable, some
from psmt_viz.data.folder_words import Place, cores, mask_ending, place_of
from psmt_viz.data.rasters import is_raster, without_suffix
from psmt_viz.groups import DataConfig


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and its mask."""

    id: str
    """The image's path without the words for images and masks and without the suffix."""
    part: str
    """`train`, `val`, `test` or empty."""
    image: str
    """Path relative to the data set's folder, with forward slashes."""
    mask: str = ""
    """The same; empty: the image has none."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The images of a folder with their masks, and what is wrong with them."""

    pairs: tuple[Pair, ...] = ()
    images: str = ""
    """The folder that holds all images; empty: the data set's own."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _File:
    path: str
    place: Place
    stem: str
    """The file's name without its suffix and, of a mask, without the ending that says so."""


def find_pairs(root: Path, options: DataConfig) -> Pairs:
    """Looks for images and masks by the names of their folders, or in the folders that are given.

    Args:
        root: An existing folder.
        options: `image_dir`, `mask_dir` and `pair` are heeded.
    """
    folders, unnamed = _rasters(root)
    for flag, given in (("--image-dir", options.image_dir), ("--mask-dir", options.mask_dir)):
        if given is not None and not any(_inside(folder, given) for folder in folders):
            fix = "give a folder of images below that of the data set, with forward slashes"
            return Pairs(faults=(_unrecognized(root, f"{flag} {given} with images", "none there", fix),))
    images, masks = _sorted_out(folders, options)
    if not images or not masks:
        return Pairs(faults=(_not_told(root, folders, images),))
    images, masks = _bare(images), _bare(masks)
    found = _joined(root, images, *_keyed(images, masks, options.pair))
    return replace(found, faults=(*found.faults, *unnamed))


def _rasters(root: Path) -> tuple[dict[str, list[str]], list[Fault]]:
    """Returns folder -> names of the images in it, both sorted, and those whose names no table can hold.

    Hidden folders are passed over.
    """
    found, unnamed = {}, list[str]()
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = sorted(each for each in below if not each.startswith("."))
        place = Path(folder).relative_to(root).as_posix().removeprefix(".")
        rasters = sorted(filter(is_raster, names))
        unnamed += [f"{place}/{name}" for name in rasters if printable(place + name) != place + name]
        if kept := [name for name in rasters if printable(place + name) == place + name]:
            found[place] = kept
    if not unnamed:
        return found, []
    fault = Fault(
        kind="name that is no UTF-8",
        where=printable(unnamed[0]),
        expected="names of files in UTF-8",
        found=printable(some(unnamed)),
        fix="rename them; they are left out",
        severity="warning",
    )
    return found, [fault]


def _inside(folder: str, given: str) -> bool:
    above = given.replace("\\", "/").strip("/").removeprefix("./")
    return above in ("", ".") or folder == above or folder.startswith(f"{above}/")


def _sorted_out(folders: Mapping[str, Sequence[str]], options: DataConfig) -> tuple[list[_File], list[_File]]:
    """Returns images and masks."""
    places = {folder: place_of(folder) for folder in folders}
    kinds = {folder: _given_kind(folder, options) or place.kind for folder, place in places.items()}
    said = {kind for kind in kinds.values() if kind}
    silent = [folder for folder, kind in kinds.items() if not kind]
    if options.image_dir is None and said == {"mask"}:
        kinds |= dict.fromkeys(silent, "image")
    elif options.mask_dir is None and said == {"image"} and len(silent) == 1:
        kinds |= dict.fromkeys(silent, "mask")
    images, masks = [], []
    for folder, names in folders.items():
        ends = not said or (options.image_dir is not None and options.image_dir == options.mask_dir)
        for name in names:
            stem = without_suffix(name)
            kind = ("mask" if mask_ending(stem) else "image") if ends else kinds[folder]
            path = f"{folder}/{name}" if folder else name
            if kind == "image":
                images.append(_File(path=path, place=places[folder], stem=stem))
            elif kind == "mask":
                masks.append(_File(path=path, place=places[folder], stem=stem))
    return images, masks


def _given_kind(folder: str, options: DataConfig) -> str:
    if options.image_dir is not None and _inside(folder, options.image_dir):
        return "image"
    if options.mask_dir is not None and _inside(folder, options.mask_dir):
        return "mask"
    # With one of the two named, folders called like it elsewhere are not meant.
    if options.image_dir is not None and options.mask_dir is not None:
        return "other"
    return ""


def _bare(files: Sequence[_File]) -> list[_File]:
    """Returns files without the names that all their folders share, which tell nothing apart."""
    levels = takewhile(lambda names: len({*names}) == 1, zip(*(file.place.rest for file in files), strict=False))
    shared = sum(1 for _ in levels)
    return [
        _File(
            path=file.path,
            stem=file.stem,
            place=Place(kind=file.place.kind, part=file.place.part, rest=file.place.rest[shared:]),
        )
        for file in files
    ]


Key = tuple[str, ...]


def _keyed(images: list[_File], masks: list[_File], pattern: str | None) -> tuple[list[Key], dict[Key, list[str]]]:
    """Returns the key of each image, and key -> masks.

    Keys are the stems; where those of most masks meet no image, what is left of stems without the words that all have.
    """
    if pattern is not None:
        return _with(images, masks, lambda files: [_groups(pattern, file.path) for file in files], folders=False)
    ways: tuple[Callable[[list[_File]], list[str | None]], ...] = (
        lambda files: [file.stem.lower() for file in files],
        lambda files: [file.stem[: len(file.stem) - len(mask_ending(file.stem))].lower() for file in files],
        lambda files: list(cores([file.stem.lower() for file in files])),
    )
    made = [_with(images, masks, way, folders=True) for way in ways]
    # Of equal ones the first.
    return max(made, key=lambda each: sum(key in each[1] for key in each[0]))


def _with(
    images: list[_File], masks: list[_File], name: Callable[[list[_File]], list[str | None]], *, folders: bool
) -> tuple[list[Key], dict[Key, list[str]]]:
    def keys(files: list[_File]) -> list[Key]:
        found = []
        for file, own in zip(files, name(files), strict=True):
            above = (file.place.part, *file.place.rest) if folders else ()
            found.append((*above, file.path if own is None else own))
        return found

    by_key = defaultdict(list)
    for key, mask in zip(keys(masks), masks, strict=True):
        by_key[key].append(mask.path)
    return keys(images), dict(by_key)


def _groups(pattern: str, path: str) -> str | None:
    found = re.search(pattern, path)
    return None if found is None else "\0".join(group for group in found.groups() if group is not None)


def _joined(root: Path, images: list[_File], keys: list[Key], masks: dict[Key, list[str]]) -> Pairs:
    by_image: dict[Key, list[_File]] = defaultdict(list)
    for key, image in zip(keys, images, strict=True):
        by_image[key].append(image)
    met = {key for key in by_image if key in masks}
    fix = r"say what they share with --pair and a regular expression, such as --pair '(\d+)_'"
    if not met:
        first = next(iter(masks.values()))[0]
        expected = f"masks in {root} called like their images"
        return Pairs(faults=(_unrecognized(root, expected, f"{images[0].path} and {first}", fix),))
    faults = []
    for key in met:
        for files in (masks[key], [image.path for image in by_image[key]]):
            if len(files) > 1:
                what = "mask for one image" if files is masks[key] else "image for one mask"
                got = ", ".join([*files, masks[key][0]][:3])
                faults.append(_unrecognized(root, f"one {what} in {root}", got, f"name the folders, or {fix}"))
    if lonely := sorted(path for key, paths in masks.items() if key not in met for path in paths):
        faults.append(
            Fault(
                kind="masks without an image",
                where=lonely[0],
                expected="an image for every mask",
                found=some(lonely),
                fix=fix,
                severity="warning" if len(met) >= len(lonely) else "error",
            )
        )
    pairs = []
    for key, image in zip(keys, images, strict=True):
        place = (image.place.part, *image.place.rest, image.stem)
        mask = masks[key][0] if key in masks else ""
        pairs.append(Pair(id="/".join(filter(None, place)), part=image.place.part, image=image.path, mask=mask))
    pairs.sort(key=lambda pair: pair.id)
    above = os.path.commonpath([image.path.rpartition("/")[0] for image in images])
    return Pairs(pairs=tuple(pairs), images=above, faults=(*_twice(root, pairs), *faults))


def _twice(root: Path, pairs: Sequence[Pair]) -> list[Fault]:
    """Finds images that differ in their suffix alone."""
    known: dict[str, str] = {}
    faults = []
    for pair in pairs:
        if (other := known.setdefault(pair.id, pair.image)) != pair.image:
            fix = "keep one of the two"
            faults.append(_unrecognized(root, f"one image called {pair.id}", f"{other} and {pair.image}", fix))
    return faults


def _not_told(root: Path, folders: Mapping[str, Sequence[str]], images: Sequence[_File]) -> Fault:
    """Says what is in a folder in which no images with masks were found."""
    seen = [f"{len(names)} images in {folder or 'the folder itself'}" for folder, names in list(folders.items())[:6]]
    got = ", ".join(seen) + (", ..." if len(folders) > 6 else "") or "no images"
    inner = next((each for each in sorted(root.glob("*/*")) if each.is_dir() and place_of(each.name).kind), None)
    fix = "name two folders with --image-dir and --mask-dir, or call them images and masks"
    if inner is not None and not images:
        fix = f"give {inner.parent} instead, or {fix}"
    return _unrecognized(root, f"a folder of images and one of their masks in {root}", got, fix)


def _unrecognized(root: Path, expected: str, found: str, fix: str) -> Fault:
    return Fault(kind="no images with masks", where=str(root), expected=expected, found=found, fix=fix)
