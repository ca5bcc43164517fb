"""How many perturbations of an image networks may see at a time, so that no number changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from psmt_viz.models.networks import Networks
from psmt_viz.perturb import Predict
from psmt_viz.perturb.objectives import gradient, kl_objective
from psmt_viz.probes.kinds import judged

# 8 predictions of 128 x 128 pixels and 32 classes: on a CPU, larger images gain nothing by company.
_LOGITS = 8 * 32 * 128**2


class Together:
    """Tells whether the networks round alike for a perturbation alone and in company.

    For another number of images a library may add up in another order. The prediction before a perturbation is of one
    image; beside it, what a tiny perturbation changes would be lost in that rounding. The order does not depend on the
    values, so each size of image and number is tried once.

    Args:
        networks: Networks, frozen.
        judges: The roles that predict.
        most: Perturbations at a time, at most; fewer of a large image, for the memory.
    """

    def __init__(self, networks: Networks, judges: Sequence[str], most: int) -> None:
        self._networks, self._judges, self._most = networks, judges, most
        self._known: dict[tuple[str, torch.Size, tuple[int, ...], int], bool] = {}

    def most(self, size: Sequence[int]) -> int:
        """Returns how many predictions of this height and width may be held at a time."""
        values = len(self._networks.classes) * size[0] * size[1]
        return max(1, min(self._most, _LOGITS // values))

    def judged(self, z: Tensor, size: Sequence[int], count: int) -> bool:
        """Returns whether judges predict the same, to the bit, for one z (1, C, h, w) and for so many at a time."""

        def alike() -> bool:
            alone, company = (judged(self._networks, self._judges, each, size) for each in (z, _copies(z, count)))
            return all(_equal(alone[judge], company[judge]) for judge in self._judges)

        key = ("judged", z.shape, tuple(size), count)
        if key not in self._known:
            self._known[key] = count == 1 or alike()
        return self._known[key]

    def climbed(self, predict: Predict, z: Tensor, size: Sequence[int], count: int) -> bool:
        """Returns whether the objective's values and gradients are the same, to the bit, for so many at a time."""

        def alike() -> bool:
            value, offset = kl_objective(predict, z), z / 8
            alone, company = (gradient(value, each) for each in (offset, _copies(offset, count)))
            return all(_equal(one, many) for one, many in zip(alone, company, strict=True))

        key = ("climbed", z.shape, tuple(size), count)
        if key not in self._known:
            self._known[key] = count == 1 or alike()
        return self._known[key]


def _copies(z: Tensor, count: int) -> Tensor:
    return z.repeat(count, 1, 1, 1)


def _equal(one: Tensor, many: Tensor) -> bool:
    return torch.equal(one.expand_as(many), many)
