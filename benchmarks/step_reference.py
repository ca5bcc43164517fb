"""A step of PS-MT in plain torch, against which ours is timed.

It includes what a step of the published method does after the warm-up: the images' way to the device and their scale;
both teachers on the weak views; the assist mask, CutMix and confidence-weighted cross-entropy; T-VAT's noise for
labelled and unlabelled images, by one power iteration of a finite difference through both teachers' decoders; SGD with
momentum and weight decay; the moving average of one teacher. It leaves out what belongs to a product: micro-batches,
several devices, recipes, checks, logs. Its search runs in the precision of everything else.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.data.loader import Batch

EPS, WEIGHT, KEEP, TOP, THRESHOLD, LR = 2.0, 1.5, 0.996, 7, 0.0, 2.5e-3


class PlainStep:
    """Three networks and an optimiser.

    Args:
        networks: Their start; copied. Each has `encode` and `decode`.
        device: Where.
        channels_last: The layout of images and weights.
        precision: `fp32` or `bf16`.
    """

    def __init__(
        self, networks: nn.Module, *, device: str, channels_last: bool = False, precision: str = "fp32"
    ) -> None:
        made = copy.deepcopy(networks).to(device)
        made.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        self.student, self.teachers = made.student.train(), list(made.teachers.children())
        for teacher in self.teachers:
            teacher.eval().requires_grad_(False)
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)
        self.device = torch.device(device)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")
        self.epsilon = torch.finfo(torch.bfloat16 if precision == "bf16" else torch.float32).eps

    def take(self, labeled: Batch, unlabeled: Batch) -> None:
        """Takes one step from images on the host."""
        known, label = self.images(labeled.strong), labeled.label.to(self.device).long()
        weak, strong = self.images(unlabeled.weak), self.images(unlabeled.strong)
        with torch.no_grad(), self.autocast:
            first, second = (teacher(weak).float() for teacher in self.teachers)
            mean = self.assisted(first, second)
            partner, inside = self.boxes(strong)
            strong = torch.where(inside[:, None], strong[partner], strong)
            mean = torch.where(inside[:, None], mean[partner], mean)
            confidence, target = mean.softmax(dim=1).max(dim=1)
            passing = confidence >= THRESHOLD
        self.optimizer.zero_grad()
        with self.autocast:
            loss = F.cross_entropy(self.logits(known), label, ignore_index=255)
        loss.backward()
        with self.autocast:
            pixels = confidence * passing * F.cross_entropy(self.logits(strong), target, reduction="none")
            loss = WEIGHT * pixels.sum() / passing.sum().clamp(min=1)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            own, other = self.teachers[0].state_dict(), self.student.state_dict()
            for name, values in own.items():
                if values.is_floating_point():
                    values.mul_(KEEP).add_(other[name], alpha=1 - KEEP)
                else:
                    values.copy_(other[name])

    def images(self, pixels: Tensor) -> Tensor:
        """Brings images to the device, in [0, 1]."""
        return pixels.to(self.device).float() / 255

    def logits(self, images: Tensor) -> Tensor:
        """Maps images to the student's logits through z and T-VAT's noise."""
        z = self.student.encode(images)
        return self.student.decode(z + self.noise(z.detach().float(), images.shape[-2:]), images.shape[-2:])

    def noise(self, z: Tensor, size: torch.Size) -> Tensor:
        """Finds the noise of norm 2 that changes the teachers' mean prediction most."""
        with torch.no_grad():
            clean = self.mean(z, size).softmax(dim=1)
        start = F.normalize(torch.randn_like(z).flatten(1)).view_as(z)
        offset = math.sqrt(self.epsilon) * z.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * start
        with torch.enable_grad():
            offset.requires_grad_()
            divergence = F.kl_div(self.mean(z + offset, size).log_softmax(dim=1), clean, reduction="sum")
            (gradient,) = torch.autograd.grad(divergence, offset)
        return EPS * F.normalize(gradient.flatten(1)).view_as(z)

    def mean(self, z: Tensor, size: torch.Size) -> Tensor:
        """Maps z to the teachers' mean logits."""
        first, second = (teacher.decode(z, size) for teacher in self.teachers)
        return (first + second).float() / 2

    def assisted(self, updated: Tensor, other: Tensor) -> Tensor:
        """Averages the teachers' logits, of the second only its highest ones."""
        kept = other.topk(min(TOP, other.shape[1]), dim=1).indices
        return (updated + updated.scatter(1, kept, other.gather(1, kept))) / 2

    def boxes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Draws partners and where their pixels are pasted, (B,) and (B, H, W)."""
        batch, (height, width) = len(images), images.shape[-2:]
        side = torch.distributions.Beta(4.0, 4.0).sample().neg().add(1).sqrt()
        centre = torch.rand(batch, 2, device=self.device)
        half = side.to(self.device) / 2
        down, across = (
            (torch.arange(length, device=self.device) / length - place[:, None]).abs() < half
            for length, place in ((height, centre[:, 0]), (width, centre[:, 1]))
        )
        return torch.randperm(batch, device=self.device), down[:, :, None] & across[:, None, :]
