"""The search for the teachers' adversarial noise alone, on small stated networks and on the authors' decoders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.models.networks import Networks
from psmt_viz.perturb import adversarial_perturbation, frozen
from psmt_viz.perturb.objectives import kl_per_image
from psmt_viz.presets import configure
from published.document import Node
from published.inputs import generator, sha256
from published.report import Report, relative
from published.weights import WeightRule, depth_of, filled, imported

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
Predict = Callable[[Tensor], Tensor]


class SmallDecoder(nn.Module):
    """A 3x3 convolution, BatchNorm, ReLU and a 1x1 convolution, with weights from one seed.

    Args:
        seed: The seed; tensor j is drawn with seed + j.
        channels: Of the input, of the middle and classes.
        scale: Of the last weight.
        size: To which the logits are up-sampled.
    """

    def __init__(self, seed: int, channels: tuple[int, int, int], scale: float, size: tuple[int, int]) -> None:
        super().__init__()
        into, middle, classes = channels

        def drawn(number: int, *shape: int) -> Tensor:
            return torch.randn(shape, generator=generator(seed + number))

        self.size = size
        self.conv = nn.Conv2d(into, middle, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(middle)
        self.classifier = nn.Conv2d(middle, classes, 1)
        values = {
            "conv.weight": drawn(1, middle, into, 3, 3) * sqrt(2 / (9 * into)),
            "norm.weight": 1 + 0.1 * drawn(2, middle),
            "norm.bias": 0.1 * drawn(3, middle),
            "norm.running_mean": 0.1 * drawn(4, middle),
            "norm.running_var": 1 + 0.5 * drawn(5, middle).abs(),
            "classifier.weight": drawn(6, classes, middle, 1, 1) * sqrt(2 / middle) * scale,
            "classifier.bias": 0.1 * drawn(7, classes),
        }
        self.load_state_dict(values, strict=False)
        self.eval()

    def forward(self, z: Tensor) -> Tensor:
        """Maps z to logits."""
        logits = self.classifier(F.relu(self.norm(self.conv(z))))
        return F.interpolate(logits, size=self.size, mode="bilinear", align_corners=True)


@dataclass(frozen=True)
class NoiseFile:
    """The numbers that are stated in a file's text."""

    document: Node

    @property
    def _rule(self) -> Node:
        return self.document["rule"]

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """Images in a call -> the number that its seeds end with."""
        match = self._rule["inputs"].find(r"j = ([\d, ]+) for B = ([\d, ]*\d)", "j = 0, 1, ... for B = 1, 2, ...")
        ends, batches = ([int(part) for part in group.split(",") if part.strip()] for group in match.groups())
        if len(ends) != len(batches):
            raise self._rule["inputs"].refuse("with as many j as B")
        return dict(zip(batches, ends, strict=True))

    def inputs(self, net: str, batch: int) -> tuple[Tensor, Tensor]:
        """Returns z and u for a number of images, float32."""
        words = self._rule["inputs"]
        sums = re.findall(r"manual_seed\((\d+)\+(\d+)\+j\)", words.text())
        seeds = [int(base) + int(number) for base, number in sums]
        if len(seeds) != 2 or batch not in self.numbers:
            raise words.refuse(f"with two seeds as base+number+j, and a j for B = {batch}")
        name = "r50_decoder" if net == "r50_decoder" else "small"
        shape = words.find(rf"{name}: (?:\(c,h,w\) = )?\((\d+),(\d+),(\d+)\)", f"(c,h,w) of {name}")
        sizes = (batch, *(int(part) for part in shape.groups()))
        z, u = (torch.rand(sizes, generator=generator(seed + self.numbers[batch])) for seed in seeds)
        return z, u

    def small(self, net: str) -> Callable[[torch.dtype], Predict]:
        """Returns a factory: dtype -> the mean of two small decoders' logits."""
        words = self._rule["small"]
        seed = words.find(r"seed s = (\d+)\+(\d+)\+(\d+)\*i", "seed s = base+number+number*i")
        base, step = int(seed[1]) + int(seed[2]), int(seed[3])
        sizes = words.find(
            r"(\d+) -> (\d+) channels.*?-> (\d+) classes.*? to (\d+)x(\d+)", "channels, classes and size"
        )
        into, middle, classes, height, width = (int(part) for part in sizes.groups())
        scale = words.find(rf"([\d.e-]+) for `{net}`", f"the scale of {net}")
        nets = [
            SmallDecoder(base + step * i, (into, middle, classes), float(scale[1]), (height, width)) for i in (1, 2)
        ]

        def made(dtype: torch.dtype) -> Predict:
            first, second = (each.to(dtype) for each in nets)
            return lambda z: (first(z) + second(z)) / 2

        return made

    def decoders(self) -> Callable[[torch.dtype], Predict]:
        """Returns a factory: dtype -> the mean of the authors' two decoders' logits."""
        words = self._rule["r50_decoder"]
        base = words.find(r"base = (\d+)", "base = number")
        scale = words.find(r"classifier_scale = ([\d.e-]*\d)", "classifier_scale = number")
        classes = words.find(r"(\d+) classes", "the number of classes")
        size = words.find(r"size (\d+)x(\d+)", "the output's size")
        rule = WeightRule(
            depth=depth_of(words), base=int(base[1]), classes=int(classes[1]), classifier_scale=float(scale[1])
        )
        networks: Networks = imported(filled(rule, self.document.file.parent), rule.classes)

        def made(dtype: torch.dtype) -> Predict:
            networks.to(dtype)

            def predict(z: Tensor) -> Tensor:
                with frozen(networks):
                    return networks.decode("ensemble", z, (int(size[1]), int(size[2])))

            return predict

        return made


def check_noise(document: Node, report: Report) -> None:
    """Compares every case of a file with the product's search."""
    file = NoiseFile(document)
    flat = configure("voc", {"data": "none"}, recipe="official-code").flat()
    makers: dict[str, Callable[[torch.dtype], Predict]] = {}
    rebuilt: dict[tuple[str, int], bool] = {}
    for name, stated in document["cases"].items():
        match = re.fullmatch(r"(small|small_flat|r50_decoder)\|B=(\d+)\|xi=([\d.e+-]+)\|(float32|float64)", name)
        if match is None:
            raise stated.refuse("under a name such as small|B=2|xi=1e-06|float64")
        net, batch, xi, dtype = match[1], int(match[2]), float(match[3]), _DTYPES[match[4]]
        z, u = file.inputs(net, batch)
        kind = "r50_decoder" if net == "r50_decoder" else "small"
        if (kind, batch) not in rebuilt:
            sums = document["inputs_sha256_z_u"][f"{kind}|B={batch}"]
            pairs = zip(("z", "u"), (z, u), sums.elements(), strict=True)
            wrong = [each for each, values, stated_sum in pairs if sha256(values) != stated_sum.text()]
            rebuilt[kind, batch] = report.inputs(f"{kind}, B {batch}", wrong, 2)
        if not rebuilt[kind, batch]:
            continue
        if net not in makers:
            makers[net] = file.decoders() if net == "r50_decoder" else file.small(net)
        predict, start = makers[net](dtype), u.to(dtype) - 0.5
        z = z.to(dtype)
        found = adversarial_perturbation(
            predict, z, eps=flat["eps"], xi=xi, noise=flat["noise"], floor=flat["norm_floor"], batch=batch, start=start
        ).delta
        _judge(report, name, xi, Found.of(predict, z, found), stated)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Measurements of psmt-viz's noise, in the form of the files."""

    norm: list[float]
    kl: list[float]
    flips: list[int]
    first: list[float]
    last: list[float]
    rms: tuple[float, float]
    """Of the first and the last image's noise."""
    exact: bool
    """Whether it was computed in float64."""

    @classmethod
    @torch.no_grad()
    def of(cls, predict: Predict, z: Tensor, delta: Tensor) -> Found:
        """Measures some noise."""
        flips = (predict(z).argmax(dim=1) != predict(z + delta).argmax(dim=1)).flatten(1).sum(dim=1)
        size = delta[0].numel()
        norm = delta.double().flatten(1).norm(dim=1).tolist()
        return cls(
            norm=norm,
            kl=kl_per_image(predict, z, delta).tolist(),
            flips=flips.tolist(),
            first=delta[0].flatten()[:5].tolist(),
            last=delta[-1].flatten()[:5].tolist(),
            rms=(norm[0] / sqrt(size), norm[-1] / sqrt(size)),
            exact=delta.dtype == torch.float64,
        )


def _judge(report: Report, name: str, xi: float, found: Found, stated: Node) -> None:
    norms = stated["norm"].numbers()
    if len(norms) != len(found.norm):
        raise stated["norm"].refuse(f"of {len(found.norm)} numbers")
    pairs = [(f"image {i}", relative(a, b)) for i, (a, b) in enumerate(zip(found.norm, norms, strict=True))]
    if not found.exact and xi <= 1e-6:
        report.worst(f"{name}: norm itself", [(each, a) for (each, _), a in zip(pairs, found.norm, strict=True)], 0.01)
        report.worst(f"{name}: KL", [(f"image {i}", abs(value)) for i, value in enumerate(found.kl)], 2e-5)
        return
    if not found.exact and xi < 1e-2:
        report.worst(f"{name}: norm", pairs, 0.1)
        return
    # Processors add up in other orders, which a difference over a short step makes large: eps / xi^2 is 2e-8 at 1e-4.
    float64 = 1e-6 if xi <= 1e-6 else 1e-8 if xi < 1e-2 else 1e-9
    tolerance = float64 if found.exact else 1e-3
    report.worst(f"{name}: norm", pairs, tolerance)
    elements = []
    for label, values, rms in (("image0", found.first, found.rms[0]), ("last_image", found.last, found.rms[1])):
        wanted = stated[f"r_first5_{label}"].numbers()
        elements += [(f"{label} [{i}]", abs(a - b) / rms) for i, (a, b) in enumerate(zip(values, wanted, strict=True))]
    report.worst(f"{name}: r over its rms", elements, tolerance)
    if not found.exact:
        return
    flips = zip(found.flips, stated["argmax_flips"].integers(count=len(found.flips)), strict=True)
    report.worst(f"{name}: flips", [(f"image {i}", float(abs(a - b))) for i, (a, b) in enumerate(flips)], 0)
