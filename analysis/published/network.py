"""Features and logits of the authors' three networks for stated weights and one input."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from published.document import Node
from published.inputs import generator
from published.report import Report, relative
from published.validation import stated_logits
from published.weights import WeightRule, filled, imported

_FLOAT32 = 1e-5
"""Ten times float32's rounding in networks of this depth; these files state no tolerance."""


@torch.no_grad()
def check_network(document: Node, report: Report) -> None:
    """Compares features and logits with a file's."""
    depth, base = document["backbone"].integer(), document["weight_seed_base"].integer()
    if depth not in (50, 101):
        raise document["backbone"].refuse("50 or 101")
    words = document["input"]
    shape = words.find(r"torch\.randn\(1,3,(\d+),(\d+)", "the input's size")
    offset = words.find(r"manual_seed\(base\+(\d+)\)", "manual_seed(base+number)")
    size = words.find(r"to \((\d+), ?(\d+)\)", "the size that it is resized to")
    outputs = dict(document["outputs"].items())
    pixels = [values for each in outputs.values() for _, values in each["logits_pixels"].items()]
    if not pixels:
        raise document["outputs"].refuse("with logits_pixels")
    classes = len(pixels[0].numbers())
    networks = imported(filled(WeightRule(depth=depth, base=base, classes=classes), document.file.parent), classes)
    raw = torch.randn(1, 3, int(shape[1]), int(shape[2]), generator=generator(base + int(offset[1])))
    raw = F.interpolate(raw, size=(int(size[1]), int(size[2])), mode="bilinear", align_corners=True)
    for role, stated in outputs.items():
        network = networks.by_role().get(role)
        if network is None:
            raise stated.refuse(f"under one of {', '.join(networks.by_role())}")
        # Their input is normalised already; ours is in [0, 1].
        z = network.encode(raw * network.get_buffer("backbone.std") + network.get_buffer("backbone.mean"))
        logits = network.decode(z, raw.shape[-2:])
        shapes = (list(z.shape), list(logits.shape))
        wanted = (stated["z_shape"].integers(), stated["logits_shape"].integers())
        report.judge(f"{role}: shapes", sum(a != b for a, b in zip(shapes, wanted, strict=True)), 0, f"{shapes}")
        sums = [
            ("sum", relative(float(z.double().sum()), stated["z_sum"].number())),
            ("mean size", relative(float(z.double().abs().mean()), stated["z_abs_mean"].number())),
        ]
        report.worst(f"{role}: z", sums, _FLOAT32)
        report.worst(f"{role}: logits", stated_logits(logits[0], stated["logits_pixels"]), _FLOAT32)
