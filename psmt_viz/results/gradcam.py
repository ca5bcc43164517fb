"""Class activation maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.kinds import CLEAN
from psmt_viz.results.result import Result
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
    maps: Mapping[str, NDArray[np.float32]]
    """Panel -> (H, W) map, not normalised, all in one unit. The first panel is `clean`, the others are kinds of
    perturbation."""

    IMAGES: ClassVar = ("image", "truth", "prediction")

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, as cams.npz has them."""
        return {name: getattr(self, name) for name in self.IMAGES} | dict(self.maps)

    def change(self, panel: str) -> NDArray[np.float32]:
        """Returns (H, W) how much a map is higher than the one before the perturbation."""
        return self.maps[panel] - self.maps[CLEAN]


@dataclass(frozen=True, kw_only=True)
class Cams(Result):
    """Class activation maps before and after the perturbations, image by image.

    `asked` holds cam_method, layer, eps, images, target_class and seed; `used` faithfulness_shares and the rule that
    chooses images; `measured` relative_norm (of the perturbation to z, mean over the images).
    """

    cams: tuple[Cam, ...]
    classes: tuple[str, ...]
    table: pd.DataFrame
    """One row per image: image, class, and for each panel (`mass_clean`, `mass_vat`, ...):

    - mass: sum of the map over the pixels;
    - inside: share of the mass on pixels whose truth is the class;
    - faithfulness: does the network need what the map points at? 1 at best, about 0 for a map that says nothing, below
      0 for a misleading one;

    and for each perturbation:

    - change: of the mass, as a share of the mass before the perturbation;
    - moved: sum over the pixels of the absolute change, as a share of the mass before; at least |change|, and more
      where the map went up in one place and down in another.

    What has no value, because a map is 0 everywhere, is NaN."""

    NAME: ClassVar = "gradcam"
    COMMAND: ClassVar = "gradcam"
    TITLE: ClassVar = "Grad-CAM"
    FACTS: ClassVar = "gradcam.json"

    @property
    def perturbations(self) -> tuple[str, ...]:
        """The kinds of perturbation that there are maps of, in the order in which they are drawn."""
        return tuple(self.cams[0].maps)[1:] if self.cams else ()

    def save(self, folder: Path) -> list[Path]:
        """Writes cams.npz, gradcam.csv and gradcam.json."""
        paths = [folder / "cams.npz", folder / "gradcam.csv"]
        arrays = {
            f"{index}_{name}": values for index, cam in enumerate(self.cams) for name, values in cam.arrays.items()
        }
        with atomic_write(paths[0]) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        write_csv(paths[1], self.table)
        images = [{"image_id": cam.image_id, "class_name": cam.class_name} for cam in self.cams]
        return [*paths, self._write_facts(folder, classes=list(self.classes), images=images)]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (facts, parts):
            path = folder / "cams.npz"
            if not path.is_file():
                raise UserError(f"maps in {path}", "nothing there", f"run psmt-viz {cls.COMMAND} again")
            with np.load(path, allow_pickle=False) as arrays:
                cams = tuple(
                    Cam(
                        **names,
                        **{name: arrays[f"{index}_{name}"] for name in Cam.IMAGES},
                        maps={name: arrays[f"{index}_{name}"] for name in _panels(arrays, index)},
                    )
                    for index, names in enumerate(facts["images"])
                )
            return cls(cams=cams, classes=tuple(facts["classes"]), table=read_csv(folder / "gradcam.csv"), **parts)


def _panels(names: Iterable[str], index: int) -> list[str]:
    """Returns the panels of which an image has maps, by the names in cams.npz."""
    own = [name.removeprefix(f"{index}_") for name in names if name.startswith(f"{index}_")]
    return [name for name in own if name not in Cam.IMAGES]
