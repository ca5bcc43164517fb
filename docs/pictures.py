"""Makes the pictures of these pages from the figures of the run that comes with the project.

Command:  psmt-viz figures --from analysis/results/scenes --out figures && python docs/pictures.py figures
Cost:     a minute; figures are only redrawn.
Expected: docs/pictures/*.png, about 100 KB each: scaled to the width of a page, with at most 256 colours.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
NAMES = ("fig1_gradcam", "fig2_tsne", "fig3b_miou", "flips", "transfer", "where")
SHRINK = 0.7
"""Scales 300 dpi down to the width of a page, at twice the resolution for high-density screens."""


def main() -> None:
    """Shrinks each figure."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/pictures.py FIGURES")
    PICTURES.mkdir(exist_ok=True)
    for name in NAMES:
        with Image.open(Path(sys.argv[1], f"{name}.png")) as figure:
            size = (round(SHRINK * figure.width), round(SHRINK * figure.height))
            small = figure.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        small.quantize(256, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
