"""What is random in a step after its batches were drawn: where CutMix pastes, and where a search for noise starts."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.perturb.adversarial import random_like
from psmt_viz.seeds import derived_seed
from psmt_viz.train.cutmix import Mix, draw_mix, joined


class Draws:
    """Draws as a function of the seed, the step and the image, the same wherever the image is computed.

    Args:
        config: The run's settings.
    """

    def __init__(self, config: Config) -> None:
        self._method, self._seed, self._groups = config.method, config.system.seed, config.groups

    def mix(self, step: int, images: range, height: int, width: int, device: torch.device) -> Mix | None:
        """Draws the boxes of some unlabelled images and their partners; None without CutMix.

        Args:
            step: The step.
            images: Numbers of the images in the step's batch; partners are among them, and in an image's own group.
            height: Height of the images.
            width: Width of the images.
            device: Where the result goes.
        """
        if self._method.cutmix == "none":
            return None
        group = max(1, self._method.batch_unlabeled // self._groups)
        mixes = []
        for first in range(images.start // group * group, images.stop, group):
            own = range(max(first, images.start), min(first + group, images.stop))
            mixes.append(
                draw_mix(
                    self._method.cutmix,
                    len(own),
                    height,
                    width,
                    size=self._generator("cutmix size", step, first),
                    places=[self._generator("cutmix place", step, image) for image in own],
                    partners=self._generator("cutmix partners", step, own.start),
                    device=device,
                )
            )
        return joined(mixes)

    def start(self, step: int, branch: str, images: range, z: Tensor) -> Tensor:
        """Draws where the search for the noise of some images starts, like their z (B, C, h, w), of any norm.

        Args:
            step: The step.
            branch: `labeled` or `unlabeled`.
            images: Numbers of the images in the step's batch.
            z: Their features.
        """
        generators = [self._generator("noise", step, branch, image, device=z.device) for image in images]
        return random_like(z, generators, uniform=self._method.noise == "uniform")

    def _generator(self, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        return torch.Generator(device).manual_seed(derived_seed(self._seed, *path))
