"""Class activation maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, whole, write_json
from psmt_viz.results.tables import read_csv, write_csv


@dataclass(frozen=True, kw_only=True)
class Cam:
    """Raw class activation maps of one image."""

    image_id: str
    class_name: str
    """The class whose evidence is mapped."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    truth: NDArray[np.uint8]
    """(H, W) class ids, 255 where none applies."""
    prediction: NDArray[np.uint8]
    """(H, W) class ids, the student's, before any perturbation."""
    clean: NDArray[np.float32]
    """(H, W) map, not normalised; `vat` and `tvat` are in the same unit."""
    vat: NDArray[np.float32]
    tvat: NDArray[np.float32]

    MAPS = ("clean", "vat", "tvat")
    ARRAYS = ("image", "truth", "prediction", *MAPS)


@dataclass(frozen=True, kw_only=True)
class Cams:
    """Class activation maps before and after the perturbations, image by image."""

    cams: tuple[Cam, ...]
    classes: tuple[str, ...]
    table: pd.DataFrame
    """One row an image: image, class, mass_clean, mass_vat, mass_tvat, inside_clean, inside_vat, inside_tvat; mass =
    sum of the map over the pixels, inside = share of the mass on pixels whose truth is the class."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> list[Path]:
        """Writes cams.npz, gradcam.csv and gradcam.json."""
        paths = [folder / "cams.npz", folder / "gradcam.csv", folder / "gradcam.json"]
        arrays = {f"{index}_{name}": getattr(cam, name) for index, cam in enumerate(self.cams) for name in Cam.ARRAYS}
        with whole(paths[0]) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        write_csv(paths[1], self.table)
        facts = {
            "classes": list(self.classes),
            "images": [{"image_id": cam.image_id, "class_name": cam.class_name} for cam in self.cams],
            "parameters": self.parameters,
        }
        write_json(paths[2], facts)
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        facts = read_json(folder / "gradcam.json")
        path = folder / "cams.npz"
        if not path.is_file():
            raise UserError(f"maps in {path}", "nothing there", "run psmt-viz gradcam again")
        with np.load(path, allow_pickle=False) as arrays:
            cams = tuple(
                Cam(**names, **{name: arrays[f"{index}_{name}"] for name in Cam.ARRAYS})
                for index, names in enumerate(facts["images"])
            )
        return cls(
            cams=cams,
            classes=tuple(facts["classes"]),
            table=read_csv(folder / "gradcam.csv"),
            parameters=facts["parameters"],
        )
