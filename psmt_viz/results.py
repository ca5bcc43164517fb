"""The waist of the hourglass: what probes write and figures read.

Every result keeps the parameters that were asked for and those that were used, loads without torch, and is made of
files that open in pandas or NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, whole, write_json
from psmt_viz.metrics import iou, mean_iou, pixel_accuracy

ROLES = ("student", "teacher1", "teacher2", "ensemble")
"""Who can predict, in the order of every table; the ensemble is the mean of the two teachers' logits."""


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table as CSV, whole, with enough digits to read the same floats back."""
    with whole(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


_NAMES = ("role", "truth", "prediction", "kind", "judge", "norm", "class", "image")
"""Columns of names, which stay text even where they look like numbers (`0016`) or like nothing (`NA`)."""


def read_csv(path: Path) -> pd.DataFrame:
    """Reads a table that `write_csv` wrote.

    Raises:
        UserError: if the file is missing or is not a table.
    """
    try:
        return pd.read_csv(path, converters=dict.fromkeys(_NAMES, str))
    except FileNotFoundError:
        raise UserError(f"a table {path}", "nothing there", "check the path") from None
    except OSError as error:
        raise UserError(f"a readable file {path}", (error.strerror or str(error)).lower(), "check the path") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"a CSV table in {path}", str(error), "restore the file or make it again") from None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of each role on one set of images, from one confusion matrix a role."""

    classes: tuple[str, ...]
    confusion: Mapping[str, NDArray[np.int64]]
    """Role -> (K, K) pixel counts, rows = truth, columns = prediction; only the roles that the run has."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Returns one row a role: role, miou, pixel_accuracy, iou_<class>; shares in [0, 1]."""
        rows = []
        for role, matrix in self.confusion.items():
            row: dict[str, Any] = {
                "role": role,
                "miou": mean_iou(matrix),
                "pixel_accuracy": pixel_accuracy(matrix),
            }
            row |= {f"iou_{name}": value for name, value in zip(self.classes, iou(matrix), strict=True)}
            rows.append(row)
        return pd.DataFrame(rows)

    def save(self, folder: Path) -> list[Path]:
        """Writes evaluation.csv, confusion.csv and evaluation.json."""
        cells = [
            {"role": role, "truth": truth, "prediction": prediction, "pixels": int(matrix[i, j])}
            for role, matrix in self.confusion.items()
            for i, truth in enumerate(self.classes)
            for j, prediction in enumerate(self.classes)
        ]
        paths = [folder / "evaluation.csv", folder / "confusion.csv", folder / "evaluation.json"]
        write_csv(paths[0], self.table())
        write_csv(paths[1], pd.DataFrame(cells))
        write_json(paths[2], {"classes": list(self.classes), "parameters": self.parameters})
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        facts = read_json(folder / "evaluation.json")
        classes, cells = tuple(facts["classes"]), read_csv(folder / "confusion.csv")
        size = len(classes)
        confusion = {
            str(role): rows["pixels"].to_numpy(np.int64).reshape(size, size)
            for role, rows in cells.groupby("role", sort=False)
        }
        return cls(classes=classes, confusion=confusion, parameters=facts["parameters"])


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How many correctly predicted pixels each kind of perturbation turns wrong."""

    flips: pd.DataFrame
    """One row a kind and eps: kind, judge, norm, eps, relative_norm, flip_rate, flip_rate_low, flip_rate_high, kl,
    kl_per_pixel, miou, images, correct_pixels, flipped_pixels."""
    by_class: pd.DataFrame
    """One row a kind, eps and class: kind, judge, eps, class, correct_pixels, flipped_pixels, flip_rate."""
    health: dict[str, Any]
    """Kind -> eps -> summary of the health of its perturbations."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> list[Path]:
        """Writes flips.csv, flips_by_class.csv and health.json."""
        paths = [folder / "flips.csv", folder / "flips_by_class.csv", folder / "health.json"]
        write_csv(paths[0], self.flips)
        write_csv(paths[1], self.by_class)
        write_json(paths[2], {"health": self.health, "parameters": self.parameters})
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        facts = read_json(folder / "health.json")
        return cls(
            flips=read_csv(folder / "flips.csv"),
            by_class=read_csv(folder / "flips_by_class.csv"),
            health=facts["health"],
            parameters=facts["parameters"],
        )


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


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a run measured after each epoch."""

    name: str
    """The run's name."""
    metrics: pd.DataFrame
    """metrics.csv: epoch, step, learning_rate, unsup_weight, loss_sup, loss_unsup, confident_fraction, miou_<role>,
    pixel_accuracy_ensemble. A column is empty where the run has no teachers."""
    ramp: dict[str, Any]
    """kind, length (steps), final_weight and total_steps of the unsupervised weight; empty for supervised runs."""


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """One step's images and labels, as the networks saw them."""

    classes: tuple[str, ...]
    columns: Mapping[str, NDArray[np.uint8]]
    """Title -> (N, H, W, 3) images or (N, H, W) class ids (255 = none), in the order in which they are drawn."""
    confidence: NDArray[np.float32] | None = None
    """(N, H, W) highest softmax probability of the ensemble, where there is one."""
