"""How much memory a training step will need, told before anything is computed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from psmt_viz.config import Config
from psmt_viz.models.build import build
from psmt_viz.models.network import Network
from psmt_viz.perturb import frozen
from psmt_viz.train.losses import PseudoLabel, confident_cross_entropy, labeled_cross_entropy

_SHORT = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FLOAT = 4
_IMAGE = 3 * _FLOAT
"""Bytes of a pixel of an image on its way through a network."""
_VIEWS = 3 + 3 + 1
"""Bytes of a pixel of a stream's batch: weak view, strong view and label."""
_TARGET = _IMAGE + 1 + _FLOAT + 1 + 1
"""Bytes of a pixel of a target: mixed image, class, confidence, whether it passes, whether it is valid."""

# Copies that code outside the networks holds at the fullest point of each moment.
_TEACHER_LOGITS = 5
"""The two teachers', the assisted ones, their sum and its half."""
_SEARCH_FEATURES = 4
"""The student's, the noise drawn, its direction and the small step."""
_SEARCH_LOGITS = 3
"""Intermediate results of the divergence, beside what it keeps."""
_STUDENT_LOGITS = 2
"""The student's and their gradient."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes on one device, by what they hold.

    The last three are moments of a step, which follow each other; all else is there at any time.
    """

    weights: int
    """Parameters and buffers of all networks."""
    gradients: int
    """Of all networks that learn; the teachers keep those of the warm-up. With several parts, once more of one network:
    those of the parts that are done."""
    momentum: int
    """The optimisers' running means of the gradients."""
    batch: int
    """Views of the whole step's images, and the targets of all parts."""
    pseudo_labels: int
    """While the pseudo-labels of a part are made: the teachers' logits and what is computed from them."""
    search: int
    """While the adversarial noise of a part's labelled or unlabelled images is sought, whichever are more: what the
    student's encoder keeps for its backward pass, what the searched decoders and the divergence keep for theirs, and
    the search's own copies of z."""
    activations: int
    """As the student's backward pass through a part's labelled or unlabelled images begins, whichever are more: what
    encoder, decoder and losses keep for it."""

    @property
    def total(self) -> int:
        """What a step needs at its fullest moment."""
        always = self.weights + self.gradients + self.momentum + self.batch
        return always + max(self.pseudo_labels, self.search, self.activations)


class SavedTensors:
    """Counts what autograd keeps for backward passes, each storage once.

    Args:
        besides: Tensors that do not count, such as weights.
    """

    def __init__(self, besides: Iterable[Tensor] = ()) -> None:
        self._besides = {_address(tensor) for tensor in besides}
        self._kept: dict[int, torch.UntypedStorage] = {}

    @property
    def size(self) -> int:
        """Bytes of what was counted so far."""
        return sum(storage.nbytes() for storage in self._kept.values())

    def counting(self) -> AbstractContextManager[None]:
        """Returns a context whose forward passes are counted; those of several contexts add up."""
        return saved_tensors_hooks(self._note, lambda tensor: tensor)

    def _note(self, tensor: Tensor) -> Tensor:
        address = _address(tensor)
        if address not in self._besides:
            # Kept alive, or another storage might take its address.
            self._kept[address] = tensor.untyped_storage()
        return tensor


def estimate_memory(config: Config, classes: int, *, labeled: int, unlabeled: int) -> MemoryEstimate:
    """Estimates what a training step needs on one device, without computing or loading anything.

    The network is built on the meta device, where tensors have sizes and no contents. One part of the batch goes
    through it, and what autograd keeps is counted as it is handed over. In mixed precision the networks count as wholly
    short, with short copies of their weights; logits and losses stay long.

    Left out are what Python, the libraries and a GPU's context take themselves, what the allocator holds unused, the
    workspaces of convolutions, short-lived maps inside the networks, the buffers through which processes exchange
    gradients, and validation. `ohem` counts as plain cross-entropy, and a compiled network as one that is not.

    Args:
        config: The run's settings; the device works through `accumulate` such parts in a step.
        classes: Number of classes, K.
        labeled: Labelled images in a part.
        unlabeled: Unlabelled images in a part; 0 for the supervised control.

    Returns:
        The estimate, in bytes.

    Raises:
        UserError: if there is no such network.
    """
    method, parts = config.method, config.system.accumulate
    with torch.device("meta"):
        network = build(replace(config.model, pretrained=False), classes)
    roles = 1 + len(method.teachers)
    warmup = method.warmup_epochs if method.warmup_steps is None else method.warmup_steps
    learners = roles if warmup else 1
    parameters = learners * _size(network.parameters())
    pixels = config.views.crop**2
    # Labelled and unlabelled images go through the student one after the other.
    passes = [_moments(network, config, classes, labeled, mixed=False)]
    if unlabeled:
        passes.append(_moments(network, config, classes, unlabeled, mixed=True))
    activations, search = (max(each) for each in zip(*passes, strict=True))
    return MemoryEstimate(
        weights=roles * _size(network.state_dict().values()),
        gradients=parameters + (_size(network.parameters()) if parts > 1 else 0),
        momentum=parameters if config.optim.momentum else 0,
        batch=pixels * parts * (_VIEWS * (labeled + unlabeled) + _TARGET * unlabeled),
        pseudo_labels=_TEACHER_LOGITS * unlabeled * classes * pixels * _FLOAT,
        search=search,
        activations=activations,
    )


def _moments(network: Network, config: Config, classes: int, images: int, *, mixed: bool) -> tuple[int, int]:
    """Returns the bytes of a backward pass and of the search before it; without a search, 0 for that."""
    perturbation = config.flat().get("perturbation", "none")
    precision, side = config.system.precision, config.views.crop
    pictures, logits = images * side**2 * _IMAGE, images * classes * side**2 * _FLOAT
    student = copy.deepcopy(network).to(_SHORT[precision])
    # The short copies that mixed precision makes of the weights are kept for the backward pass as well.
    kept = SavedTensors(student.state_dict().values() if precision == "fp32" else ())
    with torch.device("meta"):
        with kept.counting():
            z = student.encode(torch.empty(images, 3, side, side, dtype=_SHORT[precision]))
        encoder = kept.size
        with kept.counting():
            _forward_loss(student.decode(z, (side, side)).float(), mixed=mixed)
        activations = kept.size + pictures + _STUDENT_LOGITS * logits
        if perturbation == "none":
            return activations, 0
        # The search of fp16 stays long.
        searched = network if precision == "fp16" else student
        search = _search(searched, z.detach(), (side, side), decoders=2 if perturbation == "tvat" else 1)
    return activations, encoder + pictures + search + _SEARCH_LOGITS * logits


def _forward_loss(logits: Tensor, *, mixed: bool) -> None:
    size, share = logits[:, 0].shape, torch.empty(len(logits))
    if not mixed:
        labeled_cross_entropy(logits, torch.empty(size, dtype=torch.long), share)
        return
    flags, target = torch.empty(size, dtype=torch.bool), torch.empty(size, dtype=torch.uint8)
    pseudo = PseudoLabel(target=target, confidence=torch.empty(size), passing=flags, valid=flags)
    confident_cross_entropy(logits, pseudo, share)


def _search(network: Network, z: Tensor, size: tuple[int, int], *, decoders: int) -> int:
    """Returns the bytes of one power iteration: what decoders and divergence keep, and the copies of z."""
    dtype = next(network.parameters()).dtype
    kept = SavedTensors(network.state_dict().values() if dtype == torch.float32 else ())
    with frozen(network), kept.counting():
        offset = torch.empty(z.shape, requires_grad=True)
        features = (z + offset).to(dtype)
        # One network stands for both teachers: their sizes are the same.
        logits = torch.stack([network.decode(features, size) for _ in range(decoders)]).sum(dim=0).float()
        F.kl_div(F.log_softmax(logits, dim=1), torch.empty(logits.shape), reduction="sum", log_target=True)
    return kept.size + _SEARCH_FEATURES * offset.numel() * _FLOAT


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
