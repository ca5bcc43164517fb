"""A few figures, pixel by pixel, beside the pictures in `golden/`.

    python -m tests.figures.test_golden [NAME ...]

draws these anew: after a change that was meant, and looked at.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from PIL import Image

from psmt_viz.figures import style

from .every import EVERY

GOLDEN = Path(__file__).parent / "golden"
NAMES = (
    "confusion",
    "sweep",
    "transfer",
    "tsne",
    "miou",
    "gradcam",
)
CASES = [(name, dark) for name in NAMES for dark in (False, True)]
TOLERANCE = 1.0
"""Root mean square over all pixels, of 255: every pixel may be off by one.

A moved legend is 8 or more, a line in another colour 2.
"""


def drawn(name: str, *, dark: bool) -> Figure:
    """Returns a figure whose parts have their places."""
    with style(dark=dark):
        figure = EVERY[name]()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def save(figure: Figure, path: Path, *, dark: bool) -> Path:
    """Saves a figure in few pixels; a file of some kilobytes."""
    with style(dark=dark):
        figure.savefig(path, dpi=60)
    return path


def golden(name: str, *, dark: bool) -> Path:
    """Returns where a picture is kept."""
    return GOLDEN / f"{name}-{'dark' if dark else 'white'}.png"


def release(text: str) -> str:
    """Returns the first two parts of the version in a text."""
    return re.search(r"\d+\.\d+", text).group()


@pytest.mark.parametrize(("name", "dark"), CASES)
def test_a_figure_looks_as_it_did(tmp_path, name, dark):
    expected = golden(name, dark=dark)
    with Image.open(expected) as picture:
        made_by = release(picture.text["Software"])
    if made_by != release(mpl.__version__):
        pytest.skip(f"the letters of matplotlib {made_by}, of which the pictures are, are not those of this one")
    actual = save(drawn(name, dark=dark), tmp_path / expected.name, dark=dark)
    assert (difference := compare_images(str(expected), str(actual), tol=TOLERANCE)) is None, difference


def moved_legend(figure: Figure) -> None:
    figure.legends[0].set_loc((0.3, 0.9))


def other_color(figure: Figure) -> None:
    figure.axes[0].lines[0].set_color("magenta")


@pytest.mark.parametrize("dark", [False, True], ids=["white", "dark"])
@pytest.mark.parametrize("change", [moved_legend, other_color])
def test_a_changed_figure_is_seen(tmp_path, change, dark):
    figure = drawn("sweep", dark=dark)
    before = save(figure, tmp_path / "before.png", dark=dark)
    change(figure)
    assert compare_images(str(before), str(save(figure, tmp_path / "after.png", dark=dark)), tol=TOLERANCE)


def test_one_level_of_grey_is_no_change(tmp_path):
    before = save(drawn("confusion", dark=False), tmp_path / "before.png", dark=False)
    with Image.open(before) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    Image.fromarray(np.where(pixels == 255, 254, pixels + 1).astype(np.uint8)).save(tmp_path / "after.png")
    assert compare_images(str(before), str(tmp_path / "after.png"), tol=TOLERANCE) is None


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or NAMES:
        for paper in (False, True):
            print(save(drawn(wanted, dark=paper), golden(wanted, dark=paper), dark=paper))
