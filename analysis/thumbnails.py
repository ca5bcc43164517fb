"""Draws the small pictures of analysis/README.md from the numbers in results/scenes: no torch, no model, no data.

Command:  python analysis/thumbnails.py
Cost:     20 s.
Expected: thumbnails/*.png, byte-identical unless numbers or figures changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psmt_viz import figures
from psmt_viz.results import Cams, Flips, PixelEmbedding, Saved, Training

HERE = Path(__file__).parent
DPI = 72


def main() -> None:
    """Draws each figure of the supplement and of `perturb` once."""
    saved = Saved.load(HERE / "results" / "scenes")
    cams, embedding = saved.get(Cams), saved.get(PixelEmbedding)
    training, flips = saved.get(Training), saved.get(Flips)
    assert cams and embedding and training and flips
    runs = training.runs
    drawn: dict[str, Any] = {
        "fig1_gradcam": figures.draw_gradcam(cams),
        "fig2_tsne": figures.draw_tsne(embedding),
        "fig3a_rampup": figures.draw_ramp_up(runs[0]),
        "fig3b_miou": figures.draw_miou(runs),
        "teachers": figures.draw_teachers(runs),
        "flips": figures.draw_sweep(flips),
        "transfer": figures.draw_transfer(flips),
        "where": figures.draw_where(flips),
    }
    folder = HERE / "thumbnails"
    folder.mkdir(exist_ok=True)
    for name, artist in drawn.items():
        figures.export_png(figures.figure_of(artist), folder / f"{name}.png", {"exhibit": name}, dpi=DPI)


if __name__ == "__main__":
    main()
