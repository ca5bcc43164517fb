"""The perturbation that changes a prediction most, and the health of the search that found it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from psmt_viz.config import Noise
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.perturb.norms import mean_norm, norm_per_image, scaled
from psmt_viz.perturb.objectives import (
    Predict,
    Value,
    cross_entropy_objective,
    curvature_product,
    gradient,
    kl_objective,
    no_gradient,
)
from psmt_viz.search import Norm, Objective, Search

_TF32_EPSILON = 2.0**-10
"""Of TensorFloat-32, which has ten bits after the point."""
Generators = torch.Generator | Sequence[torch.Generator] | None
"""Source of a batch's random numbers: one for all images, one for each, or torch's global one."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """Numbers that tell whether a search worked, one value an image."""

    norm: Tensor
    """(B,) norm of the perturbation, for norm `pixel` the root mean square over the pixels; eps if all is well."""
    relative_norm: Tensor
    """(B,) norm of the perturbation over the norm of z, both over the whole image."""
    unchanged: Tensor
    """(B,) share of z's elements that the search's small step leaves as they are; near 1 it sees only rounding. 0 where
    no small step is taken."""


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """A perturbation of z and how it was found."""

    delta: Tensor
    """(B, C, H, W) the perturbation to add to z; carries no graph."""
    start: Tensor
    """(B, C, H, W) the unit direction from which the search began."""
    health: Health
    faults: Tensor | None = None
    """(B, 3) truth values: which faults of `fault_of` a search found that did not look at them itself."""
    gain: Tensor | None = None
    """(B,) objective reached over the objective at the start, of an ascent."""
    own_norm: Tensor | None = None
    """(B,) norm over the image at which a feature perturbation's authors apply it."""

    def of(self, index: int) -> Perturbed:
        """Returns that of one image, as a batch of one."""
        one = slice(index, index + 1)
        return Perturbed(
            delta=self.delta[one],
            start=self.start[one],
            health=Health(**{name: values[one] for name, values in vars(self.health).items()}),
            gain=None if self.gain is None else self.gain[one],
            own_norm=None if self.own_norm is None else self.own_norm[one],
        )


def perturbed(
    z: Tensor,
    direction: Tensor,
    *,
    eps: float | Tensor,
    start: Tensor,
    norm: Norm = "image",
    unchanged: Tensor | None = None,
    faults: Tensor | None = None,
    gain: Tensor | None = None,
    own_norm: Tensor | None = None,
) -> Perturbed:
    """Returns eps, or that of each image (B, 1, 1, 1), times a direction, with its sizes."""
    delta = eps * direction
    health = Health(
        norm=mean_norm(delta, norm),
        relative_norm=(norm_per_image(delta) / norm_per_image(z)).flatten(),
        unchanged=torch.zeros(len(direction), device=z.device) if unchanged is None else unchanged,
    )
    return Perturbed(delta=delta, start=start, health=health, faults=faults, gain=gain, own_norm=own_norm)


def random_like(z: Tensor, generator: Generators = None, *, uniform: bool = False) -> Tensor:
    """Draws numbers of z's shape, N(0, 1) or uniform on [-0.5, 0.5)."""
    source = torch.rand if uniform else torch.randn
    if isinstance(generator, Sequence):
        each = [source(z.shape[1:], generator=one, device=z.device, dtype=z.dtype) for one in generator]
        draw = torch.stack(each)
    else:
        draw = source(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    return draw - 0.5 if uniform else draw


def adversarial_perturbation(
    predict: Predict,
    z: Tensor,
    *,
    eps: float = PAPER_EPS,
    xi: float | None = None,
    iterations: int = 1,
    noise: Noise = "gaussian",
    floor: float = 0.0,
    batch: int | None = None,
    norm: Norm = "image",
    search: Search = "finite-difference",
    objective: Objective = "kl",
    labels: Tensor | None = None,
    start: Tensor | None = None,
    generator: Generators = None,
    wait: bool = True,
) -> Perturbed:
    """Finds the perturbation of norm eps that changes a prediction most, by power iteration.

    VAT and T-VAT are this function with a different `predict`: the student's decoder, or the mean of the two teachers'
    decoders. A `predict` built from networks belongs in `frozen(...)`, so that it runs with BatchNorm in eval mode.

    Args:
        predict: Maps z to logits (B, K, H', W'); differentiable in z.
        z: (B, C, H, W) features; not changed.
        eps: Norm of the perturbation, for each image or pixel (see `norm`).
        xi: Norm of the small step of the finite difference, over the image. Default:
            sqrt(machine epsilon) * ||z||, which balances the rounding of z + step against the curvature; the epsilon is
            that of z, of autocast, or of TensorFloat-32 where a GPU computes in it.
        iterations: Power iterations.
        noise: The start: a `gaussian` or `uniform` direction scaled to norm xi, or, `literal`, the unscaled N(0, I) of
            the supplement's equation 1.
        floor: Added to each norm before dividing; 0 makes every perturbation have norm eps exactly. The published code
            adds 1e-8 where its gradient is that of KL over `batch` with respect to the unit direction, so xi / batch
            times the gradient of an image's KL with respect to the offset; the floor is in these units. In units of
            the latter it is floor * batch / xi: 0.08 for the published xi of 1e-6 and 8 images, far above most
            gradients, so that next to nothing is left of eps.
        batch: Images over which the published code divides KL, for the floor alone. Default: those of z.
        norm: What eps bounds: the norm over all of C * H * W of an `image` (the paper), or that of each `pixel`'s
            feature vector; a pixel whose gradient is zero then stays as it is.
        search: `finite-difference`: the objective's gradient a small step away from z (that at z is 0, for KL);
            `central-difference`: between a step and its opposite, at twice the cost, for low precision; `exact`: the
            Hessian of KL at z times the direction (a forward-mode and a reverse-mode product), or the gradient of
            cross-entropy at z.
        objective: What the perturbation shall raise: `kl`, the change of the prediction (the paper), or
            `cross-entropy` to the labels.
        labels: (B, H', W') class ids, 255 where there is none, for cross-entropy.
        start: (B, C, H, W) where the search begins, in place of a draw.
        generator: Source of the start, on z's device; with one for each image, an image's start does not depend on the
            batch that it is in.
        wait: Wait for the device, to see whether z is finite and the gradient tells a direction. Otherwise `faults` of
            the result says so, and nothing here makes the host wait.

    Returns:
        The perturbation, the start direction and the search's health.

    Raises:
        UserError: if eps or xi is not above 0 and finite, z is not finite, the gradient is zero or not finite, labels
            are missing, or the inputs are on several devices.

    Virtual Adversarial Training (Miyato et al., 2018), eq. 11-12; Perturbed and Strict Mean Teachers for
    Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement eq. 1-2.
    """
    check_inputs(z, eps=eps, xi=xi, iterations=iterations, generator=generator, finite=wait)
    z = z.detach()
    z_norm = norm_per_image(z)
    step = math.sqrt(_epsilon(z)) * z_norm if xi is None else torch.full_like(z_norm, xi)
    step = step.to(z.dtype)
    draw = random_like(z, generator, uniform=noise == "uniform") if start is None else start.to(z)
    draw = torch.empty_like(z).copy_(draw)  # with channels last, where z has them last
    start = scaled(draw, floor=floor)
    offset = draw if noise == "literal" else step * start
    if search == "central-difference" and objective == "cross-entropy":
        fix = "choose finite-difference or exact"
        raise UserError("the objective kl with central-difference", "cross-entropy, whose gradient is wanted", fix)
    exact = search == "exact"
    # At r = 0 the gradient of KL vanishes and its Hessian takes its place; cross-entropy has a gradient there.
    value = None if exact and objective == "kl" else objective_of(predict, z, objective, labels)
    unchanged = None if exact else (z + offset == z).flatten(1).float().mean(dim=1)
    found, least = start, torch.zeros_like(step)
    for iteration in range(iterations):
        length = step
        if iteration:
            offset = step * scaled(found, floor=least)
        elif noise == "literal":  # which leaves the start unscaled
            length = norm_per_image(draw)
        # The floor in units of the gradient with respect to the offset: the chain rule's factor and the mean undone.
        least = floor * (batch or len(z)) / length
        if value is None:
            found = curvature_product(predict, z, offset)
        else:
            _, found = gradient(value, torch.zeros_like(offset) if exact else offset)
            if search == "central-difference":
                found = found - gradient(value, -offset)[1]
    faults = None
    if not wait:
        # The norm has been computed anyway, and is finite where z is.
        size = norm_per_image(found) if floor == 0 else torch.ones_like(z_norm)
        faults = torch.cat([~torch.isfinite(z_norm), ~torch.isfinite(size), size == 0], dim=1).flatten(1)
    elif floor == 0:
        check_gradient(found)
    direction = scaled(found, norm=norm, floor=least)
    return perturbed(z, direction, eps=eps, start=start, norm=norm, unchanged=unchanged, faults=faults)


def fault_of(found: Sequence[float]) -> UserError | None:
    """Returns the error of a search whose features or whose gradient are at fault, if they are.

    Args:
        found: Images whose features are not finite, whose gradient is not finite, and whose gradient is zero.
    """
    errors = (_not_finite(), no_gradient("NaN or infinite"), no_gradient("zero"))
    return next((error for error, images in zip(errors, found, strict=True) if images), None)


def objective_of(predict: Predict, z: Tensor, objective: Objective, labels: Tensor | None) -> Value:
    """Returns the objective as a function of the offset from z."""
    return kl_objective(predict, z) if objective == "kl" else cross_entropy_objective(predict, z, labels)


def check_inputs(
    z: Tensor,
    *,
    eps: float,
    xi: float | None = None,
    iterations: int = 1,
    generator: Generators = None,
    finite: bool = True,
) -> None:
    """Checks what every perturbation asks of its inputs; `finite`, that of z's values, waits for the device.

    Raises:
        UserError: if one of them is out of bounds, not finite, of a wrong shape or on another device.
    """
    for name, value in (("eps", eps), ("xi", xi)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} above 0 and finite", f"{value}", f"choose another {name}")
    if iterations < 1:
        raise UserError("at least 1 power iteration", f"{iterations}", "raise iterations")
    if not isinstance(z, Tensor):
        fix = "stack maps of one size; images of several sizes go one by one"
        raise UserError("z as one tensor (B, C, H, W)", type(z).__name__, fix)
    if z.ndim != 4 or not z.is_floating_point():
        raise UserError("z of shape (B, C, H, W), floating point", f"{tuple(z.shape)} {z.dtype}", "pass feature maps")
    each = generator if isinstance(generator, Sequence) else [generator]
    for one in each:
        if one is not None and one.device.type != z.device.type:
            fix = "make the generator with torch.Generator(z.device)"
            raise UserError("z and its generator on one device", f"{z.device} and {one.device}", fix)
    if finite and not torch.isfinite(z).all():
        raise _not_finite()


def check_gradient(found: Tensor) -> None:
    """Checks that a gradient tells a direction.

    Raises:
        UserError: if that of an image is zero or not finite.
    """
    norm = norm_per_image(found)
    wrong, zero = torch.stack([~torch.isfinite(norm).all(), (norm == 0).any()]).tolist()
    if wrong:
        raise no_gradient("NaN or infinite")
    if zero:
        raise no_gradient("zero")


def _not_finite() -> UserError:
    return UserError("finite features z", "NaN or infinity", "check the weights and the images")


def _epsilon(z: Tensor) -> float:
    device = z.device.type
    arithmetic = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else z.dtype
    least = max(torch.finfo(arithmetic).eps, torch.finfo(z.dtype).eps)
    return max(least, _TF32_EPSILON) if z.dtype == torch.float32 and _has_tf32(z.device) else least


def _has_tf32(device: torch.device) -> bool:
    """Whether convolutions round float32 to TensorFloat-32 there, as torch lets newer GPUs do by default."""
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    if device.type != "cuda" or convolutions.fp32_precision != "tf32":
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)
