"""One image under every kind of perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, read_json, write_json


@dataclass(frozen=True, kw_only=True)
class CloseUp:
    """One image, what is predicted for it, and what each kind of perturbation changes."""

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
    parameters: dict[str, Any] = field(default_factory=dict)
    """eps, norm, judge, relative_norm and what else was asked and used."""

    FACTS: ClassVar = "closeup.json"
    """The file whose presence says that a folder holds this result."""

    def flipped(self, kind: str) -> NDArray[np.bool_]:
        """Returns (H, W) truth values: was the pixel right before this kind of perturbation and is it wrong now?"""
        return (self.prediction == self.truth) & (self.moved[kind] != self.truth)

    def save(self, folder: Path) -> list[Path]:
        """Writes closeup.npz and closeup.json."""
        paths = [folder / "closeup.npz", folder / self.FACTS]
        arrays: dict[str, NDArray[Any]] = {
            "image": self.image,
            "truth": self.truth,
            "prediction": self.prediction,
        }
        arrays |= {f"moved_{kind}": values for kind, values in self.moved.items()}
        arrays |= {f"magnitude_{kind}": values for kind, values in self.magnitude.items()}
        with atomic_write(paths[0]) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        facts = {"image_id": self.image_id, "classes": list(self.classes), "kinds": list(self.moved)}
        write_json(paths[1], {**facts, "parameters": self.parameters})
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        facts = read_json(folder / cls.FACTS)
        path = folder / "closeup.npz"
        if not path.is_file():
            raise UserError(f"arrays in {path}", "nothing there", "run psmt-viz perturb with --closeup again")
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                image_id=facts["image_id"],
                classes=tuple(facts["classes"]),
                **{name: arrays[name] for name in ("image", "truth", "prediction")},
                moved={kind: arrays[f"moved_{kind}"] for kind in facts["kinds"]},
                magnitude={kind: arrays[f"magnitude_{kind}"] for kind in facts["kinds"]},
                parameters=facts["parameters"],
            )
