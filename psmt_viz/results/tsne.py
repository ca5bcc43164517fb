"""Pixels on a t-SNE map."""

from __future__ import annotations

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

    `asked` holds the settings; `used` the classes shown, perplexity, pca_dimensions and iterations; `measured`
    relative_norm, flips per panel and by both, correct_pixels of each class, trustworthiness, knn_recall, median_move
    and placement_error.
    """

    pixels: pd.DataFrame
    """One row per pixel: image, row, col, label, pred_clean, pred_vat, pred_tvat, x_clean, y_clean, x_vat, y_vat,
    x_tvat, y_tvat; labels and predictions are class ids, coordinates have no unit."""
    classes: tuple[str, ...]
    """All class names of the data set; `pixels.label` indexes them."""
    images: pd.DataFrame
    """The images that the pixels come from, so that a page can show where each lies: image, height, width (of the
    original, in pixels), jpeg (bytes of a picture that may be smaller)."""

    PANELS = ("clean", "vat", "tvat")
    NAME: ClassVar = "tsne"
    COMMAND: ClassVar = "tsne"
    TITLE: ClassVar = "t-SNE"
    FACTS: ClassVar = "tsne.json"
    DRAWING: ClassVar = ("arrows",)

    def flipped(self, panel: str) -> NDArray[np.bool_]:
        """Returns (N,) truth values: is the pixel's prediction wrong in this panel (`clean`, `vat` or `tvat`)?"""
        return (self.pixels[f"pred_{panel}"] != self.pixels["label"]).to_numpy()

    def flipped_by(self) -> dict[str, NDArray[np.bool_]]:
        """Returns which pixels both perturbations turn wrong and which one alone does, as `overlap` names them."""
        return overlap(self.flipped("vat"), self.flipped("tvat"))

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


def overlap(vat: NDArray[np.bool_], tvat: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Splits flips into those that both perturbations have in common and those of one alone.

    Args:
        vat: (N,) is the pixel's prediction wrong with VAT?
        tvat: (N,) the same with T-VAT.

    Returns:
        `both`, `vat_alone` and `tvat_alone`, (N,) each; no pixel is in two of them.
    """
    return {"both": vat & tvat, "vat_alone": vat & ~tvat, "tvat_alone": tvat & ~vat}


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"a table {path}", "nothing there", "run psmt-viz tsne again")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"a Parquet table in {path}", str(error), "run psmt-viz tsne again") from None
