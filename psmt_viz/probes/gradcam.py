"""Class activation maps of the student before and after the perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import TooLittleCorrect, UserError
from psmt_viz.kinds import CLEAN, KINDS
from psmt_viz.metrics import IGNORE
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import frozen
from psmt_viz.probes.cam_faithfulness import SHARES, faithfulness
from psmt_viz.probes.cam_layers import Explained, explained
from psmt_viz.probes.cam_methods import check_method, raw_map
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import panels_of, perturbation
from psmt_viz.probes.settings import GradcamSettings, asked
from psmt_viz.progress import progress
from psmt_viz.results import Cam, Cams
from psmt_viz.seeds import derived_seed

_LEAST_SHARE = 0.01
"""An image qualifies if the student finds at least this share of its pixels, correctly, as the target class."""


def gradcam(
    networks: Networks,
    data: SegmentationData,
    settings: GradcamSettings | None = None,
    *,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> Cams:
    """Maps what speaks for a class at a layer of the student, with z as it is and with each perturbation added to z.

    Images are taken in a seeded random order; one qualifies if at least 1 % of its pixels are the target class and are
    predicted so. If fewer qualify than are asked for, all that do are mapped. The target is the image's largest class
    that is not `background`, unless a class is given. The score that is explained is the sum of the target's logits
    over the pixels predicted as the target before any perturbation, so the maps of an image answer one question. The
    perturbation of an image is added to z in all that is asked of the perturbed network, so layers before z have the
    same activations, only other gradients.

    Faithfulness (see `faithfulness`) says whether the network needs what its map points at: 1 at best, about 0 for a
    map that says nothing, below 0 for a misleading one. After a perturbation it is that of the perturbed network.

    Args:
        networks: A student, with or without teachers; left as they were.
        data: The data set; validation images are used.
        settings: What to map: how many images, which class, method and layer (`z`, `logits` or any module of the
            student, for instance `backbone.body.layer4`), and the perturbations. Gradients are not needed by all
            methods, nor a class. Default: as in the paper's figure.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Raises:
        UserError: if the class, the method, the layer or a panel is unknown, a panel needs teachers that are not there,
            or no image qualifies.

    Grad-CAM (Selvaraju et al., 2017), eq. 1-2, and its kin, computed by pytorch-grad-cam; maps are kept without its
    normalisation.
    """
    how = settings or GradcamSettings()
    if how.target_class is not None and how.target_class not in networks.classes:
        raise UserError(f"a class among {', '.join(networks.classes)}", repr(how.target_class), "choose one of them")
    check_method(how.method)
    shown = panels_of(networks, how.panels)
    ids = data.ids("val")
    order = np.random.default_rng(derived_seed(how.seed, "gradcam")).permutation(len(ids))
    found: list[_Found] = []
    with (
        frozen(networks),
        explained(networks.student, how.layer) as model,
        progress("gradcam", how.images) as advance,
    ):
        mapper = _Mapper(networks=networks, model=model, kinds=shown[1:], settings=how)
        for image in labeled_images(data, [ids[i] for i in order], batch=1, device=device):
            if (one := mapper.map(image)) is not None:
                found.append(one)
                advance("")
            if len(found) == how.images:
                break
    if not found:
        what = how.target_class or "object"
        expected = f"an image with a correctly predicted {what} on at least {_LEAST_SHARE:.0%} of its pixels"
        raise TooLittleCorrect(expected, f"none among {len(ids)}", "train the run for longer or choose another class")
    return Cams(
        cams=tuple(one.cam for one in found),
        classes=networks.classes,
        table=pd.DataFrame([one.row for one in found]),
        subject=dict(subject or {}),
        # A run's own facts have a `method`, too.
        asked={**asked(how, leave_out=("method",)), "cam_method": how.method},
        used={
            "faithfulness_shares": list(SHARES),
            "rule": "seeded random order; target = largest class but background; at least 1 % of pixels correct",
        },
        measured={"relative_norm": float(np.mean([one.relative_norm for one in found]))},
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    cam: Cam
    row: dict[str, Any]
    relative_norm: float


@dataclass(frozen=True, kw_only=True)
class _Mapper:
    """What stays the same from image to image."""

    networks: Networks
    model: Explained
    kinds: Sequence[str]
    settings: GradcamSettings

    def map(self, image: LabeledImages) -> _Found | None:
        """Maps one image, or returns None if it does not qualify."""
        networks, id = self.networks, image.ids[0]
        with torch.no_grad():
            z = encode_whole(networks, image.images)
            decode = partial(networks.decode, "student")
            prediction = decode_whole(decode, z, image.size, multiple=networks.multiple).argmax(dim=1)
        target = _target(image.labels, prediction, networks.classes, self.settings.target_class)
        if target is None:
            return None
        made = {
            kind: perturbation(
                networks, kind, z, image.size, image_id=id, eps=self.settings.eps, seed=self.settings.seed
            )
            for kind in self.kinds
        }
        deltas = {CLEAN: torch.zeros_like(z), **{kind: one.delta for kind, one in made.items()}}
        sized = next((one for kind, one in made.items() if KINDS[kind].keeps_eps), made[self.kinds[0]])
        mask = (prediction[0] == target).cpu().numpy()
        maps, scores = {}, {}
        for name, delta in deltas.items():
            self.model.delta = delta
            maps[name], scores[name] = self._map_and_faithfulness(image, target, mask)
        cam = Cam(
            image_id=id,
            class_name=networks.classes[target],
            image=(image.images[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy(),
            truth=image.labels[0].byte().cpu().numpy(),
            prediction=prediction[0].byte().cpu().numpy(),
            maps=maps,
        )
        row = _row(cam, networks.classes) | {f"faithfulness_{name}": score for name, score in scores.items()}
        return _Found(cam=cam, row=row, relative_norm=float(sized.health.relative_norm))

    def _map_and_faithfulness(
        self, image: LabeledImages, target: int, mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], float]:
        own = derived_seed(self.settings.seed, "cam", image.ids[0])
        found = raw_map(self.model, image.images, method=self.settings.method, target=target, mask=mask, seed=own)
        inside = torch.from_numpy(mask).to(image.images.device)

        def probability(images: Tensor) -> Tensor:
            return self.model(images).softmax(dim=1)[:, target][:, inside].mean(dim=1)

        return found, faithfulness(probability, image.images[0], found, seed=own)


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


def _row(cam: Cam, classes: Sequence[str]) -> dict[str, Any]:
    inside = cam.truth == classes.index(cam.class_name)
    maps = {name: values.astype(np.float64) for name, values in cam.maps.items()}
    mass = {name: float(values.sum()) for name, values in maps.items()}
    before = mass[CLEAN] or float("nan")
    row: dict[str, Any] = {"image": cam.image_id, "class": cam.class_name}
    row |= {f"mass_{name}": mass[name] for name in maps}
    row |= {f"inside_{name}": float(maps[name][inside].sum() / (mass[name] or float("nan"))) for name in maps}
    row |= {f"change_{name}": mass[name] / before - 1 for name in list(maps)[1:]}
    return row | {f"moved_{name}": float(np.abs(maps[name] - maps[CLEAN]).sum() / before) for name in list(maps)[1:]}
