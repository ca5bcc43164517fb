"""Pictures, pixel by pixel, beside those that are kept."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.testing.compare import compare_images
from PIL import Image

TOLERANCE = 1.0
"""Root mean square over all pixels, of 255: every pixel may be off by one.

A moved legend is 8 or more, a line in another colour 2.
"""


def holds(kept: Path, drawn: Path) -> None:
    """Fails if a picture differs from the one that is kept; skips if that is of another release of matplotlib."""
    with Image.open(kept) as picture:
        made_by = release(picture.text["Software"])
    if made_by != release(mpl.__version__):
        pytest.skip(f"the letters of matplotlib {made_by}, of which {kept.name} is, are not those of this one")
    assert (difference := compare_images(str(kept), str(drawn), tol=TOLERANCE)) is None, difference


def release(text: str) -> str:
    """Returns the first two parts of the version in a text."""
    return re.search(r"\d+\.\d+", text).group()
