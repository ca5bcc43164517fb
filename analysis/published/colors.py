"""Colour jitter, grey and blur of the strong view."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from psmt_viz.data.views import Colors, apply_colors, draw_colors
from psmt_viz.presets import configure
from published.distributions import compare_shares, compare_values
from published.document import Node
from published.geometry import DRAWS
from published.inputs import generator, spread
from published.report import Report

STRONG_VIEWS = 20_000
_LETTERS = {"brightness": "B", "contrast": "C", "saturation": "S", "hue": "H"}


def check_colors(document: Node, report: Report) -> None:
    """Compares what is drawn with stated distributions, and what it does to a stated picture."""
    for preset in ("voc", "cityscapes"):
        stated = document.get(f"photometric_{preset}")
        if stated is not None:
            config = configure(preset, {"data": "none"}, recipe="official-code").views
            source = generator(0)
            drawn = [draw_colors(config, source) for _ in range(DRAWS)]
            _compare_draws(report, f"{preset} colours", drawn, stated)
    strong = document.get("strong_view_of_a_stated_picture")
    if strong is not None:
        _check_strong_view(document["rule"]["strong_view_of_a_stated_picture"], report, strong)


def _compare_draws(report: Report, name: str, drawn: list[Colors], stated: Node) -> None:
    total, others = len(drawn), stated["draws"].integer(1)
    jittered = [each for each in drawn if each.order]
    blurred = [each for each in drawn if each.kernel is not None]
    shares = {
        "jitter": (len(jittered) / total, stated["colour_share"]),
        "grey": (sum(each.gray for each in drawn) / total, stated["grey_share"]),
        "blur": (len(blurred) / total, stated["blur_share_(any_kernel)"]),
        "blur that shows": (
            sum(each.kernel in (3, 5) for each in blurred) / total,
            stated["blur_with_kernel_3_or_5_share_of_all"],
        ),
    }
    compare_shares(report, f"{name}: shares", shares, total, others)
    together = Counter(_combination(each) for each in drawn)
    _compare_counts(report, f"{name}: which together", together, stated["combinations_in_order"], others)
    kernels = Counter(str(each.kernel) for each in blurred)
    of_blurred = round(others * stated["blur_share_(any_kernel)"].number())
    _compare_counts(report, f"{name}: kernels", kernels, stated["kernel_share_given_blur"], of_blurred)
    orders = Counter("".join(_LETTERS[change] for change in each.order) for each in jittered)
    of_jittered = round(others * stated["colour_share"].number())
    _compare_counts(report, f"{name}: orders", orders, stated["colour_order_share_(24_orders)"], of_jittered)
    for change, numbers in stated["factors_given_colour"].items():
        if change not in _LETTERS:
            raise numbers.refuse(f"under one of {', '.join(_LETTERS)}")
        compare_values(report, f"{name}: {change}", [each.factors[change] for each in jittered], numbers)
    compare_values(report, f"{name}: sigma", [each.sigma or 0.0 for each in blurred], stated["sigma_given_blur"])


def _combination(colors: Colors) -> str:
    parts = (("colour", bool(colors.order)), ("grey", colors.gray), ("blur", colors.kernel is not None))
    return ">".join(name for name, there in parts if there) or "none"


def _compare_counts(report: Report, piece: str, found: Counter[str], stated: Node, others: int) -> None:
    total = max(1, found.total())
    shares = {key: (found[key] / total, share) for key, share in stated.items()}
    compare_shares(report, piece, shares, total, others)
    unknown = sorted(set(found) - set(shares))
    report.judge(f"{piece}, others than stated", sum(found[key] for key in unknown), 0, ", ".join(unknown))


def _check_strong_view(words: Node, report: Report, stated: Node) -> None:
    seed = words.find(r"manual_seed\((\d+)\+(\d+)\)", "manual_seed(base+number)")
    size = words.find(r"^(\d+)x\1\b", "a square size")
    blocks = words.find(r"coarse = torch\.randint\(0,256,\((\d+),\1,3\)", "the coarse blocks")
    side, count = int(size[1]), int(blocks[1])
    if not 8 <= side <= 2048 or side % count:
        raise words.refuse("with a side that the blocks divide")
    source = generator(int(seed[1]) + int(seed[2]))
    coarse = torch.randint(0, 256, (count, count, 3), generator=source).permute(2, 0, 1)
    fine = torch.randint(-24, 25, (side, side, 3), generator=source).permute(2, 0, 1)
    picture = (spread(coarse, side // count) + fine).clamp(0, 255).to(torch.uint8)
    config, source = configure("voc", {"data": "none"}, recipe="official-code").views, generator(1)
    measured = [_measured(picture, apply_colors(picture, draw_colors(config, source))) for _ in range(STRONG_VIEWS)]
    names = ("mean_abs_change_0..1", "mean", "sd", "horizontal_roughness")
    for name, values in zip(names, np.array(measured).T, strict=True):
        compare_values(report, f"strong view: {name}", values, stated[name])


def _measured(before: Tensor, after: Tensor) -> tuple[float, float, float, float]:
    old, new = before.double() / 255, after.double() / 255
    rough = (new[..., 1:] - new[..., :-1]).abs().mean()
    return float((new - old).abs().mean()), float(new.mean()), float(new.std(correction=0)), float(rough)
