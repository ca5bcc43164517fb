"""The trimmed files of the published code's outputs, whole, in parts or changed, and what a check says of them."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from types import MappingProxyType

from published.document import Node
from published.report import BEYOND, Report

from psmt_viz import presets

FOLDER = Path(__file__).parent / "published"


@cache
def stated(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def compared(check, name, *parts, change=None):
    """The report of a check on a trimmed file, or on some of its parts."""
    document = copy.deepcopy(stated(name))
    if parts:
        document = {key: document[key] for key in ("file", "rule", *parts) if key in document}
    if change is not None:
        change(document)
    report = Report()
    check(Node(document, FOLDER / f"{name}.json"), report)
    return report


def beyond(report):
    return [row.piece for row in report.rows if row.verdict == BEYOND]


def renumbered(document, path, *changes):
    """Replaces texts in the words at a path."""
    for old, new in changes:
        assert old in document["rule"][path]
        document["rule"][path] = document["rule"][path].replace(old, new)


def preset(patch, name, **values):
    """Changes a preset."""
    changed = {**presets.PRESETS[name], **values}
    patch.setattr(presets, "PRESETS", MappingProxyType({**presets.PRESETS, name: changed}))
