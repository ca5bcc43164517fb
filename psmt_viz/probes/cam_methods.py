"""The methods of class activation mapping, pytorch-grad-cam's, by name."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from types import MappingProxyType
from typing import Any

import numpy as np
import pytorch_grad_cam as library
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.ablation_layer import AblationLayer
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.models.resize import resize_aligned
from psmt_viz.probes.cam_layers import Explained
from psmt_viz.probes.layers import SIDES

_BATCH = 8
"""Images at a time for the methods that try every channel."""
_PLACES = 12_000
"""Most places (h * w) of a layer for KPCA-CAM, which decomposes a matrix of places by places."""


class _ToZero(AblationLayer):
    """Sets a channel to 0, as Ablation-CAM's paper does.

    The library's own sets it to -1e7 as soon as any value is negative, so that z, which has none, and z + r would be
    mapped by different rules.
    """

    def __call__(self, _: Tensor) -> Tensor:
        output = self.activations
        for image, channel in zip(output, self.indices, strict=False):
            image[channel] = 0
        return output


class _Ablation(library.AblationCAM):
    def __init__(self, model: Explained, target_layers: list[torch.nn.Module]) -> None:
        super().__init__(model, target_layers, ablation_layer=_ToZero(), batch_size=_BATCH)


class _Score(library.ScoreCAM):
    batch_size = _BATCH


# The library's own decompositions of these three make a matrix of places by places: for a photograph's z 3 GB and a
# minute a map, where the thin one gives the same component.
class _Eigen(library.EigenCAM):
    def get_cam_image(self, *args: Any) -> NDArray[np.float32]:
        return _first_component(args[3])


class _EigenGrad(library.EigenGradCAM):
    def get_cam_image(self, *args: Any) -> NDArray[np.float32]:
        return _first_component(args[4] * args[3])


class _SegEigen(library.SegEigenCAM):
    def get_cam_image(self, *args: Any) -> NDArray[np.float32]:
        projection = _first_component(np.abs(args[4]) * args[3])
        return -projection if -projection.min() > projection.max() else projection


def _first_component(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Projects (1, C, h, w) onto its first principal component over the places, up to the sign."""
    rows = values[0].reshape(values.shape[1], -1).T
    rows = rows - rows.mean(axis=0)
    direction = np.linalg.svd(rows, full_matrices=False)[2][0]
    return (rows @ direction).reshape(1, *values.shape[2:])


METHODS: Mapping[str, Any] = MappingProxyType(
    {
        "gradcam": library.GradCAM,
        "gradcam++": library.GradCAMPlusPlus,
        "xgradcam": library.XGradCAM,
        "hirescam": library.HiResCAM,
        "layercam": library.LayerCAM,
        "gradcamelementwise": library.GradCAMElementWise,
        "shapleycam": library.ShapleyCAM,
        "eigencam": _Eigen,
        "eigengradcam": _EigenGrad,
        "segeigencam": _SegEigen,
        "kpcacam": library.KPCA_CAM,
        "fem": library.FEM,
        "ablationcam": _Ablation,
        "scorecam": _Score,
        "randomcam": library.RandomCAM,
    }
)
"""Name -> class. `shapleycam` equals `gradcam` where all between layer and logits is piecewise linear, as ReLUs are.
`eigencam`, `kpcacam` and `fem` ask neither for gradients nor for a class.

Not taken from pytorch-grad-cam: FullGrad (sums normalised maps of all layers that have a bias), RefineCAM and SESS
(combine normalised maps of several layers or patches), FinerCAM (compares the classes of one class vector), guided
back-propagation, Sobel and feature factorisation (not maps of a class at a layer).
"""
_UNSIGNED = ("eigencam", "eigengradcam", "kpcacam")


def check_method(method: str) -> None:
    """Raises the user's error for a method that is not there.

    Raises:
        UserError: if it is not.
    """
    if method not in METHODS:
        raise UserError(f"--method among {', '.join(METHODS)}", repr(method), "choose one of them")


def raw_map(
    model: Explained, images: Tensor, *, method: str, target: int, mask: NDArray[np.bool_], seed: int = 0
) -> NDArray[np.float32]:
    """Maps what speaks for a class at the layer in sight: the non-negative part of the method's map, not normalised.

    The score is the sum of the target's logits over the mask. Score-CAM, which exponentiates scores, is given their
    mean in its place. A principal component has no sign of its own: EigenCAM, Eigen-Grad-CAM and KPCA-CAM are given
    the one by which the mask lies higher than the rest.

    Args:
        model: The network, in eval mode and without parameter gradients.
        images: (1, 3, H, W) in [0, 1].
        method: One of `METHODS`.
        target: Class id.
        mask: (H, W) the pixels whose logits count; at least one.
        seed: Of the methods that draw random numbers.

    Returns:
        (H, W) map, sampled bilinearly with aligned corners.

    Raises:
        UserError: if the layer has no one map, the logits do not depend on it, or it has too many places for KPCA-CAM.
    """
    share = mask / mask.sum() if method == "scorecam" else mask
    targets = [SemanticSegmentationTarget(target, share.astype(np.float32))]
    # Not as a context manager, which hides IndexError; its steps one by one, since its call normalises the map.
    cam = METHODS[method](model=model, target_layers=[model.seen])
    hooks = cam.activations_and_grads
    try:
        activations, gradients = _seen(cam, model, images, targets[0])
    finally:
        # Before the map is made: the methods that try every channel would pile up what the hooks see. Emptied first,
        # because `release` cuts the tensors out of the graph that ShapleyCAM still needs.
        hooks.activations.clear()
        hooks.gradients.clear()
        hooks.release()
    if method == "kpcacam" and (places := activations.shape[-2] * activations.shape[-1]) > _PLACES:
        fix = "choose a layer with a larger stride, or another method"
        raise UserError(f"--layer with at most {_PLACES:,} places for {method}", f"{places:,} places", fix)
    # Two methods show bars of their own.
    with _numpy_seeded(seed), redirect_stderr(io.StringIO()):
        small = cam.get_cam_image(images.detach(), model.seen, targets, activations, gradients, False)
    if method in _UNSIGNED:
        everywhere = _at_pixels(small, mask.shape)
        small = -small if everywhere[mask].mean() < everywhere.mean() else small
    return _at_pixels(np.maximum(small, 0), mask.shape)


def _seen(cam: Any, model: Explained, images: Tensor, score: SemanticSegmentationTarget) -> tuple[Any, Any]:
    """Returns activations and gradients (1, C, h, w) at the layer: arrays, or tensors in a graph for ShapleyCAM."""
    if not cam.uses_gradients:
        with torch.no_grad():
            cam.activations_and_grads(images)
        return cam.activations_and_grads.activations.pop().numpy(), None
    # The graph begins as late as it can: from z on it spares the encoder.
    start = model.delta = model.delta.detach().requires_grad_()
    if model.layer not in SIDES:
        start = images = images.detach().requires_grad_()
    hooks = cam.activations_and_grads
    output = hooks(images)
    torch.autograd.grad(score(output[0]), start, create_graph=not cam.detach)
    model.delta = model.delta.detach()
    if not hooks.gradients:
        raise UserError("--layer on which the logits depend", model.layer, "choose one on the way from image to logits")
    activations, gradients = hooks.activations.pop(), hooks.gradients.pop()
    if cam.detach:
        return activations.numpy(), gradients.numpy()
    return activations, gradients if gradients.requires_grad else gradients.requires_grad_()


def _at_pixels(small: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Samples a map (1, h, w) at the pixels of an image, (H, W)."""
    values = torch.from_numpy(np.ascontiguousarray(small, dtype=np.float32))[None]
    return resize_aligned(values, size)[0, 0].numpy()


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seeds NumPy's global generator, from which RandomCAM and KPCA-CAM draw, and restores it."""
    state = np.random.get_state()  # noqa: NPY002 -- the library uses no other
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
