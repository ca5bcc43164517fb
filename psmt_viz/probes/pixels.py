"""A fair sample of correctly predicted pixels with their features before and after the perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.kinds import CLEAN, KINDS
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.probes.equal_shares import equal_shares
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import panels_of, perturbation
from psmt_viz.probes.layers import SIDES, decoded_layer, find_layer
from psmt_viz.probes.reservoir import Smallest
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.strata import distance_to_other
from psmt_viz.progress import progress
from psmt_viz.seeds import derived_seed

_CLASSES = 5
"""Classes on a map, unless they are named."""


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
    """Panel (`clean`, then kinds of perturbation) -> (N,) class ids, the student's."""
    features: dict[str, NDArray[np.float32]]
    """Panel -> (N, C) features."""
    image_ids: tuple[str, ...]
    correct_pixels: dict[str, int]
    """Class -> correctly predicted pixels in the whole split."""
    left_out: dict[str, int]
    """Class that would have been shown but is too rare (see `equal_shares`) -> its correctly predicted pixels."""
    relative_norm: float
    """Mean over images of a perturbation's norm over that of z; alike for all that have norm eps."""


def sample_pixels(
    networks: Networks, data: SegmentationData, settings: TsneSettings, *, device: str = "cpu"
) -> PixelSample:
    """Draws correctly predicted validation pixels, equally many of each class as nearly as can be.

    Which classes, and how many pixels of each, says `equal_shares`: those too rare for an equal share are left out.

    Within a class every correct pixel of the split has the same chance: each gets a random key that depends on the
    seed, the image and its place alone, and the smallest keys win. One pass over the images, and another one where
    classes had to be left out, whose pixels the others get; memory is bounded by the number of pixels asked for, not by
    the data (until the five classes are known, every class keeps its share). A pixel's feature is the layer's map
    sampled bilinearly at the pixel, corners aligned.

    Args:
        networks: A student, with or without teachers; put in eval mode.
        data: The data set; validation images are used.
        settings: n_pixels, classes, eps, panels (see `panels_of`), layer, margin, batch and seed, which decides the
            pixels and the start of each search.
        device: Where the networks are.

    Raises:
        UserError: if fewer than two classes have correct pixels (or the only one named has none), a class or a panel is
            unknown, a panel needs teachers that are not there, or the layer is not one of the network's.
    """
    names, pixels, classes = networks.classes, settings.n_pixels, settings.classes
    for name in classes:
        if name not in names:
            raise UserError(f"classes among {', '.join(names)}", repr(name), "choose some of them")
    if settings.layer not in SIDES:
        find_layer(networks.student, settings.layer)
    shown = panels_of(networks, settings.panels)
    ids = data.ids("val")
    wanted = len(set(classes)) or min(_CLASSES, len(names))
    networks.eval()
    quotas = {name: -(-pixels // wanted) for name in names if not classes or name in classes}
    collector = _collected(networks, data, settings, quotas=quotas, panels=shown, device=device)
    counts = collector.counts
    shares = equal_shares(counts, pixels, wanted=wanted)
    if any(share > quotas[name] for name, share in shares.pixels.items()):
        collector = _collected(networks, data, settings, quotas=shares.pixels, panels=shown, device=device)
    # By id; the classes that were not chosen are forgotten before the others are joined.
    chosen = [(collector.kept[index], shares.pixels[name]) for index, name in enumerate(names) if name in shares.pixels]
    collector.kept.clear()

    def joined(name: str) -> NDArray:
        return np.concatenate([smallest.pop(name)[:share] for smallest, share in chosen])

    return PixelSample(
        image=joined("image"),
        row=joined("row"),
        col=joined("col"),
        label=joined("label"),
        prediction={panel: joined(f"pred_{panel}") for panel in shown},
        features={panel: joined(f"feature_{panel}") for panel in shown},
        image_ids=ids,
        correct_pixels=counts,
        left_out=shares.left_out,
        relative_norm=float(np.mean(collector.norms)),
    )


def _collected(
    networks: Networks,
    data: SegmentationData,
    settings: TsneSettings,
    *,
    quotas: Mapping[str, int],
    panels: Sequence[str],
    device: str,
) -> _Collector:
    """Passes over the images once and keeps up to a quota of pixels of each class."""
    ids, names = data.ids("val"), networks.classes
    kept = {names.index(name): Smallest(quota) for name, quota in quotas.items()}
    collector = _Collector(networks, kept, ids, panels=panels, settings=settings)
    with progress("sample pixels", len(ids)) as advance:
        for images in labeled_images(data, ids, batch=settings.batch, device=device):
            collector.add(images)
            for _ in images.ids:
                advance("")
    return collector


class _Collector:
    """Perturbs images and offers their correct pixels to the classes' samples."""

    def __init__(
        self,
        networks: Networks,
        kept: dict[int, Smallest],
        ids: Sequence[str],
        *,
        panels: Sequence[str],
        settings: TsneSettings,
    ) -> None:
        self._networks, self.kept, self._panels, self._settings = networks, kept, panels, settings
        self._places = {id: place for place, id in enumerate(ids)}
        kinds = panels[1:]
        self._sized = [*kinds, *(kind for kind in kinds if KINDS[kind].keeps_eps)][-1]
        self.norms: list[float] = []
        """Relative norms of a kind that has norm eps, if there is one, image by image."""

    @property
    def counts(self) -> dict[str, int]:
        """Class -> correctly predicted pixels so far."""
        return {self._networks.classes[index]: smallest.seen for index, smallest in self.kept.items()}

    def add(self, images: LabeledImages) -> None:
        """Takes in images of one size."""
        networks, size, how = self._networks, images.size, self._settings
        with torch.no_grad():
            z = {CLEAN: encode_whole(networks, images.images)}
        for kind in self._panels[1:]:
            found = perturbation(networks, kind, z[CLEAN], size, image_id=images.ids, eps=how.eps, seed=how.seed)
            z[kind] = z[CLEAN] + found.delta
            if kind == self._sized:
                self.norms += found.health.relative_norm.tolist()
        with torch.no_grad():
            student = networks.student
            maps = {panel: decoded_layer(student, how.layer, values, size) for panel, values in z.items()}
            predicted = {
                panel: decode_whole(student.decode, values, size, multiple=networks.multiple).max(dim=1).indices
                for panel, values in z.items()
            }
        predictions = {panel: values.cpu().numpy() for panel, values in predicted.items()}
        for index, id in enumerate(images.ids):
            self._offer(
                id,
                images.labels[index].cpu().numpy(),
                {panel: values[index] for panel, values in predictions.items()},
                {panel: values[index : index + 1] for panel, values in maps.items()},
            )

    def _offer(
        self,
        id: str,
        label: NDArray[np.int64],
        predicted: dict[str, NDArray[np.int64]],
        maps: dict[str, Tensor],
    ) -> None:
        keys = np.random.default_rng(derived_seed(self._settings.seed, "pixels", id)).random(label.shape)
        correct = label == predicted[CLEAN]
        if self._settings.margin > 0:
            correct &= distance_to_other(label) >= self._settings.margin
        for index, smallest in self.kept.items():
            rows, cols = np.nonzero(correct & (label == index))
            chosen = smallest.candidates(keys[rows, cols])
            if not len(chosen):
                continue
            rows, cols = rows[chosen], cols[chosen]
            columns: dict[str, NDArray] = {
                "key": keys[rows, cols],
                "image": np.full(len(rows), self._places[id]),
                "row": rows,
                "col": cols,
                "label": np.full(len(rows), index),
            }
            for panel in self._panels:
                columns[f"pred_{panel}"] = predicted[panel][rows, cols]
                columns[f"feature_{panel}"] = features_at(maps[panel], rows, cols, label.shape)
            smallest.add(columns)


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
