"""A file of the form of golden_step, made by one training step written out from the rule's words.

It shares nothing with the trainer but the networks, so it can state the outputs of a step of any seed, crop, number of
classes, epoch and learning rate.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.checkpoints.layouts.psmt import places
from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build
from tests.authors import shapes

MARKS = {"teacher1": "1", "teacher2": "2", "student": "_s"}
GRADIENTS = ("encoder_s.backbone.conv1.0.weight", "decoder_s.upsample.classifier.bias")


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blocks(values: Tensor, times: int) -> Tensor:
    return torch.kron(values, torch.ones(times, times, dtype=values.dtype))


def picture(seed: int, count: int, crop: int) -> Tensor:
    g = source(seed)
    coarse = torch.randint(0, 256, (count, 3, crop // 8, crop // 8), generator=g)
    fine = torch.randint(-24, 25, (count, 3, crop, crop), generator=g)
    return (blocks(coarse, 8) + fine).clamp(0, 255)


def state(base: int, classes: int, classifier_scale: float, bn3_scale: float) -> dict[str, Tensor]:
    found = {}
    for index, (key, shape) in enumerate(shapes(classes=classes).items()):
        r = torch.randn(shape, generator=source(base + index))
        if key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(0)
        elif r.ndim == 4:
            found[key] = r * math.sqrt(2 / (shape[1] * shape[2] * shape[3]))
        elif key.endswith("running_var"):
            found[key] = 1 + 0.5 * r.abs()
        elif key.endswith(".weight"):
            found[key] = 1 + 0.1 * r
        else:
            found[key] = 0.1 * r
        if key.endswith("classifier.weight"):
            found[key] *= classifier_scale
        elif key.endswith("bn3.weight"):
            found[key] *= bn3_scale
    return found


def summary(values: Tensor) -> dict[str, Any]:
    return {"l2": float(values.double().norm()), "first5": values.flatten()[:5].double().tolist()}


def checksum(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


class StatedStep:
    """One step in float64: all numbers of its file."""

    images = 2

    def __init__(
        self,
        rule: dict[str, Any],
        *,
        base: int,
        crop: int,
        classes: int,
        epoch: int,
        epochs: int,
        iterations: int,
        lr0: float,
        classifier_scale: float,
        bn3_scale: float,
        xi: float,
    ) -> None:
        self.base, self.crop, self.classes, self.xi, self.lr0 = base, crop, classes, xi, lr0
        self.epoch, self.epochs, self.iterations = epoch, epochs, iterations
        words = {
            name: value.replace("with base 2000", f"with base {base}")
            for name, value in rule.items()
            if isinstance(value, str)
        }
        words["what"] = words["what"].replace("epoch 7 of 80", f"epoch {epoch} of {epochs}")
        words["what"] = words["what"].replace("an epoch of 10 iterations", f"an epoch of {iterations} iterations")
        said = [line.replace("R = 12*10", f"R = 12*{iterations}") for line in rule["step_in_words"]]
        self.rule = {
            **rule,
            **words,
            "step_in_words": said,
            "weight_seed_base": base,
            "classes": classes,
            "classifier_scale": classifier_scale,
            "bn3_scale": bn3_scale,
            "lr0": lr0,
            "crop": crop,
            "variants": {"published": f"xi {xi}, one_box, epoch {epoch}, two steps"},
        }
        theirs = state(base, classes, classifier_scale, bn3_scale)
        self.weights_check = {key: summary(theirs[key]) for key in ("encoder1.backbone.conv1.0.weight",)}
        config = ModelConfig(arch="psmt-deeplabv3plus", backbone="resnet50s", pretrained=False)
        self.networks = {role: build(config, classes).double() for role in MARKS}
        self.keys = places(self.networks["student"].state_dict())
        for key, (role, ours) in self.keys.items():
            if ".head.last_conv." not in key:
                self.networks[role].state_dict()[ours].copy_(theirs[key])
        self._inputs()

    def _inputs(self) -> None:
        seed, crop, images = self.base + 100_000, self.crop, self.images
        self.labeled = picture(seed + 2, images, crop)
        self.label = blocks(
            torch.randint(0, self.classes, (images, crop // 16, crop // 16), generator=source(seed + 3)), 16
        )
        self.label[:, -5:] = 255
        self.weak = picture(seed + 4, images, crop)
        self.strong = self.weak * 4 // 5 + 20
        for view in (self.weak, self.strong):
            view[..., -6:] = torch.tensor([124, 116, 104])[:, None, None]
        shape = (images, 304, crop // 4, crop // 4)
        self.u = [torch.rand(shape, generator=source(seed + number)) for number in (5, 6)]
        g = source(seed + 7)
        height, width = torch.randint(crop // 4, crop // 2 + 1, (2,), generator=g).tolist()
        self.boxes = []
        for _ in range(images):
            top, left = torch.randint(0, crop - crop // 4, (2,), generator=g).tolist()
            self.boxes.append([top, left, min(crop, top + height), min(crop, left + width)])
        byte = {
            "labelled_weak_uint8": picture(seed + 1, images, crop),
            "labelled_strong_uint8": self.labeled,
            "labels_as_uint8": self.label,
            "unlabelled_weak_uint8": self.weak,
            "unlabelled_strong_uint8": self.strong,
        }
        self.sums = {name: checksum(values.to(torch.uint8)) for name, values in byte.items()}
        self.sums |= {
            f"noise_{name}_float32": checksum(u) for name, u in zip(("labelled", "unlabelled"), self.u, strict=True)
        }

    def _ensemble(self, z: Tensor) -> Tensor:
        return sum(self.networks[role].decode(z, (self.crop, self.crop)) for role in ("teacher1", "teacher2")) / 2

    def _noise(self, z: Tensor, u: Tensor) -> tuple[Tensor, dict[str, Any]]:
        for role in ("teacher1", "teacher2"):
            self.networks[role].eval().requires_grad_(False)
        z = z.detach()
        p = self._ensemble(z).softmax(1)
        d = u.double() - 0.5
        d = (d / (d.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)).requires_grad_()
        q = self._ensemble(z + self.xi * d).log_softmax(1)
        (p * (p.log() - q)).sum().div(len(z)).backward()
        norm = d.grad.flatten(1).norm(dim=1)[:, None, None, None]
        r = 2 * d.grad / (norm + 1e-8)
        after = self._ensemble(z + r)
        kl = (p * (p.log() - after.log_softmax(1))).flatten(1).sum(1)
        flips = (p.argmax(1) != after.argmax(1)).flatten(1).sum(1)
        return r, {
            "r_norm": r.flatten(1).norm(dim=1).tolist(),
            "kl_sum_per_image": kl.tolist(),
            "argmax_flips_per_image": flips.tolist(),
            "r_first5": r.flatten()[:5].tolist(),
        }

    def _mixed(self, core: str, other: str) -> tuple[Tensor, Tensor]:
        """The strong views and the teachers' mean after the box was pasted."""
        with torch.no_grad():
            logits = {role: self.networks[role].train()(self.weak.double() / 255) for role in (core, other)}
        least = logits[other].sort(dim=1, descending=True).values[:, min(7, self.classes) - 1, None]
        mean = 0.5 * logits[core] + 0.5 * torch.where(logits[other] >= least, logits[other], logits[core])
        top, left, bottom, right = self.boxes[0]
        mixed, target = self.strong.clone(), mean.clone()
        for image in range(2):
            inside = (image, slice(None), slice(top, bottom), slice(left, right))
            mixed[inside] = self.strong[(1 - image, *inside[1:])]
            target[inside] = mean[(1 - image, *inside[1:])]
        return mixed, target

    def document(self) -> dict[str, Any]:
        """Takes the step and returns the file's contents."""
        student, size = self.networks["student"], (self.crop, self.crop)
        core, other = ("teacher1", "teacher2") if self.epoch % 2 else ("teacher2", "teacher1")
        mixed, target = self._mixed(core, other)
        confidence, pseudo = target.softmax(1).max(1)
        passing = confidence >= 0.6
        noises, losses = [], []
        student.train()
        for images, u, name in ((self.labeled, self.u[0], "labelled"), (mixed, self.u[1], "unlabelled")):
            z = student.encode(images.double() / 255)
            r, told = self._noise(z, u)
            noises.append({"branch": name, **told})
            predicted = student.decode(z + r, size)
            if name == "labelled":
                losses.append(F.cross_entropy(predicted, self.label, ignore_index=255))
            else:
                each = F.cross_entropy(predicted, pseudo, reduction="none")
                losses.append((each * confidence)[passing].mean())
        step = (self.epoch - 1) * self.iterations
        share = 1 - 0.5 * (math.cos(math.pi * step / (12 * self.iterations)) + 1)
        weight, lr = 1.5 * share, self.lr0 * (1 - step / (self.epochs * self.iterations)) ** 0.9
        (losses[0] + weight * losses[1]).backward()
        losses = [loss.detach() for loss in losses]
        gradients = {name: p.grad.clone() for name, p in student.named_parameters()}
        with torch.no_grad():
            for p in student.parameters():
                p.sub_(lr * (p.grad + (1e-4 * p if p.ndim == 4 else 0)))
            kept, learned = self.networks[core].state_dict(), student.state_dict()
            for key, values in kept.items():
                if values.is_floating_point() and key not in ("backbone.mean", "backbone.std"):
                    values.mul_(0.996).add_(0.004 * learned[key])
        run = {
            "sup_loss": float(losses[0]),
            "unsup_loss": float(losses[1]),
            "unsup_loss_times_weight": weight * float(losses[1]),
            "ramp_times_final_weight": weight,
            "total_loss": float(losses[0] + weight * losses[1]),
            "learning_rate": lr,
            "passing_pixels": int(passing.sum()),
            "mean_confidence": float(confidence.mean()),
            "pseudo_label_histogram_after_cutmix": torch.bincount(pseudo.flatten(), minlength=self.classes).tolist(),
            "noise": noises,
            "student_grad_l2_total": math.sqrt(sum(float(g.square().sum()) for g in gradients.values())),
            "student_grad": {key: summary(gradients[self.keys[key][1]]) for key in GRADIENTS},
            "after": self._after(),
        }
        whole = {"one_box": [self.boxes[0]] * 2, "box_per_image": self.boxes}
        return {
            "file": "golden_step",
            "rule": self.rule,
            "boxes": {"step0": whole},
            "partner": [1, 0],
            "inputs_sha256": {"step0": self.sums},
            "weights_check": self.weights_check,
            "runs": {"published_fp64": {"step0": run}},
        }

    def _after(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for role, mark in MARKS.items():
            own = self.networks[role].state_dict()
            statistics = [value for key, value in own.items() if key.endswith(("running_mean", "running_var"))]
            parameters = list(self.networks[role].parameters())
            for kind, tensors in (("weights", parameters), ("running_stats", statistics)):
                total = math.sqrt(sum(float(value.detach().square().sum()) for value in tensors))
                found[f"{role}_l2_all_{kind}"] = total
            ends = {"weights": "backbone.layer3.5.bn3.bias", "bn": "head.aspp.map_bn.running_mean"}
            for kind, end in ends.items():
                key = f"encoder{mark}.{end}"
                found[f"{role}_{kind}"] = {key: summary(own[self.keys[key][1]])}
        return found
