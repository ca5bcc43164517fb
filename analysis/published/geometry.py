"""Scales, crops, mirroring and resizing of training images."""

from __future__ import annotations

import re
from math import floor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from psmt_viz.config import ViewConfig
from psmt_viz.data.views import Geometry, apply_geometry, draw_geometry
from psmt_viz.metrics import IGNORE
from psmt_viz.presets import configure
from published.distributions import compare_shares, compare_values
from published.document import Node
from published.inputs import generator, sha256
from published.report import Report

DRAWS = 60_000
"""More than the others' 20,000, so that most of the sampling error is theirs."""
_LEVELS, _MEAN, _LABELS = 2, 0.01, 0.005


def check_geometry(document: Node, report: Report) -> None:
    """Compares distributions of scales and places over own draws, and the colour of the padding."""
    for preset in ("voc", "cityscapes"):
        stated = document.get(f"geometry_{preset}")
        if stated is None:
            continue
        config = _views(preset, stated)
        for size, numbers in stated["images"].items():
            match = re.fullmatch(r"(\d+)x(\d+)", size)
            if match is None:
                raise numbers.refuse("under a size such as 375x500")
            source = generator(0)
            whole = (int(match[1]), int(match[2]))
            drawn = [draw_geometry(whole, config, source) for _ in range(DRAWS)]
            _compare_geometry(report, f"{preset}, {size}", drawn, numbers, size=whole, crop=config.crop)
    _check_padding(document, report)


def _views(preset: str, stated: Node) -> ViewConfig:
    values: dict[str, Any] = {"data": "none", "crop": stated["crop"].integer(32, 8192)}
    # The published sizes must come from the preset itself.
    if preset == "voc":
        base = stated["base_size"].integer(16, 10_000)
        if base != 600:
            values["long_side"] = (floor(0.5 * base), floor(2 * base))
    else:
        height, width = stated["base_size"].integers(16, 10_000, 2)
        if (height, width) != (1024, 2048):
            values["base_size"] = (height, width)
    return configure(preset, values, recipe="official-code").views


def _compare_geometry(
    report: Report, name: str, drawn: list[Geometry], stated: Node, *, size: tuple[int, int], crop: int
) -> None:
    sizes = np.array([geometry.size for geometry in drawn])
    places = np.array([(geometry.top, geometry.left) for geometry in drawn])
    compare_values(report, f"{name}: long side", sizes.max(axis=1), stated["long_side"])
    room = np.maximum(sizes - crop, 0)
    shares: dict[str, tuple[float, Node]] = {}
    for axis, (side, offset) in enumerate((("height", "vertical"), ("width", "horizontal"))):
        compare_values(report, f"{name}: scale of the {side}", sizes[:, axis] / size[axis], stated[f"scale_{side}"])
        free = room[:, axis] > 0
        shares[f"free {offset} offset"] = (free.mean(), stated[f"share_of_draws_with_a_free_{offset}_offset"])
        summary = stated[f"{offset}_offset_over_its_largest_value"]
        if free.any() or summary["n"].integer():
            compare_values(
                report, f"{name}: {offset} offset over the room", places[free, axis] / room[free, axis], summary
            )
    inside = np.minimum(sizes, crop).prod(axis=1)
    compare_values(report, f"{name}: share of padding", 1 - inside / crop**2, stated["padding_share_of_crop"])
    shares["padding"] = (float((inside < crop**2).mean()), stated["share_of_draws_with_padding"])
    shares["mirrored"] = (float(np.mean([geometry.mirrored for geometry in drawn])), stated["mirrored_share"])
    others = stated["long_side"]["n"].integer(1)
    compare_shares(report, f"{name}: shares of draws", shares, len(drawn), others)
    outside = int(((places < 0) | (places > room)).sum())
    report.judge(f"{name}: crops outside the padded image", outside, 0)


def _check_padding(document: Node, report: Report) -> None:
    stated = document.get("padding_value_rgb")
    if stated is None:
        return
    # Stored as whole levels, rounded.
    colour = [floor(value + 0.5) for value in stated.numbers()]
    image, label = torch.zeros(3, 40, 40, dtype=torch.uint8), torch.zeros(40, 40, dtype=torch.uint8)
    geometry = Geometry(size=(40, 40), top=0, left=0, mirrored=False)
    weak, mask = apply_geometry(image, label, geometry, 64)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[:40, :40] = True
    wanted = torch.tensor(colour, dtype=torch.uint8)[:, None, None].where(~inside, 0)
    report.judge("padding: pixels of another colour or place", float((weak != wanted).any(dim=0).sum()), 0)
    report.judge("padding: labels that are not void", float((mask != torch.where(inside, 0, IGNORE)).sum()), 0)


def check_resizing(document: Node, report: Report) -> None:
    """Compares resized pictures and label maps with stated sums, pixels and checksums."""
    examples = document.get("resize_examples")
    if examples is None:
        return
    words = document["rule"]["resize_examples"]
    seed = words.find(r"manual_seed\((\d+)\+(\d+)\+j\)", "manual_seed(base+number+j)")
    classes = words.find(r"label = torch\.randint\(0,(\d+),", "the label's classes")
    for j, stated in enumerate(examples.elements()):
        height, width = stated["source_hw"].integers(1, 4096, 2)
        source = generator(int(seed[1]) + int(seed[2]) + j)
        image = torch.randint(0, 256, (height, width, 3), generator=source).to(torch.uint8)
        label = torch.randint(0, int(classes[1]), (height, width), generator=source).to(torch.uint8)
        long = stated["long_side"].integer(1, 8192)
        config = configure("voc", {"data": "none", "long_side": (long, long)}, recipe="official-code").views
        size = draw_geometry((height, width), config, generator(0)).size
        name = f"{height}x{width} to {long}"
        wanted = stated["result_hw"].integers(1, 8192, 2)
        report.judge(f"{name}: size", float(sum(abs(a - b) for a, b in zip(size, wanted, strict=True))), 0, f"{size}")
        if list(size) != wanted:
            continue
        whole = Geometry(size=size, top=0, left=0, mirrored=False)
        seen = apply_geometry(image.permute(2, 0, 1).contiguous(), label, whole, max(size))
        pixels, mask = (each[..., : size[0], : size[1]] for each in seen)
        _compare_image(report, name, pixels.permute(1, 2, 0), image, stated)
        _compare_label(report, name, mask, label, stated)


def _compare_image(report: Report, name: str, found: Tensor, source: Tensor, stated: Node) -> None:
    """Compares with all pixels where Pillow makes the stated ones again, else with those that are stated."""
    height, width = found.shape[:2]
    first = torch.tensor(
        [pixel.integers(0, 255, 3) for pixel in stated["image_first_row_first_4_pixels_rgb"].elements()]
    )
    middle = torch.tensor(stated["image_middle_pixel_rgb"].integers(0, 255, 3))
    off = [
        ("first row", float((found[0, : len(first)].long() - first).abs().max())),
        ("middle", float((found[height // 2, width // 2].long() - middle).abs().max())),
    ]
    resized = Image.fromarray(source.numpy()).resize((width, height), Image.Resampling.BICUBIC)
    whole: NDArray[np.uint8] = np.array(resized)
    if sha256(torch.from_numpy(whole)) == stated["image_sha256"].text():
        off.append(("all pixels", float((found.int() - torch.from_numpy(whole).int()).abs().max())))
    report.worst(f"{name}: image, levels", off, _LEVELS)
    mean = stated["image_sum"].number() / found.numel()
    report.judge(f"{name}: mean of the image, levels", abs(float(found.double().mean()) - mean), _MEAN)
    rough = float((found[:, 1:].double() - found[:, :-1].double()).abs().mean())
    report.show(f"{name}: roughness", abs(rough / stated["horizontal_roughness"].number() - 1))


def _compare_label(report: Report, name: str, found: Tensor, source: Tensor, stated: Node) -> None:
    """Counts differing pixels against the map that the rule's words make, which must have the stated checksum."""
    rows, columns = (_source_indices(old, new) for old, new in zip(source.shape, found.shape, strict=True))
    wanted = source[rows][:, columns]
    if report.inputs(f"{name}, label map", _wrong(wanted, stated), 1):
        report.judge(f"{name}: share of other labels", float((found != wanted).double().mean()), _LABELS)


def _wrong(wanted: Tensor, stated: Node) -> list[str]:
    return [] if sha256(wanted) == stated["label_sha256_uint8"].text() else ["label_sha256_uint8"]


def _source_indices(old: int, new: int) -> Tensor:
    """The rule's words: floor(i * (1 / (new / old))) in double precision, capped."""
    return torch.tensor([min(floor(index * (1 / (new / old))), old - 1) for index in range(new)])
