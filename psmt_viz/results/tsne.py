"""Pixels on a t-SNE map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.results.result import Result


@dataclass(frozen=True, kw_only=True)
class PixelEmbedding(Result):
    """Correctly predicted pixels on a t-SNE map, before and after the perturbations.

    `asked` holds the settings; `used` the classes shown, perplexity, pca_dimensions, neighbors and iterations;
    `measured` relative_norm, flips per panel and by both, correct_pixels of each class, trustworthiness, knn_recall,
    median_move, placement_error and unsettled.
    """

    pixels: pd.DataFrame
    """One row per pixel: image, row, col, label; pred_<panel> of every panel; x_<panel> and y_<panel>, which have no
    unit. Labels and predictions are class ids. The first panel is `clean`, the others are kinds of perturbation."""
    classes: tuple[str, ...]
    """All class names of the data set; `pixels.label` indexes them."""
    images: pd.DataFrame
    """The images that the pixels come from, so that a page can show where each lies: image, height, width (of the
    original, in pixels), jpeg (bytes of a picture that may be smaller)."""

    NAME: ClassVar = "tsne"
    COMMAND: ClassVar = "tsne"
    TITLE: ClassVar = "t-SNE"
    FACTS: ClassVar = "tsne.json"
    DRAWING: ClassVar = ("arrows",)

    @property
    def panels(self) -> tuple[str, ...]:
        """`clean` and the kinds of perturbation, in the order in which they are drawn."""
        return tuple(name.removeprefix("pred_") for name in map(str, self.pixels) if name.startswith("pred_"))

    @property
    def perturbations(self) -> tuple[str, ...]:
        """The panels but `clean`."""
        return self.panels[1:]

    def flipped(self, panel: str) -> NDArray[np.bool_]:
        """Returns (N,) truth values: is the pixel's prediction wrong in this panel?"""
        return (self.pixels[f"pred_{panel}"] != self.pixels["label"]).to_numpy()

    def flipped_by(self) -> dict[str, NDArray[np.bool_]]:
        """Returns which pixels every perturbation turns wrong and which one alone does, as `overlap` names them."""
        return overlap({panel: self.flipped(panel) for panel in self.perturbations})

    def save(self, folder: Path) -> list[Path]:
        """Writes pixels.parquet, pixel_images.parquet and tsne.json."""
        paths = [folder / "pixels.parquet", folder / "pixel_images.parquet"]
        for path, table in zip(paths, (self.pixels, self.images), strict=True):
            with atomic_write(path) as temporary:
                table.to_parquet(temporary, index=False)
        return [*paths, self._write_facts(folder, classes=list(self.classes))]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (facts, parts):
            pixels, images = (_table(folder / name) for name in ("pixels.parquet", "pixel_images.parquet"))
            return cls(pixels=pixels, images=images, classes=tuple(facts["classes"]), **parts)


BOTH, ALL, SEVERAL = "both", "all", "several"
"""Names of what two perturbations, all of any other number, or several but not all have in common."""


def alone(panel: str) -> str:
    """Returns the name of what one perturbation alone flips."""
    return f"{panel}_alone"


def overlap(wrong: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """Splits flips into those that all perturbations have in common, those of one alone and the others.

    Args:
        wrong: Perturbation -> (N,) is the pixel's prediction wrong with it?

    Returns:
        (N,) each, no pixel in two of them. Of two perturbations: `both`, and `<panel>_alone` for each. Of one: `all`.
        Of more: `all`, `<panel>_alone` for each, and `several` for those of more than one but not all.
    """
    times = np.sum(list(wrong.values()), axis=0)
    if len(wrong) == 1:
        return {ALL: times == 1}
    found = {BOTH if len(wrong) == 2 else ALL: times == len(wrong)}
    found |= {alone(panel): flipped & (times == 1) for panel, flipped in wrong.items()}
    return found if len(wrong) == 2 else found | {SEVERAL: (times > 1) & (times < len(wrong))}


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"a table {path}", "nothing there", "run psmt-viz tsne again")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"a Parquet table in {path}", str(error), "run psmt-viz tsne again") from None
