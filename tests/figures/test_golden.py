"""A few figures, pixel by pixel, beside the pictures in `golden/`.

    python -m tests.figures.test_golden [NAME ...]

draws these anew: after a change that was meant, and looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from PIL import Image

from psmt_viz.figures import style

from .every import EVERY
from .pictures import TOLERANCE, holds

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


@pytest.mark.parametrize(("name", "dark"), CASES)
def test_a_figure_looks_as_it_did(tmp_path, name, dark):
    expected = golden(name, dark=dark)
    holds(expected, save(drawn(name, dark=dark), tmp_path / expected.name, dark=dark))


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
