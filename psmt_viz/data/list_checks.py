"""The lists of a folder as `checks` reads them, and the ids that are in two lists which should share none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psmt_viz.data.faults import Fault, some
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Listing
from psmt_viz.data.splits import split_names, split_path
from psmt_viz.groups import DataConfig

GIVEN = ""
"""The name of the split that the user gives as two lists; no folder can have it."""


@dataclass(frozen=True, kw_only=True)
class CheckedLists:
    """The lists that a training would read."""

    train: tuple[Listing, ...]
    """train.txt, or the two halves of the split that is given."""
    val: Listing
    splits: Mapping[str, tuple[Listing, Listing]]
    """Name -> labelled and unlabelled half."""

    @property
    def all(self) -> list[Listing]:
        """Every list file once."""
        halves = [half for pair in self.splits.values() for half in pair]
        train = [listing for listing in self.train if listing not in halves]
        return [*train, self.val, *halves]

    @property
    def train_ids(self) -> set[str]:
        """The ids of all training images."""
        return {id for listing in self.train for id in listing.ids}

    @property
    def may_be_labeled(self) -> set[str]:
        """The ids whose masks are read; without splits in the folder, any training image can be drawn as labelled."""
        validation = set(self.val.ids)
        if not self.splits:
            return self.train_ids | validation
        labeled = {id for half, _ in self.splits.values() for id in half.ids}
        return labeled | validation


def read_lists(layout: Layout, root: Path, given: DataConfig) -> CheckedLists:
    """Reads the lists that are given, else those of the folder and of its own splits."""
    val = layout.read_list(Path(given.val_list), root) if given.val_list else layout.listing(root, "val")
    if given.labeled_list is not None and given.unlabeled_list is not None:
        halves = (layout.read_list(Path(half), root) for half in (given.labeled_list, given.unlabeled_list))
        labeled, unlabeled = halves
        return CheckedLists(train=(labeled, unlabeled), val=val, splits={GIVEN: (labeled, unlabeled)})
    splits = {}
    for name in split_names(root):
        labeled = layout.read_list(split_path(root, name, "labeled"), root)
        unlabeled = layout.read_list(split_path(root, name, "unlabeled"), root, may_be_empty=name == "full")
        splits[name] = (labeled, unlabeled)
    return CheckedLists(train=(layout.listing(root, "train"),), val=val, splits=splits)


def overlaps(lists: CheckedLists) -> list[Fault]:
    """Finds ids that are in two lists which should share none, or in a split but not in train."""
    faults = []
    train, val = lists.train_ids, set(lists.val.ids)
    if both := sorted(train & val):
        faults.append(
            Fault(
                kind="train and val overlap",
                where=" and ".join([*(listing.where for listing in lists.train), lists.val.where]),
                expected="no id in both train and val",
                found=some(both),
                fix="take them out of the training list, or the scores will be too good",
            )
        )
    for labeled, unlabeled in lists.splits.values():
        faults += _split_overlaps(labeled, unlabeled, train, val)
    return faults


def _split_overlaps(labeled: Listing, unlabeled: Listing, train: set[str], val: set[str]) -> list[Fault]:
    faults = []
    where = f"{labeled.where} and {unlabeled.where}"
    members = set(labeled.ids) | set(unlabeled.ids)
    if both := sorted(set(labeled.ids) & set(unlabeled.ids)):
        faults.append(
            Fault(
                kind="labelled and unlabelled overlap",
                where=where,
                expected="no id in both halves of a split",
                found=some(both),
                fix="take them out of one of the two lists",
            )
        )
    if train and (foreign := sorted(members - train - val)):
        faults.append(
            Fault(
                kind="split ids not in train",
                where=where,
                expected="splits of the training list",
                found=some(foreign),
                fix="add them to train.txt or take them out of the split",
                severity="warning",
            )
        )
    if leaked := sorted((members & val) - train):
        faults.append(
            Fault(
                kind="split and val overlap",
                where=where,
                expected="no id of val in a split",
                found=some(leaked),
                fix="take them out of the split, or the scores will be too good",
            )
        )
    return faults
