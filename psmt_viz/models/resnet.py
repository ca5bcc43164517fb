"""The residual networks of the built-in and the published runs, cut to their feature maps.

Keys, shapes, outputs and random draws are those of timm's networks of these names, so that weights fit both; to import
timm takes longer than to train a step here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

_CLASSES = 1000
"""Of the classifier that timm draws and leaves out."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The sizes of a residual network."""

    blocks: tuple[str, ...]
    """Of each stage: `basic`, two 3x3 convolutions, or `bottleneck`, a 3x3 between two 1x1."""
    depths: tuple[int, ...]
    """Blocks of each stage."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage, of which a bottleneck makes four times as many."""
    stem: int | None = None
    """Channels of the first two of three 3x3 convolutions, in place of one 7x7."""
    pooled: bool = False
    """Shortcuts that change the size pool before their 1x1 convolution, in place of a stride."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of each colour, in images in [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Of each colour."""


_BOTTLENECKS, _BASIC = ("bottleneck",) * 4, ("basic",) * 4
LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "test_resnet": Layout(
            blocks=("basic", "basic", "bottleneck", "basic"),
            depths=(1, 1, 1, 1),
            widths=(32, 48, 48, 96),
            stem=16,
            pooled=True,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
        "resnet18": Layout(blocks=_BASIC, depths=(2, 2, 2, 2)),
        "resnet34": Layout(blocks=_BASIC, depths=(3, 4, 6, 3)),
        "resnet50": Layout(blocks=_BOTTLENECKS, depths=(3, 4, 6, 3)),
        "resnet101": Layout(blocks=_BOTTLENECKS, depths=(3, 4, 23, 3)),
        "resnet50s": Layout(blocks=_BOTTLENECKS, depths=(3, 4, 6, 3), stem=64),
        "resnet101s": Layout(blocks=_BOTTLENECKS, depths=(3, 4, 23, 3), stem=64),
    }
)
"""timm's name -> the network."""


class ResNet(nn.Module):
    """Returns the feature maps of the four stages of a residual network.

    Args:
        layout: Its sizes.
        output_stride: Stride of the last map; later strides are replaced by dilation.
        zero_init_last: Start the last normalisation of each block at 0, so that it begins as its shortcut.

    Deep Residual Learning for Image Recognition (He et al., 2016); the strides of the 3x3 convolutions, the deep stem
    and the pooled shortcuts are those of Bag of Tricks for Image Classification (He et al., 2019), section 4.
    """

    def __init__(self, layout: Layout, *, output_stride: int = 32, zero_init_last: bool = True) -> None:
        super().__init__()
        channels = 64 if layout.stem is None else 2 * layout.stem
        self.conv1 = _stem(layout.stem, channels)
        self.bn1, self.act1 = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.channels, self.strides = list[int](), list[int]()
        total, dilation, before = 4, 1, 1
        for stage, (kind, depth, width) in enumerate(zip(layout.blocks, layout.depths, layout.widths, strict=True)):
            stride = 1 if stage == 0 else 2
            if total >= output_stride:
                stride, dilation = 1, dilation * stride
            total *= stride
            make = Basic if kind == "basic" else Bottleneck
            outputs = width * make.expansion
            blocks = []
            for index in range(depth):
                own = stride if index == 0 else 1
                shortcut = None
                if index == 0 and (stride > 1 or channels != outputs):
                    shortcut = _shortcut(channels, outputs, stride, dilation, pooled=layout.pooled)
                blocks.append(make(channels, width, own, shortcut, first_dilation=before, dilation=dilation))
                channels, before = outputs, dilation
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            self.channels.append(channels)
            self.strides.append(total)
        nn.Linear(channels, _CLASSES)  # a seed's numbers go on after it
        self._draw(zero_init_last)

    def _draw(self, zero_init_last: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if zero_init_last and isinstance(module, Basic | Bottleneck):
                nn.init.zeros_(module.last_norm.weight)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps normalised images (B, 3, H, W) to a map (B, channels, H / stride, W / stride) of each stage."""
        values, maps = self.maxpool(self.act1(self.bn1(self.conv1(images)))), []
        for stage in range(len(self.strides)):
            values = cast(nn.Module, getattr(self, f"layer{stage + 1}"))(values)
            maps.append(values)
        return maps


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(
        self, inputs: int, width: int, stride: int, shortcut: nn.Module | None, *, first_dilation: int, dilation: int
    ) -> None:
        super().__init__()
        self.conv1 = _conv3(inputs, width, stride=stride, dilation=first_dilation)
        self.bn1, self.act1 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = _conv3(width, width, dilation=dilation)
        self.bn2, self.act2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.downsample = shortcut

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The last normalisation before the sum."""
        return self.bn2

    def forward(self, values: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, width, H / stride, W / stride)."""
        new = self.act1(self.bn1(self.conv1(values)))
        new = self.bn2(self.conv2(new))
        new += values if self.downsample is None else self.downsample(values)
        return self.act2(new)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, beside a shortcut."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, shortcut: nn.Module | None, *, first_dilation: int, dilation: int
    ) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1, self.act1 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = _conv3(width, width, stride=stride, dilation=first_dilation)
        self.bn2, self.act2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3, self.act3 = nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        self.downsample = shortcut

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The last normalisation before the sum."""
        return self.bn3

    def forward(self, values: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, 4 * width, H / stride, W / stride)."""
        new = self.act1(self.bn1(self.conv1(values)))
        new = self.act2(self.bn2(self.conv2(new)))
        new = self.bn3(self.conv3(new))
        new += values if self.downsample is None else self.downsample(values)
        return self.act3(new)


class SamePool(nn.Module):
    """Means of 2x2 neighbours at stride 1; beyond the last row and column are zeros."""

    def forward(self, values: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        return F.avg_pool2d(F.pad(values, (0, 1, 0, 1)), 2, stride=1)


def _stem(width: int | None, channels: int) -> nn.Module:
    if width is None:
        return nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
    layers: list[nn.Module] = []
    for inputs, stride in ((3, 2), (width, 1)):
        layers += [_conv3(inputs, width, stride=stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, _conv3(width, channels))


def _shortcut(inputs: int, outputs: int, stride: int, dilation: int, *, pooled: bool) -> nn.Module:
    if not pooled:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    pool: nn.Module = nn.Identity()
    if dilation > 1:
        pool = SamePool()
    elif stride > 1:
        pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _conv3(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
