"""A module of networks that were not trained here, as a user writes one."""

from __future__ import annotations

MODELS = """
import torch
from torch import nn


class Tiny(nn.Module):
    multiple = 4

    def __init__(self, classes=6):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Conv2d(8, classes, 1)

    def encode(self, images):
        return self.first(images).relu()

    def decode(self, z, size):
        return nn.functional.interpolate(self.last(z), size=tuple(size), mode="bilinear")


class Deaf(Tiny):
    def decode(self, z, size):
        return torch.zeros(len(z), 6, *size)


class Cut(Tiny):
    def decode(self, z, size):
        return super().decode(z.detach(), size)


class Flat(Tiny):
    def decode(self, z, size):
        return super().decode(0 * z, size)


class Several(Tiny):
    def decode(self, z, size):
        return super().decode(z, size), z


class Pyramid(Tiny):
    def encode(self, images):
        return [super().encode(images)] * 2


def make():
    torch.manual_seed(0)
    return Tiny()


def one_teacher():
    torch.manual_seed(0)
    return Tiny(), Tiny()


def with_teachers():
    torch.manual_seed(0)
    return Tiny(), Tiny(), Tiny()


def seven():
    return Tiny(7)


def number():
    return 3


def poisoned():
    made = Tiny()
    made.last.weight.data[0, 0] = float("nan")
    return made


def torchvision():
    from torchvision.models.segmentation import deeplabv3_resnet50

    torch.manual_seed(0)
    return deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=6)


def smp():
    import segmentation_models_pytorch

    torch.manual_seed(0)
    return segmentation_models_pytorch.DeepLabV3Plus("resnet18", encoder_weights=None, classes=6)
"""
