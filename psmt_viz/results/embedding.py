"""Pixels on a t-SNE map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, whole, write_json


@dataclass(frozen=True, kw_only=True)
class PixelEmbedding:
    """Correctly predicted pixels on a t-SNE map, before and after the perturbations."""

    pixels: pd.DataFrame
    """One row a pixel: image, row, col, label, pred_clean, pred_vat, pred_tvat, x_clean, y_clean, x_vat, y_vat,
    x_tvat, y_tvat; labels and predictions are class ids, coordinates have no unit."""
    classes: tuple[str, ...]
    """All class names of the data set; `pixels.label` indexes them."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What was asked and used, with flips per panel and trustworthiness (see tsne.json)."""

    PANELS = ("clean", "vat", "tvat")

    def flipped(self, panel: str) -> NDArray[np.bool_]:
        """Returns (N,) truth values: is the pixel's prediction wrong in this panel (`clean`, `vat` or `tvat`)?"""
        return (self.pixels[f"pred_{panel}"] != self.pixels["label"]).to_numpy()

    def save(self, folder: Path) -> list[Path]:
        """Writes pixels.parquet and tsne.json."""
        paths = [folder / "pixels.parquet", folder / "tsne.json"]
        with whole(paths[0]) as temporary:
            self.pixels.to_parquet(temporary, index=False)
        write_json(paths[1], {"classes": list(self.classes), "parameters": self.parameters})
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        facts = read_json(folder / "tsne.json")
        path = folder / "pixels.parquet"
        if not path.is_file():
            raise UserError(f"a table {path}", "nothing there", "run psmt-viz tsne again")
        return cls(pixels=pd.read_parquet(path), classes=tuple(facts["classes"]), parameters=facts["parameters"])
