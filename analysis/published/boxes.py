"""Sizes, places and partners of CutMix' boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from psmt_viz.presets import configure
from psmt_viz.train.cutmix import draw_mix
from published.distributions import compare_shares, compare_values
from published.document import Node
from published.inputs import generator
from published.report import Report

BATCHES = 20_000
_FINE = 1 << 40
"""Side of an image so large that a box in it shows its share of the side."""
_UNIONS = 20_000
"""Images at most whose boxes are laid on a grid."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Boxes of many batches."""

    corners: NDArray[np.int64]
    """(batches, boxes, images, 4) top, left, bottom, right."""
    partners: NDArray[np.int64]
    """(batches, boxes, images)."""
    share: Numbers
    """(batches,) the one box's side over the image's."""

    @property
    def sides(self) -> NDArray[np.int64]:
        """(batches, boxes, images, 2) height and width."""
        return self.corners[..., 2:] - self.corners[..., :2]


def draw_boxes(kind: Literal["one", "three"], batch: int, crop: int) -> Drawn:
    """Draws the boxes of `BATCHES` batches, as training does but for the seeds."""
    size, places, partners = (generator(seed) for seed in range(3))
    corners, chosen, share = [], [], []
    for _ in range(BATCHES):
        state = size.get_state()
        mix = draw_mix(kind, batch, crop, crop, size=size, places=[places] * batch, partners=partners)
        corners.append(torch.stack([box.corners for box in mix.boxes]).numpy())
        chosen.append(torch.stack([box.partner for box in mix.boxes]).numpy())
        if kind == "one":
            share.append(_share_of_side(state))
    return Drawn(corners=np.stack(corners), partners=np.stack(chosen), share=np.array(share))


def _share_of_side(state: torch.Tensor) -> float:
    """The share of the side that the same draw gives to a box that no border cuts."""
    again, place, widest = torch.Generator(), generator(3), 0
    for images in (8, 64, 512):
        again.set_state(state)
        mix = draw_mix("one", images, _FINE, _FINE, size=again, places=[place] * images, partners=generator(4))
        corners = mix.boxes[0].corners
        whole = (corners[:, :2] > 0) & (corners[:, 2:] < _FINE)
        widest = int((corners[:, 2:] - corners[:, :2]).max())
        if whole.any():
            break
    return min(1.0, widest / _FINE)


def check_boxes(document: Node, report: Report) -> None:
    """Compares distributions of both presets' boxes with a file's."""
    voc, cityscapes = document.get("cutmix_voc"), document.get("cutmix_cityscapes")
    for preset, stated in (("voc", voc), ("cityscapes", cityscapes)):
        if stated is None:
            continue
        crop, batch = stated["crop"].integer(16, 8192), stated["batch"].integer(1, 256)
        kind = configure(preset, {"data": "none"}, recipe="official-code").flat()["cutmix"]
        if kind not in ("one", "three"):
            report.judge(f"{preset} boxes: kinds other than stated", 1, 0, kind)
        elif preset == "voc":
            _compare_one(report, draw_boxes(kind, batch, crop), crop, batch, stated)
        else:
            _compare_three(report, draw_boxes(kind, batch, crop), crop, batch, stated)


def _compare_one(report: Report, drawn: Drawn, crop: int, batch: int, stated: Node) -> None:
    count = drawn.corners.shape[1] - 1
    report.judge("voc boxes: boxes an image more or fewer", abs(count), 0)
    if count:
        return
    sides, corners = drawn.sides[:, 0], drawn.corners[:, 0]
    side = np.floor(crop * drawn.share + 1e-6)
    compare_values(report, "voc boxes: lambda", 1 - drawn.share**2, stated["lambda"])
    compare_values(report, "voc boxes: side", side / crop, stated["side_over_crop"])
    compare_values(report, "voc boxes: area before clipping", (side / crop) ** 2, stated["area_before_clipping"])
    area, means = sides.prod(axis=-1) / crop**2, stated["pasted_area_batch_mean"]
    piece = "voc boxes: pasted area"
    # Images of a batch share the size, so that their mean is as sure as that of the batches alone.
    each = stated["pasted_area_per_image"]
    compare_values(report, f"{piece} of an image", area.ravel(), each, batch=batch, batch_means=means)
    compare_values(report, f"{piece} of a batch", area.mean(axis=1), means)
    half = (side // 2)[:, None, None]
    centre = np.where(corners[..., :2] > 0, corners[..., :2] + half, corners[..., 2:] - half)
    for axis, name in enumerate(("row", "column")):
        summary = stated[f"centre_{name}_over_crop"]
        compare_values(report, f"voc boxes: centre {name}", centre[..., axis].ravel() / crop, summary)
    ends = zip((centre.min() / crop, centre.max() / crop), stated["smallest_and_largest_centre"].numbers(), strict=True)
    off = [(name, abs(a - b)) for name, (a, b) in zip(("smallest", "largest"), ends, strict=True)]
    # Few draws need not meet the ends of the range; all of 10 expected ones miss an end once in 22,000 times.
    missed = 10 * (crop - crop // 8) // stated["centre_row_over_crop"]["n"].integer(1)
    report.worst("voc boxes: smallest and largest centre", off, missed / crop)
    cut = ((centre - half < 0) | (centre + half > crop)).any(axis=-1)
    others = stated["lambda"]["n"].integer(1)
    alike = (corners == corners[:, :1]).all(axis=(1, 2)) if batch > 1 else np.zeros(1, bool)
    shares = {
        "clipped": (float(cut.mean()), stated["clipped_share_of_images"]),
        "one place for all": (float(alike.mean()), stated["batches_with_one_place_for_all"]),
    }
    compare_shares(report, "voc boxes: shares of batches", shares, BATCHES, others)
    own = drawn.partners[:, 0] == np.arange(batch)
    partner = {"own partner": (float(own.mean()), stated["share_of_images_that_are_their_own_partner"])}
    compare_shares(report, "voc boxes: own partners", partner, BATCHES * batch, others * batch)
    permutation = np.sort(drawn.partners[:, 0], axis=1) == np.arange(batch)
    report.judge("voc boxes: batches whose partners are no permutation", float((~permutation.all(axis=1)).sum()), 0)


def _compare_three(report: Report, drawn: Drawn, crop: int, batch: int, stated: Node) -> None:
    piece, count = "cityscapes boxes", stated["boxes_per_image"].integer(1, 16)
    report.judge(f"{piece}: boxes an image more or fewer", abs(drawn.corners.shape[1] - count), 0)
    if drawn.corners.shape[1] != count:
        return
    sides = drawn.sides.astype(np.float64)
    area = sides.prod(axis=-1) / crop**2
    compare_values(report, f"{piece}: height", sides[..., 0].ravel() / crop, stated["box_height_over_crop"])
    compare_values(report, f"{piece}: width", sides[..., 1].ravel() / crop, stated["box_width_over_crop"])
    compare_values(report, f"{piece}: area", area.ravel(), stated["box_area"])
    compare_values(report, f"{piece}: sum of the areas", area.sum(axis=1).ravel(), stated["sum_of_three_areas"])
    union = stated["union_of_three_(100x100_grid)"]
    covered = _union(drawn.corners[: min(union["n"].integer(1), _UNIONS) // batch + 1], crop)
    compare_values(report, f"{piece}: area of their union", covered, union)
    ratio = sides.max(axis=-1) / sides.min(axis=-1).clip(min=1)
    compare_values(report, f"{piece}: long over short side", ratio.ravel(), stated["long_over_short_side"])
    room = crop - sides
    for axis, name in enumerate(("top", "left")):
        free = room[..., axis] > 0
        place = drawn.corners[..., axis][free] / room[..., axis][free]
        compare_values(report, f"{piece}: {name} over the room", place, stated[f"{name}_over_free_room"])
    inside = ((drawn.corners >= 0) & (drawn.corners <= crop)).all(axis=(1, 2, 3))
    others = stated["box_area"]["n"].integer(1)
    whole = {"wholly inside": (float(inside.mean()), stated["batches_fully_inside"])}
    compare_shares(report, f"{piece}: batches inside", whole, BATCHES, max(1, others // (count * batch)))
    own = {"own": (float((drawn.partners == np.arange(batch)).mean()), stated["share_of_own_partner"])}
    compare_shares(report, f"{piece}: own partners", own, drawn.partners.size, others)
    if count > 1:
        same = float((drawn.partners[:, 0] == drawn.partners[:, 1]).mean())
        pair = {"same": (same, stated["share_where_boxes_1_and_2_have_the_same_partner"])}
        compare_shares(report, f"{piece}: same partner of two", pair, BATCHES * batch, max(1, others // count))


def _union(corners: NDArray[np.int64], crop: int) -> Numbers:
    """The share of each image that its boxes cover, on a grid of 100 x 100."""
    middles = (np.arange(100) + 0.5) / 100 * crop
    found = []
    for boxes in corners:  # (boxes, images, 4)
        top, left, bottom, right = (boxes[..., side, None] for side in range(4))
        rows = (middles >= top) & (middles < bottom)
        columns = (middles >= left) & (middles < right)
        found.append((rows[..., :, None] & columns[..., None, :]).any(axis=0).mean(axis=(1, 2)))
    return np.concatenate(found)
