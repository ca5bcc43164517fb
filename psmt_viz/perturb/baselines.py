"""Perturbations that search nothing: what an adversarial one is compared with.

The feature perturbations are those of Semi-Supervised Semantic Segmentation with Cross-Consistency Training (Ouali et
al., 2020), section 3.2. They change z by a size of their own (`Perturbed.own_norm`), far above eps; here only their
direction counts, and they have norm eps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.kinds import PAPER_EPS
from psmt_viz.perturb.adversarial import Generators, Perturbed, check_gradient, check_inputs, perturbed, random_like
from psmt_viz.perturb.norms import norm_per_image, scaled
from psmt_viz.perturb.objectives import Predict, predicted
from psmt_viz.search import Norm

DROP_SHARE = 0.5
"""Chance that `dropout` drops a channel."""
DROP_THRESHOLD = (0.6, 0.9)
"""Range of the threshold of `feature-drop`, as a share of the image's strongest activation."""
NOISE_RANGE = 0.3
"""Largest relative change of `feature-noise`."""
CUT_SIDE = 0.4
"""Sides of the box that `cutout` cuts from a region, as a share of the region's own sides."""
LEAST_REGION = 0.005
"""Share of the image's pixels below which `cutout` leaves a region alone."""

Draw = Callable[[tuple[int, ...]], Tensor]
"""Draws uniform numbers in [0, 1) of a shape."""


def random_perturbation(
    z: Tensor, *, eps: float = PAPER_EPS, norm: Norm = "image", generator: Generators = None
) -> Perturbed:
    """Draws a Gaussian direction of norm eps for each image: the control of equal size.

    Args:
        z: (B, C, H, W) features.
        eps: Norm of the perturbation.
        norm: What eps bounds (see `adversarial_perturbation`).
        generator: Source of the draw, on z's device.
    """
    check_inputs(z, eps=eps, generator=generator)
    draw = random_like(z.detach(), generator)
    return perturbed(z.detach(), scaled(draw, norm=norm), eps=eps, start=scaled(draw), norm=norm)


def feature_perturbation(
    kind: str,
    z: Tensor,
    *,
    predict: Predict | None = None,
    eps: float = PAPER_EPS,
    norm: Norm = "image",
    generator: Sequence[torch.Generator],
) -> Perturbed:
    """Changes features at random as Cross-Consistency Training does, scaled to norm eps.

    Args:
        kind: `dropout` of channels; `feature-drop`, which clears the most active places; `feature-noise`, uniform and
            relative; `cutout`, which clears a box in each predicted region. Each is a function of this file.
        z: (B, C, H, W) features; not changed.
        predict: Maps z to logits; `cutout` asks it for the regions.
        eps: Norm of the perturbation.
        norm: What eps bounds (see `adversarial_perturbation`).
        generator: Source of the draws, on z's device, one for each image.

    Raises:
        UserError: if z is not finite or nothing in it changes.
    """
    check_inputs(z, eps=eps, generator=generator)
    z = z.detach()
    if kind == "cutout":
        assert predict is not None
        with torch.no_grad():
            regions = predicted(predict, z).argmax(dim=1)
        changes = [cutout(one, of, _draw(z, g)) for one, of, g in zip(z, regions, generator, strict=True)]
    else:
        changes = [_CHANGES[kind](one, _draw(z, g)) for one, g in zip(z, generator, strict=True)]
    change = torch.stack(changes)
    check_gradient(change)
    direction = scaled(change, norm=norm)
    return perturbed(z, direction, eps=eps, start=scaled(change), norm=norm, own_norm=norm_per_image(change).flatten())


def dropout(z: Tensor, draw: Draw) -> Tensor:
    """Returns the change of z (C, H, W) when each channel is dropped with chance 1/2, the others made up for it."""
    kept = (draw((len(z), 1, 1)) >= DROP_SHARE).to(z)
    return z * (kept / (1 - DROP_SHARE) - 1)


def feature_drop(z: Tensor, draw: Draw) -> Tensor:
    """Returns the change of z (C, H, W) when places above a random share of the strongest activation are cleared."""
    low, high = DROP_THRESHOLD
    activity = z.sum(dim=0)
    # Relative to the range, as features of other networks may be negative.
    activity = (activity - activity.min()) / (activity.max() - activity.min()).clamp_min(torch.finfo(z.dtype).tiny)
    return -z * (activity >= low + (high - low) * draw(()))


def feature_noise(z: Tensor, draw: Draw) -> Tensor:
    """Returns the change of z (C, H, W) when each feature is scaled by 1 + U(-0.3, 0.3)."""
    return z * (2 * draw(tuple(z.shape)) - 1) * NOISE_RANGE


def cutout(z: Tensor, regions: Tensor, draw: Draw) -> Tensor:
    """Returns the change of z (C, h, w) when a box in each region of the prediction is cleared.

    A region is a connected part of one class, of at least 0.5 % of the image; its box has 0.4 of the sides of the
    region's bounding box and lies anywhere in that. An image without such a region is one.

    Args:
        z: (C, h, w) features.
        regions: (H, W) predicted class ids.
        draw: Source of the places.
    """
    ids = regions.cpu().numpy()
    cut = np.zeros(ids.shape, bool)
    for box in _boxes(ids) or [(slice(0, ids.shape[0]), slice(0, ids.shape[1]))]:
        inside = []
        for side, share in zip(box, draw((2,)).tolist(), strict=True):
            length = side.stop - side.start
            wide = max(1, round(CUT_SIDE * length))
            first = side.start + int(share * (length - wide + 1))
            inside.append(slice(first, first + wide))
        cut[tuple(inside)] = True
    mask = torch.from_numpy(cut)[None, None].to(z)
    small = F.adaptive_max_pool2d(mask, z.shape[-2:])[0]
    return -z * small


def _boxes(ids: np.ndarray) -> list[tuple[slice, ...]]:
    from scipy import ndimage  # not before a cutout is asked for

    boxes = []
    for value in np.unique(ids):
        labelled, _ = ndimage.label(ids == value)
        sizes = np.bincount(labelled.ravel())
        boxes += [
            box
            for place, box in enumerate(ndimage.find_objects(labelled), start=1)
            if sizes[place] >= LEAST_REGION * ids.size
        ]
    return boxes


def _draw(z: Tensor, generator: torch.Generator) -> Draw:
    return lambda shape: torch.rand(shape, generator=generator, device=z.device, dtype=z.dtype)


_CHANGES: Mapping[str, Callable[[Tensor, Draw], Tensor]] = MappingProxyType(
    {"dropout": dropout, "feature-drop": feature_drop, "feature-noise": feature_noise}
)
"""Kind -> the change of z (C, H, W) by a source of uniform numbers; `cutout` needs the prediction besides."""
