"""Validation of whole images of any size, as the authors' Pascal VOC code does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.data.dataset import Split
from psmt_viz.metrics import IGNORE, iou, mean_iou, pixel_accuracy
from psmt_viz.models.inference import as_images, padded_size
from psmt_viz.models.networks import Networks
from psmt_viz.probes.evaluate import confusion, evaluate, whole_logits
from published.document import Node
from published.inputs import generator, sha256, spread, unit
from published.report import Report, relative
from published.weights import WeightRule, filled, imported

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_MULTIPLE = 8
"""Of which the authors' code makes the sides of an image."""
_LOGITS, _MARGIN, _MEAN_IOU = 1e-10, 1e-4, 1e-4


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The images of a file as a data set of which all are for validation."""

    classes: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    labels: tuple[NDArray[np.uint8], ...]
    name = "stated pictures"

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the images' numbers."""
        return tuple(str(index) for index in range(len(self.images)))

    def split(self, name: str) -> Split:
        """Returns a split without images."""
        return Split((), ())

    def image(self, id: str) -> NDArray[np.uint8]:
        """Returns an image (H, W, 3)."""
        return self.images[int(id)]

    def label(self, id: str) -> NDArray[np.uint8]:
        """Returns a label map (H, W)."""
        return self.labels[int(id)]

    def fingerprint(self) -> dict[str, int]:
        """Returns the number of images."""
        return {"images": len(self.images)}


def picture_of_size(seed: int, size: tuple[int, int], classes: int) -> tuple[Tensor, Tensor]:
    """Returns a picture (3, H, W) and its label map (H, W), both uint8; the last class never occurs."""
    height, width = size
    blocks = (math.ceil(height / 8), math.ceil(width / 8))
    coarse = spread(torch.randint(0, 256, (1, 3, *blocks), generator=generator(seed)), 8)[..., :height, :width]
    fine = torch.randint(-24, 25, (1, 3, height, width), generator=generator(seed + 1))
    large = (math.ceil(height / 16), math.ceil(width / 16))
    label = torch.randint(0, classes - 1, (1, *large), generator=generator(seed + 2))
    label = spread(label, 16)[0, :height, :width].clone()
    label[:3] = IGNORE
    return (coarse + fine).clamp(0, 255).to(torch.uint8)[0], label.to(torch.uint8)


def shifted(networks: Networks, minus: Sequence[float]) -> Networks:
    """Subtracts a value from each bias of both teachers' classifiers."""
    for role in ("teacher1", "teacher2"):
        bias = networks.by_role()[role].get_parameter("classifier.bias")
        bias.data -= torch.tensor(minus, dtype=torch.float32)
    return networks


def check_whole_images(document: Node, report: Report) -> None:
    """Compares label maps, intersections, unions, accuracy and logits with a file's."""
    rule, stated = document["rule"], document.get("whole_image")
    if stated is None:
        return
    weights = WeightRule.of(rule)
    seeds = rule["inputs"].find(r"s = (\d+)\+(\d+)\+(\d+)\*j", "s = base+number+number*j")
    first, step = int(seeds[1]) + int(seeds[2]), int(seeds[3])
    networks = imported(filled(weights, document.file.parent), weights.classes)
    minus = rule["classifier_bias_minus"].numbers()
    if len(minus) != weights.classes:
        raise rule["classifier_bias_minus"].refuse(f"of {weights.classes} numbers, one a class")
    shifted(networks, minus)
    for name, dtype in _DTYPES.items():  # float32 first: the weights are cast from it
        whole = stated.get(name)
        if whole is None:
            continue
        networks.to(dtype)
        sizes = [each["size"].integers(32, 4096, 2) for each in whole["images"].elements()]
        pairs = [picture_of_size(first + step * j, (h, w), weights.classes) for j, (h, w) in enumerate(sizes)]
        matrix = np.zeros((weights.classes, weights.classes), np.int64)
        images = []
        for (image, label), each in zip(pairs, whole["images"].elements(), strict=True):
            images.append(Seen.by(networks, image[None], label, dtype))
            matrix += images[-1].matrix
            images[-1].compare(report, f"{name}, {each['size'].value}", each)
        _check_scores(report, name, matrix, images, whole["all"])
        if dtype == torch.float32:
            data = Pictures(
                classes=networks.classes,
                images=tuple(image.permute(1, 2, 0).numpy() for image, _ in pairs),
                labels=tuple(label.numpy() for _, label in pairs),
            )
            counted = evaluate(networks, data).confusion["ensemble"]
            report.judge(f"{name}, all: pixels that `evaluate` counts otherwise", float(abs(counted - matrix).sum()), 0)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the mean of the teachers makes of one image."""

    logits: Tensor
    """(K, H, W)."""
    label: Tensor
    matrix: NDArray[np.int64]

    @classmethod
    @torch.no_grad()
    def by(cls, networks: Networks, image: Tensor, label: Tensor, dtype: torch.dtype) -> Seen:
        """Sees an image (1, 3, H, W) uint8."""
        images = as_images([image[0].permute(1, 2, 0).numpy()])
        if dtype != torch.float32:
            images = unit(image, dtype)
        logits = whole_logits(networks, images)["ensemble"]
        counts = confusion(label[None].long(), logits.argmax(dim=1), len(networks.classes)).numpy()
        return cls(logits=logits[0], label=label, matrix=counts)

    @cached_property
    def near(self) -> int:
        """Pixels whose two best logits differ by less than 1e-4."""
        best = self.logits.topk(2, dim=0).values
        return int((best[0] - best[1] < _MARGIN).sum())

    def compare(self, report: Report, name: str, stated: Node) -> None:
        """Compares with what a file states of the image."""
        exact = self.logits.dtype == torch.float64
        allowed = 0 if exact else self.near
        classes, (height, width) = len(self.logits), self.logits.shape[-2:]
        seen = padded_size((height, width), _MULTIPLE)
        sides = zip(seen, stated["network_input_size"].integers(count=2), strict=True)
        report.judge(f"{name}: the network's input size", float(sum(abs(a - b) for a, b in sides)), 0)
        compare_label_map(report, name, self.logits, stated, allowed)
        hit = self.matrix.diagonal()
        union = self.matrix.sum(0) + self.matrix.sum(1) - hit
        for piece, values in (("intersection", hit), ("union", union)):
            wanted = np.array(stated[piece].integers(count=classes))
            report.judge(f"{name}: {piece}, pixels", float(abs(values - wanted).max()), allowed)
        counts = (("correct", hit.sum(), allowed), ("labelled", self.matrix.sum(), 0))
        for piece, count, most in counts:
            report.judge(f"{name}: {piece} pixels", abs(float(count) - stated[piece].number()), most)
        pieces = [(f"at {place}", off) for place, off in stated_logits(self.logits, stated["logits"])]
        size = float(self.logits.abs().mean())
        pieces.append(("mean of their sizes", relative(size, _of(stated, "logits_abs_mean"))))
        pieces.append(("sum", relative(float(self.logits.double().sum()), _of(stated, "logits_sum"))))
        pieces.append(("cross-entropy", relative(self.cross_entropy, _of(stated, "cross_entropy"))))
        if exact:
            report.worst(f"{name}: logits", pieces, _LOGITS)
        else:
            label, worst = max(pieces, key=lambda each: each[1])
            report.show(f"{name}: logits", worst, f"worst of {len(pieces)}: {label}")

    @property
    def cross_entropy(self) -> float:
        """Its mean over the labelled pixels."""
        return float(F.cross_entropy(self.logits[None], self.label[None].long(), ignore_index=IGNORE))


def compare_label_map(report: Report, name: str, logits: Tensor, stated: Node, allowed: int) -> None:
    """Compares the most likely classes with a file's checksum and counts.

    Args:
        report: Takes the result.
        name: Of the image.
        logits: (K, H, W).
        stated: Has `argmax_sha256` and `argmax_counts`.
        allowed: Pixels that may differ.
    """
    found = logits.argmax(dim=0).to(torch.uint8)
    same = sha256(found) == stated["argmax_sha256"].text()
    wanted = torch.tensor(stated["argmax_counts"].integers(count=len(logits)))
    moved = int((torch.bincount(found.flatten().long(), minlength=len(logits)) - wanted).abs().sum()) // 2
    # The checksum alone tells that a pixel differs; the counts, how many at least.
    note = "checksum and counts" if same else "by the counts; the checksum differs"
    report.judge(f"{name}: label map, pixels", 0 if same else max(1, moved), allowed, note)


def stated_logits(logits: Tensor, stated: Node, times: Tensor | None = None) -> list[tuple[str, float]]:
    """Returns place -> difference of the logits (K, H, W) there, over the size of the stated ones.

    Args:
        logits: The logits.
        stated: "row,column" -> K numbers.
        times: (H, W) factors.
    """
    found = []
    for place, values in stated.items():
        row, column = values.at(logits.shape[-2:])
        factor = 1.0 if times is None else float(times[row, column])
        wanted = torch.tensor(values.numbers(), dtype=torch.float64)
        if len(wanted) != len(logits):
            raise values.refuse(f"of {len(logits)} numbers")
        found.append((place, float((logits[:, row, column].double() * factor - wanted).norm() / wanted.norm())))
    return found


def _of(stated: Node, name: str) -> float:
    return stated[name].number()


def _check_scores(report: Report, name: str, matrix: NDArray[np.int64], images: list[Seen], stated: Node) -> None:
    exact = images[0].logits.dtype == torch.float64
    absent = [index for index, value in enumerate(iou(matrix)) if math.isnan(value)]
    mine = np.nan_to_num(iou(matrix), nan=0.0)
    wanted = np.array(stated["class_iou"].numbers())
    if len(wanted) != len(mine):
        raise stated["class_iou"].refuse(f"of {len(mine)} numbers")
    scores = {
        "pixel accuracy": abs(pixel_accuracy(matrix) - _of(stated, "pixel_accuracy")),
        "mIoU, absent classes as 0": abs(mean_iou(matrix, absent="zero") - _of(stated, "mean_iou")),
        "IoU of a class": float(abs(mine - wanted).max()),
    }
    for piece, difference in scores.items():
        report.judge(f"{name}, all: {piece}", difference, _LOGITS if exact else _MEAN_IOU)
    wrong = set(absent) ^ set(stated["classes_with_empty_union"].integers())
    report.judge(f"{name}, all: classes with an empty union", len(wrong), 0)
    mean = sum(each.cross_entropy for each in images) / len(images)
    off = relative(mean, _of(stated, "mean_of_image_cross_entropies"))
    if exact:
        report.judge(f"{name}, all: cross-entropy", off, _LOGITS)
    else:
        report.show(f"{name}, all: cross-entropy", off)
