"""One image under every kind of perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.results.result import Result


@dataclass(frozen=True, kw_only=True)
class CloseUp(Result):
    """One image, what is predicted for it, and what each kind of perturbation changes.

    `asked` holds eps, norm, judge and how perturbations are found; `measured` the perturbations' relative_norm (to z,
    median over the kinds) and relative_norm_by_kind.
    """

    image_id: str
    classes: tuple[str, ...]
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    truth: NDArray[np.uint8]
    """(H, W) class ids, 255 where none applies."""
    prediction: NDArray[np.uint8]
    """(H, W) class ids, the judge's, from the unperturbed features."""
    moved: Mapping[str, NDArray[np.uint8]]
    """Kind -> (H, W) class ids, the judge's, from the perturbed features."""
    magnitude: Mapping[str, NDArray[np.float32]]
    """Kind -> (h, w) norm of the perturbation's feature vector at each place of the feature map; the norm over all
    places is eps where norm is `image`."""

    NAME: ClassVar = "closeup"
    COMMAND: ClassVar = "perturb --closeup"
    TITLE: ClassVar = "close-up"
    FACTS: ClassVar = "closeup.json"

    def flipped(self, kind: str) -> NDArray[np.bool_]:
        """Returns (H, W) truth values: was the pixel right before this kind of perturbation and is it wrong now?"""
        return (self.prediction == self.truth) & (self.moved[kind] != self.truth)

    def provenance(self) -> dict[str, Any]:
        """Returns the image's id and the four parts of the facts."""
        return {"image": self.image_id, **super().provenance()}

    def save(self, folder: Path) -> list[Path]:
        """Writes closeup.npz and closeup.json."""
        path = folder / "closeup.npz"
        arrays: dict[str, NDArray[Any]] = {
            "image": self.image,
            "truth": self.truth,
            "prediction": self.prediction,
        }
        arrays |= {f"moved_{kind}": values for kind, values in self.moved.items()}
        arrays |= {f"magnitude_{kind}": values for kind, values in self.magnitude.items()}
        with atomic_write(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        names = {"image_id": self.image_id, "classes": list(self.classes), "kinds": list(self.moved)}
        return [path, self._write_facts(folder, **names)]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (facts, parts):
            path = folder / "closeup.npz"
            if not path.is_file():
                raise UserError(f"arrays in {path}", "nothing there", f"run psmt-viz {cls.COMMAND} again")
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    image_id=facts["image_id"],
                    classes=tuple(facts["classes"]),
                    **{name: arrays[name] for name in ("image", "truth", "prediction")},
                    moved={kind: arrays[f"moved_{kind}"] for kind in facts["kinds"]},
                    magnitude={kind: arrays[f"magnitude_{kind}"] for kind in facts["kinds"]},
                    **parts,
                )
