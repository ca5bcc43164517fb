"""What is random in a step beside its batches: where CutMix pastes, where a search for noise starts, dropout."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.methods.settings import CutMix
from psmt_viz.perturb.adversarial import random_like
from psmt_viz.seeds import derived_seed
from psmt_viz.train.cutmix import Mix, draw_mix, joined


class RandomDraws:
    """Random draws as a function of the seed, the step and the image, the same wherever the image is computed.

    Args:
        config: The run's settings.
    """

    def __init__(self, config: Config) -> None:
        self._seed, method = config.system.seed, config.method
        self._group = max(1, method.batch_unlabeled // method.groups)

    def mix(self, kind: CutMix, step: int, images: range, size: torch.Size, device: torch.device) -> Mix | None:
        """Draws the boxes of some unlabelled images and their partners; None without CutMix.

        Args:
            kind: Of boxes.
            step: The step.
            images: Numbers of the images in the step's batch; partners are among them, and in an image's own group.
            size: Height and width of the images.
            device: Where the result goes.
        """
        if kind == "none":
            return None
        group, mixes = self._group, []
        for first in range(images.start // group * group, images.stop, group):
            own = range(max(first, images.start), min(first + group, images.stop))
            mixes.append(
                draw_mix(
                    kind,
                    len(own),
                    *size,
                    size=self.generator("cutmix size", step, first),
                    places=[self.generator("cutmix place", step, image) for image in own],
                    partners=self.generator("cutmix partners", step, own.start),
                    device=device,
                )
            )
        return joined(mixes)

    def start(self, step: int, branch: str, images: range, z: Tensor, *, uniform: bool) -> Tensor:
        """Draws where the search for the noise of some images starts, like their z (B, C, h, w), of any norm.

        Args:
            step: The step.
            branch: `labeled` or `unlabeled`.
            images: Numbers of the images in the step's batch.
            z: Their features.
            uniform: Uniform in place of Gaussian.
        """
        generators = [self.generator("noise", step, branch, image, device=z.device) for image in images]
        return random_like(z, generators, uniform=uniform)

    def generator(self, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        """Returns the run's generator of that name."""
        return torch.Generator(device).manual_seed(derived_seed(self._seed, *path))
