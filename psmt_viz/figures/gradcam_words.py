"""What class activation maps say in numbers, for the screen and the page."""

from __future__ import annotations

import math

from psmt_viz.figures.words import kind_words, panel_words, without_teachers
from psmt_viz.results import Cams

_COLUMNS = ("mass", "inside", "faithfulness", "change", "moved")
"""Beginnings of the columns of gradcam.csv, in the order in which they are printed."""


def fewer_images(cams: Cams) -> str:
    """Says that there are fewer images than were asked for; else nothing."""
    asked = cams.asked.get("images")
    if asked is None or len(cams.cams) >= asked:
        return ""
    count = len(cams.cams)
    number = f"{count} image" if count == 1 else f"{count} images"
    return f"{number} of the {asked} asked for: in the others too little of the class is predicted correctly."


def gradcam_findings(cams: Cams) -> list[str]:
    """Returns the rows of gradcam.csv as a table of one line per image and map, and what there is to add to them."""
    rows: list[tuple[str, ...]] = [("image", "class", "map", *_COLUMNS)]
    for _, row in cams.table.iterrows():
        for panel in ("clean", *cams.perturbations):
            values = (row.get(f"{column}_{panel}") for column in _COLUMNS)
            name = panel_words(panel) if panel == "clean" else kind_words(panel)
            rows.append((str(row["image"]), str(row["class"]), name, *map(_number, values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place < 3 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [*lines, *filter(None, [fewer_images(cams), without_teachers(cams)])]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"
