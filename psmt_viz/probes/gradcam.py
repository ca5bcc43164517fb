"""Grad-CAM of the student before and after the perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import frozen
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import perturb
from psmt_viz.progress import progress
from psmt_viz.results import Cam, Cams
from psmt_viz.seeds import derived_seed

_LEAST_SHARE = 0.01
"""An image qualifies if the student finds at least this share of its pixels, correctly, as the target class."""


class _FromZ(nn.Module):
    """The student from z on; its first module is what Grad-CAM hooks, so that z + r can be mapped like z."""

    def __init__(self, network: DeepLabV3Plus, size: Sequence[int]) -> None:
        super().__init__()
        self.network, self.z, self.size = network, nn.Identity(), size

    def forward(self, z: Tensor) -> Tensor:
        """Maps z to logits at the image's size."""
        return decode_whole(self.network.decode, self.z(z), self.size)


def gradcam(
    bundle: PSMT,
    data: SegmentationData,
    *,
    images: int = 4,
    target_class: str | None = None,
    eps: float = 2.0,
    seed: int = 0,
    device: str = "cpu",
    parameters: dict[str, Any] | None = None,
) -> Cams:
    """Maps what speaks for a class in z, in z + VAT and in z + T-VAT.

    Images are taken in a seeded random order; one qualifies if at least 1 % of its pixels are the target class and are
    predicted so. The target is the image's largest class that is not `background`, unless a class is given. The score
    whose gradient is taken is the sum of the target's logits over the pixels predicted as the target before any
    perturbation, so the three maps of an image answer one question.

    Args:
        bundle: Networks with teachers; put in eval mode.
        data: The data set; validation images are used.
        images: How many images.
        target_class: Name of the class to map, in place of each image's largest.
        eps: Norm of the perturbations.
        seed: Decides the images and the start of each search.
        device: Where the networks are.
        parameters: Facts to keep with the result.

    Raises:
        UserError: if the class is unknown, there are no teachers, or fewer images qualify than are asked for.

    Grad-CAM (Selvaraju et al., 2017), eq. 1-2, computed by pytorch-grad-cam; maps are kept without its normalisation.
    """
    if target_class is not None and target_class not in bundle.classes:
        raise UserError(f"a class among {', '.join(bundle.classes)}", repr(target_class), "choose one of them")
    if images < 1:
        raise UserError("--images of at least 1", f"{images}", "raise it")
    bundle.eval()
    ids = data.ids("val")
    order = np.random.default_rng(derived_seed(seed, "gradcam")).permutation(len(ids))
    cams: list[Cam] = []
    rows = []
    with progress("gradcam", images) as advance:
        for image in labeled_images(data, [ids[i] for i in order], batch=1, device=device):
            if (cam := _cam_of(bundle, image, target_class, eps, seed)) is not None:
                cams.append(cam)
                rows.append(_row(cam, bundle.classes))
                advance("")
            if len(cams) == images:
                break
    if len(cams) < images:
        fix = f"ask for at most {len(cams)} images" if cams else "train the run for longer or choose another class"
        raise UserError(f"{images} images with a correctly predicted object", f"{len(cams)} such images", fix)
    facts = {
        "images": images,
        "target_class": target_class,
        "eps": eps,
        "seed": seed,
        "layer": "z",
        "method": "GradCAM",
        "rule": "seeded random order; target = largest class but background; at least 1 % of pixels correct",
        **(parameters or {}),
    }
    return Cams(cams=tuple(cams), classes=bundle.classes, table=pd.DataFrame(rows), parameters=facts)


def _cam_of(bundle: PSMT, image: LabeledImages, target_class: str | None, eps: float, seed: int) -> Cam | None:
    with torch.no_grad():
        z = encode_whole(bundle.student, image.images)
        prediction = decode_whole(bundle.student.decode, z, image.size).argmax(dim=1)
    target = _target(image.labels, prediction, bundle.classes, target_class)
    if target is None:
        return None
    inputs = {"clean": z}
    for kind in ("vat", "tvat"):
        inputs[kind] = z + perturb(bundle, kind, z, image.size, image_id=image.ids[0], eps=eps, seed=seed).delta
    mask = (prediction[0] == target).cpu().numpy().astype(np.float32)
    maps = {name: _raw_map(bundle, value, image.size, target, mask) for name, value in inputs.items()}
    return Cam(
        image_id=image.ids[0],
        class_name=bundle.classes[target],
        image=(image.images[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy(),
        truth=image.labels[0].byte().cpu().numpy(),
        prediction=prediction[0].byte().cpu().numpy(),
        **maps,
    )


def _target(labels: Tensor, prediction: Tensor, classes: Sequence[str], wanted: str | None) -> int | None:
    correct = torch.bincount(labels[(labels == prediction) & (labels != IGNORE)], minlength=len(classes))
    if wanted is not None:
        target = classes.index(wanted)
    else:
        counts = torch.bincount(labels[labels != IGNORE], minlength=len(classes))
        if "background" in classes:
            counts[classes.index("background")] = 0
        if not counts.any():
            return None
        target = int(counts.argmax())
    return target if correct[target] >= _LEAST_SHARE * labels.numel() else None


def _raw_map(
    bundle: PSMT, z: Tensor, size: Sequence[int], target: int, mask: NDArray[np.float32]
) -> NDArray[np.float32]:
    with frozen(bundle):
        model = _FromZ(bundle.student, size)
        # Not as a context manager, which hides IndexError; its steps one by one, since its call normalises the map.
        cam = GradCAM(model=model, target_layers=[model.z])
        try:
            output = cam.activations_and_grads(z.detach().requires_grad_())
            targets = [SemanticSegmentationTarget(target, mask)]
            targets[0](output[0]).backward()
            activations = cam.activations_and_grads.activations[0].numpy()
            gradients = cam.activations_and_grads.gradients[0].numpy()
            small = cam.get_cam_image(z, model.z, targets, activations, gradients)
        finally:
            cam.activations_and_grads.release()
    positive = torch.from_numpy(np.maximum(small, 0)).float()[None]
    return F.interpolate(positive, size=tuple(size), mode="bilinear", align_corners=True)[0, 0].numpy()


def _row(cam: Cam, classes: Sequence[str]) -> dict[str, Any]:
    inside = cam.truth == classes.index(cam.class_name)
    row: dict[str, Any] = {"image": cam.image_id, "class": cam.class_name}
    for name in Cam.MAPS:
        row[f"mass_{name}"] = float(getattr(cam, name).sum(dtype=np.float64))
    for name in Cam.MAPS:
        values, mass = getattr(cam, name), row[f"mass_{name}"]
        row[f"inside_{name}"] = float(values[inside].sum(dtype=np.float64) / mass) if mass else float("nan")
    return row
