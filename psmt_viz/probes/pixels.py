"""A fair sample of correctly predicted pixels with their features before and after the perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import perturb
from psmt_viz.progress import progress
from psmt_viz.results import PixelEmbedding
from psmt_viz.seeds import derived_seed

Layer = Literal["z", "decoder", "logits"]
PANELS = PixelEmbedding.PANELS


@dataclass(frozen=True, kw_only=True)
class PixelSample:
    """Pixels of a few classes, all predicted correctly before any perturbation."""

    image: NDArray[np.int64]
    """(N,) index into `image_ids`."""
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    label: NDArray[np.int64]
    """(N,) class ids."""
    prediction: dict[str, NDArray[np.int64]]
    """Panel (`clean`, `vat`, `tvat`) -> (N,) class ids, the student's."""
    features: dict[str, NDArray[np.float32]]
    """Panel -> (N, C) features."""
    image_ids: tuple[str, ...]
    correct_pixels: dict[str, int]
    """Class -> correctly predicted pixels in the whole split."""
    relative_norm: float
    """Mean over images of the perturbations' norm over that of z; alike for both, since both have norm eps."""


def sample_pixels(
    bundle: PSMT,
    data: SegmentationData,
    *,
    pixels: int,
    classes: Sequence[str] = (),
    eps: float = 2.0,
    layer: Layer = "z",
    seed: int = 0,
    device: str = "cpu",
) -> PixelSample:
    """Draws correctly predicted validation pixels, equally many of each class.

    Within a class every correct pixel of the split has the same chance: each gets a random key that depends on the
    seed, the image and its place alone, and the smallest keys win. One pass; memory is bounded by the number of pixels
    asked for, not by the data. A pixel's feature is the layer's map sampled bilinearly at the pixel, corners aligned.

    Args:
        bundle: Networks with teachers; put in eval mode.
        data: The data set; validation images are used.
        pixels: How many in all; a multiple of the number of classes.
        classes: Names of the classes; left out, the five with most correct pixels.
        eps: Norm of the perturbations.
        layer: Whose features: `z`, the `decoder`'s output before the classifier, or the `logits`.
        seed: Decides the pixels and the start of each search.
        device: Where the networks are.

    Raises:
        UserError: if there are too few correct pixels or classes, or a class is unknown.
    """
    names = bundle.classes
    for name in classes:
        if name not in names:
            raise UserError(f"classes among {', '.join(names)}", repr(name), "choose some of them")
    wanted = len(classes) or 5
    if pixels < wanted or pixels % wanted:
        raise UserError(f"--n-pixels a multiple of {wanted}", f"{pixels}", f"give {max(1, pixels // wanted) * wanted}")
    ids = data.ids("val")
    quota = pixels // wanted
    kept = {index: _Smallest(quota) for index in range(len(names)) if not classes or names[index] in classes}
    collector = _Collector(bundle, kept, eps=eps, layer=layer, seed=seed)
    bundle.eval()
    with progress("sample pixels", len(ids)) as advance:
        for place, image in enumerate(labeled_images(data, ids, batch=1, device=device)):
            collector.add(image, place)
            advance("")
    counts = {names[index]: smallest.seen for index, smallest in kept.items()}
    chosen = _choose(counts, wanted, quota, names)
    columns = [kept[index].columns() for index in chosen]
    joined = {key: np.concatenate([column[key] for column in columns]) for key in columns[0]}
    return PixelSample(
        image=joined["image"],
        row=joined["row"],
        col=joined["col"],
        label=joined["label"],
        prediction={panel: joined[f"pred_{panel}"] for panel in PANELS},
        features={panel: joined[f"feature_{panel}"] for panel in PANELS},
        image_ids=ids,
        correct_pixels=counts,
        relative_norm=float(np.mean(collector.norms)),
    )


class _Smallest:
    """Keeps the rows with the smallest keys."""

    def __init__(self, quota: int) -> None:
        self._quota, self._rows = quota, dict[str, NDArray]()
        self.seen = 0

    def candidates(self, keys: NDArray[np.float64]) -> NDArray[np.int64]:
        """Returns the positions of those keys that could stay, and counts all of them as seen."""
        self.seen += len(keys)
        full = len(self._rows.get("key", ())) == self._quota
        below = np.flatnonzero(keys < self._rows["key"].max()) if full else np.arange(len(keys))
        return below[np.argsort(keys[below], kind="stable")[: self._quota]]

    def add(self, rows: dict[str, NDArray]) -> None:
        """Merges rows, given by column; `key` is one of the columns."""
        merged = {name: np.concatenate([self._rows[name], rows[name]]) for name in rows} if self._rows else rows
        best = np.argsort(merged["key"], kind="stable")[: self._quota]
        self._rows = {name: column[best] for name, column in merged.items()}

    def columns(self) -> dict[str, NDArray]:
        """Returns the rows kept, by column."""
        return self._rows


class _Collector:
    """Perturbs images one by one and offers their correct pixels to the classes' samples."""

    def __init__(self, bundle: PSMT, kept: dict[int, _Smallest], *, eps: float, layer: Layer, seed: int) -> None:
        self._bundle, self._kept, self._eps, self._layer, self._seed = bundle, kept, eps, layer, seed
        self.norms: list[float] = []

    def add(self, image: LabeledImages, place: int) -> None:
        """Takes in one image, the place-th of the split."""
        student, id = self._bundle.student, image.ids[0]
        with torch.no_grad():
            z = {"clean": encode_whole(student, image.images)}
        for kind in ("vat", "tvat"):
            found = perturb(self._bundle, kind, z["clean"], image.size, image_id=id, eps=self._eps, seed=self._seed)
            z[kind] = z["clean"] + found.delta
        self.norms.append(float(found.health.relative_norm))
        with torch.no_grad():
            maps = {panel: _layer(self._bundle, self._layer, values) for panel, values in z.items()}
            predicted = {
                panel: decode_whole(student.decode, values, image.size)[0].argmax(dim=0).cpu().numpy()
                for panel, values in z.items()
            }
        label = image.labels[0].cpu().numpy()
        keys = np.random.default_rng(derived_seed(self._seed, "pixels", id)).random(label.shape)
        for index, smallest in self._kept.items():
            rows, cols = np.nonzero((label == index) & (predicted["clean"] == index))
            chosen = smallest.candidates(keys[rows, cols])
            if not len(chosen):
                continue
            rows, cols = rows[chosen], cols[chosen]
            columns: dict[str, NDArray] = {
                "key": keys[rows, cols],
                "image": np.full(len(rows), place),
                "row": rows,
                "col": cols,
                "label": np.full(len(rows), index),
            }
            for panel in PANELS:
                columns[f"pred_{panel}"] = predicted[panel][rows, cols]
                columns[f"feature_{panel}"] = features_at(maps[panel], rows, cols, image.size)
            smallest.add(columns)


def _layer(bundle: PSMT, layer: Layer, z: Tensor) -> Tensor:
    if layer == "z":
        return z
    decoded = bundle.student.decoder(z)
    return decoded if layer == "decoder" else bundle.student.classifier(decoded)


def features_at(
    values: Tensor, rows: NDArray[np.int64], cols: NDArray[np.int64], size: Sequence[int]
) -> NDArray[np.float32]:
    """Samples a map bilinearly at pixels of the image, corners aligned.

    Args:
        values: (1, C, h, w) map.
        rows: (N,) rows in the image.
        cols: (N,) columns in the image.
        size: Height and width of the image.

    Returns:
        (N, C) float32.
    """
    height, width = (max(1, length - 1) for length in size)
    grid = torch.from_numpy(np.stack([2 * cols / width - 1, 2 * rows / height - 1], axis=-1)).to(values)
    sampled = F.grid_sample(values, grid[None, :, None], mode="bilinear", align_corners=True)
    return sampled[0, :, :, 0].T.contiguous().cpu().numpy()


def _choose(counts: dict[str, int], wanted: int, quota: int, names: Sequence[str]) -> list[int]:
    found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if sum(count > 0 for count in counts.values()) < wanted:
        fix = "train the run for longer, or name fewer --classes"
        raise UserError(f"{wanted} classes with correctly predicted pixels", found, fix)
    ranked = sorted(counts, key=lambda name: counts[name], reverse=True)[:wanted]
    least = counts[ranked[-1]]
    if least < quota:
        fix = f"give --n-pixels {wanted * least} or less"
        raise UserError(f"{quota:,} correctly predicted pixels in each of {wanted} classes", found, fix)
    return sorted(names.index(name) for name in ranked)
