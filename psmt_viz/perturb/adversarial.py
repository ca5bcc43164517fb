"""The perturbation that changes a prediction most, and the health of the search that found it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.config import Noise
from psmt_viz.errors import UserError

Predict = Callable[[Tensor], Tensor]
"""Maps z (B, C, H, W) to logits (B, K, H', W')."""
Generators = torch.Generator | Sequence[torch.Generator] | None
"""Source of a batch's random numbers: one for all images, one for each, or torch's global one."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """Numbers that tell whether a search worked, one value an image."""

    norm: Tensor
    """(B,) norm of the perturbation; eps if all is well."""
    relative_norm: Tensor
    """(B,) norm of the perturbation over the norm of z."""
    unchanged: Tensor
    """(B,) share of z's elements that the search's small step leaves as they are; near 1 it sees only rounding."""


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """A perturbation of z and how it was found."""

    delta: Tensor
    """(B, C, H, W) the perturbation to add to z; carries no graph."""
    start: Tensor
    """(B, C, H, W) the unit direction from which the search began."""
    health: Health


def norm_per_image(values: Tensor) -> Tensor:
    """Returns the Euclidean norm over all but the first dimension, (B, 1, 1, 1), in float32 or better."""
    exact = values.dtype if values.dtype == torch.float64 else torch.float32
    return torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True, dtype=exact)


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
    eps: float = 2.0,
    xi: float | None = None,
    iterations: int = 1,
    noise: Noise = "gaussian",
    floor: float = 0.0,
    generator: Generators = None,
) -> Perturbed:
    """Finds the perturbation of norm eps that changes a prediction most, by power iteration.

    VAT and T-VAT are this function with a different `predict`: the student's decoder, or the mean of the two teachers'
    decoders. A `predict` built from networks belongs in `frozen(...)`, so that it runs with BatchNorm in eval mode.

    Args:
        predict: Maps z to logits (B, K, H', W'); differentiable in z.
        z: (B, C, H, W) features; not changed.
        eps: Norm of the perturbation over all of C * H * W, for each image.
        xi: Norm of the small step of the finite difference. Left out, it is sqrt(machine epsilon) * ||z||, which
            balances the rounding of z + step against the curvature; the epsilon is that of z, or of autocast.
        iterations: Power iterations.
        noise: The start: a `gaussian` or `uniform` direction scaled to norm xi, or, `literal`, the unscaled N(0, I) of
            the supplement's equation 1.
        floor: Added to each norm before dividing. The published code adds 1e-8, which swallows small gradients; 0
            makes every perturbation have norm eps exactly.
        generator: Source of the start, on z's device; with one for each image, an image's start does not depend on the
            batch that it is in.

    Returns:
        The perturbation, the start direction and the search's health. KL is in nats, summed over pixels.

    Raises:
        UserError: if eps or xi is not above 0 and finite, z is not finite, or the gradient is zero or not finite.

    Virtual Adversarial Training (Miyato et al., 2018), eq. 11-12; Perturbed and Strict Mean Teachers for
    Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement eq. 1-2.
    """
    _check(z, eps=eps, xi=xi, iterations=iterations)
    z = z.detach()
    z_norm = norm_per_image(z)
    step = math.sqrt(_epsilon(z)) * z_norm if xi is None else torch.full_like(z_norm, xi)
    step = step.to(z.dtype)
    draw = random_like(z, generator, uniform=noise == "uniform")
    start = _scaled(draw, floor)
    with torch.no_grad():
        clean = F.log_softmax(predict(z), dim=1)
    offset = draw if noise == "literal" else step * start
    unchanged = (z + offset == z).flatten(1).float().mean(dim=1)
    for _ in range(iterations):
        gradient = _kl_gradient(predict, z, offset, clean)
        direction = _scaled(gradient, floor)
        offset = step * direction
    if floor == 0:
        _check_gradient(gradient)
    delta = eps * direction
    health = Health(
        norm=norm_per_image(delta).flatten(),
        relative_norm=(norm_per_image(delta) / z_norm).flatten(),
        unchanged=unchanged,
    )
    return Perturbed(delta=delta, start=start, health=health)


def kl_per_image(predict: Predict, z: Tensor, delta: Tensor) -> Tensor:
    """Returns KL(p(z) || p(z + delta)) of each image, (B,), in nats, summed over pixels; carries no graph."""
    with torch.no_grad():
        return kl_of_logits(predict(z), predict(z + delta))


def kl_of_logits(clean: Tensor, moved: Tensor) -> Tensor:
    """Returns KL(softmax(clean) || softmax(moved)) of each image, (B,), in nats, summed over pixels.

    Args:
        clean: (B, K, H, W) logits.
        moved: (B, K, H, W) logits.
    """
    log_p, log_q = F.log_softmax(clean, dim=1), F.log_softmax(moved, dim=1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).flatten(1).sum(dim=1)


def _kl_gradient(predict: Predict, z: Tensor, offset: Tensor, clean: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = offset.detach().requires_grad_()
        moved = F.log_softmax(predict(z + leaf), dim=1)
        kl = F.kl_div(moved, clean, reduction="sum", log_target=True)
        if not kl.requires_grad:
            raise _no_gradient("zero")
        (gradient,) = torch.autograd.grad(kl, leaf, allow_unused=True)
    if gradient is None:
        raise _no_gradient("zero")
    return gradient.detach()


def _scaled(values: Tensor, floor: float) -> Tensor:
    return (values / (norm_per_image(values) + floor)).to(values.dtype)


def _epsilon(z: Tensor) -> float:
    device = z.device.type
    arithmetic = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else z.dtype
    return max(torch.finfo(arithmetic).eps, torch.finfo(z.dtype).eps)


def _check(z: Tensor, *, eps: float, xi: float | None, iterations: int) -> None:
    for name, value in (("eps", eps), ("xi", xi)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} above 0 and finite", f"{value}", f"choose another {name}")
    if iterations < 1:
        raise UserError("at least 1 power iteration", f"{iterations}", "raise iterations")
    if z.ndim != 4 or not z.is_floating_point():
        raise UserError("z of shape (B, C, H, W), floating point", f"{tuple(z.shape)} {z.dtype}", "pass feature maps")
    if not torch.isfinite(z).all():
        raise UserError("finite features z", "NaN or infinity", "check the weights and the images")


def _check_gradient(gradient: Tensor) -> None:
    norm = norm_per_image(gradient).flatten()
    if not torch.isfinite(norm).all():
        raise _no_gradient("NaN or infinite")
    if (norm == 0).any():
        raise _no_gradient("zero")


def _no_gradient(kind: str) -> UserError:
    fix = "check that the prediction depends on z, and its weights and precision"
    return UserError("a gradient of KL with respect to z", f"a {kind} one", fix)
