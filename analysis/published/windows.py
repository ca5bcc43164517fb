"""Sliding windows over an image, as the authors' Cityscapes code validates, on a small stated network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.models.inference import sliding_logits
from psmt_viz.presets import configure
from published.document import Node
from published.inputs import generator
from published.report import Report
from published.validation import compare_label_map, stated_logits

_MARGIN = 1e-4


@dataclass
class SmallNetwork:
    """A 3x3 convolution, ReLU, average pooling by 4 and a 1x1 convolution; it remembers the windows that it saw."""

    weight: Tensor
    classifier: Tensor
    bias: Tensor
    windows: list[Tensor] = field(default_factory=list)
    multiple = 1
    """Windows of every size are taken as they are."""

    @classmethod
    def drawn(cls, seed: int, channels: int, classes: int) -> SmallNetwork:
        """Draws the network's weights."""
        return cls(
            weight=torch.randn((channels, 3, 3, 3), generator=generator(seed + 1)) * sqrt(2 / 27),
            classifier=torch.randn((classes, channels, 1, 1), generator=generator(seed + 2)) * sqrt(2 / channels),
            bias=0.1 * torch.randn(classes, generator=generator(seed + 3)),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Maps images to z at a quarter of their size."""
        self.windows.extend(images)
        return F.avg_pool2d(F.relu(F.conv2d(images, self.weight, padding=1)), 4)

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps z to logits of a size."""
        logits = F.conv2d(z, self.classifier, self.bias)
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)


def check_windows(document: Node, report: Report) -> None:
    """Compares places of the windows, label map and summed logits with a file's."""
    examples = document.get("sliding_windows")
    if examples is None:
        return
    words = document["rule"]["sliding_network"]
    seeds = words.find(r"s = (\d+)\+(\d+)\+(\d+)\*j", "s = base+number+number*j")
    into = words.find(r"conv1x1 (\d+)->(\d+)", "conv1x1 channels->classes")
    views = configure("cityscapes", {"data": "none"}, recipe="official-code").views
    for j, stated in enumerate(examples.elements()):
        seed = int(seeds[1]) + int(seeds[2]) + int(seeds[3]) * j
        height, width = stated["size"].integers(8, 4096, 2)
        window = stated["window"].integer(8, 4096)
        image = torch.randn((1, 3, height, width), generator=generator(seed + 9))
        network = SmallNetwork.drawn(seed, int(into[1]), int(into[2]))
        logits = sliding_logits(network, image, window=window, stride=views.window_stride, fill=0.0)[0]
        name = f"windows of {window} in {height}x{width}"
        tops, lefts = stated["window_rows"].integers(), stated["window_columns"].integers()
        wrong = _elsewhere(network.windows, image[0], window, [(top, left) for top in tops for left in lefts])
        report.judge(f"{name}: windows elsewhere", wrong, 0, f"{len(network.windows)} seen")
        best = logits.topk(2, dim=0).values
        compare_label_map(report, name, logits, stated, int((best[0] - best[1] < _MARGIN).sum()))
        seen = _seen((height, width), window, tops, lefts)
        places = stated_logits(logits, stated["summed_logits"], seen)
        place, worst = max(places, key=lambda each: each[1])
        report.show(f"{name}: mean logits times windows", worst, f"worst of {len(places)}: {place}")


def _padded(image: Tensor, window: int) -> tuple[Tensor, int, int]:
    """The image with zeros half on each side up to the window, and the rows and columns before it."""
    below, right = (max(0, window - length) for length in image.shape[-2:])
    top, left = below // 2, right // 2
    return F.pad(image, (left, right - left, top, below - top)), top, left


def _elsewhere(windows: list[Tensor], image: Tensor, window: int, places: list[tuple[int, int]]) -> int:
    """How many windows are missing or too many, each told by its pixels."""
    padded, _, _ = _padded(image, window)
    wanted = [padded[:, top : top + window, left : left + window] for top, left in places]
    missing = 0
    rest = list(windows)
    for each in wanted:
        match = next((i for i, seen in enumerate(rest) if torch.equal(seen, each)), None)
        if match is None:
            missing += 1
        else:
            del rest[match]
    return missing + len(rest)


def _seen(size: tuple[int, int], window: int, tops: list[int], lefts: list[int]) -> Tensor:
    """How many windows see each pixel of the image."""
    counts, top, left = _padded(torch.zeros(1, *size), window)
    for row in tops:
        for column in lefts:
            counts[:, row : row + window, column : column + window] += 1
    return counts[0, top : top + size[0], left : left + size[1]]
