"""What a perturbation shall raise, its gradient, and the curvature that a power iteration follows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE

Predict = Callable[[Tensor], Tensor]
"""Maps z (B, C, H, W) to logits (B, K, H', W')."""
Value = Callable[[Tensor], Tensor]
"""Maps an offset r (B, C, H, W) to the objective of each image at z + r, (B,)."""


def predicted(predict: Predict, z: Tensor) -> Tensor:
    """Returns predict(z), a (B, K, H', W') tensor on z's device.

    Raises:
        UserError: if it is something else, or networks and z are on several devices.
    """
    try:
        logits = predict(z)
    except RuntimeError as error:
        if "device" not in str(error):
            raise
        raise _devices(f"z on {z.device} and {' '.join(str(error).split())[:160]}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 4 or len(logits) != len(z):
        got = f"{tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"logits ({len(z)}, K, H, W) for {len(z)} images", got, "return one tensor from decode")
    if logits.device != z.device:
        raise _devices(f"z on {z.device}, logits on {logits.device}")
    return logits


def kl_of_logits(clean: Tensor, moved: Tensor) -> Tensor:
    """Returns KL(softmax(clean) || softmax(moved)) of each image, (B,), in nats, summed over pixels.

    Args:
        clean: (B, K, H, W) logits.
        moved: (B, K, H, W) logits.
    """
    log_p, log_q = F.log_softmax(clean, dim=1), F.log_softmax(moved, dim=1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).flatten(1).sum(dim=1)


def kl_per_image(predict: Predict, z: Tensor, delta: Tensor) -> Tensor:
    """Returns KL(p(z) || p(z + delta)) of each image, (B,), in nats, summed over pixels; carries no graph."""
    with torch.no_grad():
        return kl_of_logits(predict(z), predict(z + delta))


def kl_objective(predict: Predict, z: Tensor) -> Value:
    """Returns r -> KL(p(z) || p(z + r)), in nats, summed over pixels, for each image.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement eq. 2.
    """
    with torch.no_grad():
        # Not exp(log p): the gradient is a small difference of probabilities, which must add up to 1 as they do in q.
        p = predicted(predict, z).softmax(dim=1)
        # F.kl_div, but for this part, which it would compute again at every offset.
        p_log_p = torch.xlogy(p, p)

    def value(offset: Tensor) -> Tensor:
        log_q = F.log_softmax(predicted(predict, z + offset), dim=1)
        return (p_log_p - p * log_q).flatten(1).sum(dim=1)

    return value


def cross_entropy_objective(predict: Predict, z: Tensor, labels: Tensor | None) -> Value:
    """Returns r -> the cross-entropy of p(z + r) to the labels, in nats, summed over labelled pixels, for each image.

    Args:
        predict: Maps z to logits (B, K, H, W).
        z: (B, C, h, w) features.
        labels: (B, H, W) class ids, 255 where there is none.

    Raises:
        UserError: if there are no labels, they do not fit the logits, or lie on another device.
    """
    if labels is None:
        raise UserError("labels with the objective cross-entropy", "none", "pass labels, or choose the objective kl")
    if labels.device != z.device:
        raise _devices(f"z on {z.device}, labels on {labels.device}")
    if (labels == IGNORE).flatten(1).all(dim=1).any():
        raise UserError("a labelled pixel in every image", "an image that is void alone", "leave it out")

    def value(offset: Tensor) -> Tensor:
        logits = predicted(predict, z + offset)
        if logits.shape[-2:] != labels.shape[-2:]:
            got = f"labels {tuple(labels.shape[-2:])}, logits {tuple(logits.shape[-2:])}"
            raise UserError("labels and logits of one size", got, "decode to the size of the labels")
        return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten(1).sum(dim=1)

    return value


def gradient(value: Value, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Returns an objective (B,) at an offset and its gradient there, (B, C, H, W), both without a graph.

    Raises:
        UserError: if the objective does not depend on the offset.
    """
    with torch.enable_grad():
        leaf = offset.detach().requires_grad_()
        values = value(leaf)
        if not values.requires_grad:
            raise no_gradient("zero")
        (found,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
    if found is None:
        raise no_gradient("zero")
    return values.detach(), found.detach()


def curvature_product(predict: Predict, z: Tensor, direction: Tensor) -> Tensor:
    """Returns the Hessian at r = 0 of KL(p(z) || p(z + r)), times a direction.

    At r = 0 the Hessian is J^T (diag(p) - p p^T) J with J the Jacobian of the logits: a forward-mode product through
    the network, the softmax's covariance at each pixel, and a reverse-mode product back. Autocast is off in it.

    Args:
        predict: Maps z to logits (B, K, H', W').
        z: (B, C, H, W) features; float64 gives a reference.
        direction: (B, C, H, W).

    Returns:
        (B, C, H, W), without a graph.
    """

    def full(values: Tensor) -> Tensor:
        # Forward mode and autocast do not go together: autocast leaves the dual numbers as they are.
        with torch.autocast(z.device.type, enabled=False):
            return predicted(predict, values)

    z, direction = z.detach(), direction.detach()
    if torch.is_autocast_enabled(z.device.type):  # weights are in full precision, what autocast made is not
        z, direction = (values.to(torch.promote_types(values.dtype, torch.float32)) for values in (z, direction))
    logits, moved = torch.func.jvp(full, (z,), (direction,))  # type: ignore[misc]
    p = logits.softmax(dim=1)
    weighted = p * (moved - (p * moved).sum(dim=1, keepdim=True))
    _, pull_back = torch.func.vjp(full, z)  # type: ignore[misc]
    return pull_back(weighted)[0].detach()


def no_gradient(kind: str) -> UserError:
    """Returns the error of a search that cannot know a direction."""
    fix = "check that the prediction depends on z, and its weights and precision"
    return UserError("a gradient of the objective with respect to z", f"a {kind} one", fix)


def _devices(got: str) -> UserError:
    return UserError("networks, z, labels and generators on one device", got, "move them with .to(device)")
