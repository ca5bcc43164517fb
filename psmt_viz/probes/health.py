"""How healthy the searches of each kind are, in numbers and in words."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from psmt_viz.kinds import KINDS, PAPER_EPS
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import Perturbed, SearchSettings, exact_cosine, frozen
from psmt_viz.probes.kinds import maker

COSINE_IMAGES = 3
"""Images on which a direction is held against the float64 reference, which costs a search in float64 each."""
LEAST_COSINE = 0.98
LEAST_NORM = 0.99
MOST_UNCHANGED = 0.05

Summary = dict[str, dict[str, float]]


class HealthRecord:
    """Collects the health of perturbations over images.

    Args:
        networks: Networks; copied in float64 to the CPU, as not every device has float64.
        kinds: The kinds that are made.
        settings: How they are found.
    """

    def __init__(self, networks: Networks, kinds: Sequence[str], settings: SearchSettings) -> None:
        self._settings = settings
        self._searches = [kind for kind in kinds if KINDS[kind].has_exact]
        self._reference = copy.deepcopy(networks).cpu().double() if self._searches else None
        self._values: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}

    def add(self, kind: str, found: Perturbed, z: Tensor, size: Sequence[int], labels: Tensor, *, eps: float) -> None:
        """Takes in a perturbation of norm eps of one image's z (1, C, h, w)."""
        self._note(kind, "norm_over_eps", float(found.health.norm) / eps)
        if found.gain is not None:
            self._note(kind, "gain", float(found.gain))
        if kind not in self._searches:
            return
        self._note(kind, "unchanged", float(found.health.unchanged))
        # A perturbation that rounding left at 0 has no direction.
        wanted = len(self._values[kind].get("cosine", [])) < COSINE_IMAGES and float(found.health.norm) > 0
        if self._reference is not None and wanted:
            predict = maker(self._reference, kind, size)
            assert predict is not None
            with frozen(self._reference):
                cosine = exact_cosine(predict, z.cpu().double(), found, settings=self._settings, labels=labels.cpu())
            self._note(kind, "cosine", float(cosine))

    def _note(self, kind: str, measure: str, value: float) -> None:
        self._values[kind].setdefault(measure, []).append(value)

    def summary(self) -> dict[str, Any]:
        """Returns kind -> measure -> min, mean and max over images, with `warnings` in words."""
        summaries: dict[str, Any] = {}
        for kind, measures in self._values.items():
            numbers = {
                name: {"min": min(values), "mean": float(np.mean(values)), "max": max(values), "images": len(values)}
                for name, values in measures.items()
            }
            summaries[kind] = {**numbers, "warnings": warnings_of(numbers, self._settings)}
        return summaries


def warnings_of(health: Summary, settings: SearchSettings) -> list[str]:
    """Says in words what is wrong with a kind's perturbations; nothing if all is well.

    Args:
        health: Measure -> min, mean and max.
        settings: How the perturbations were found.
    """
    found = []
    norm = health["norm_over_eps"]["mean"]
    if norm < LEAST_NORM:
        reason = (
            "some pixels hardly change"
            if settings.norm == "pixel"
            else "the denominator's floor outweighs the gradient"
        )
        found.append(f"norm {norm * PAPER_EPS:.3g} of {PAPER_EPS:g}: {reason}")
    unchanged = health.get("unchanged", {}).get("mean", 0.0)
    if unchanged > MOST_UNCHANGED:
        found.append(f"the search's step leaves {100 * unchanged:.0f} % of the features unchanged, lost to rounding")
    cosine = health.get("cosine")
    if cosine is not None and cosine["min"] < LEAST_COSINE:
        found.append(f"direction far from the exact one: cosine {cosine['min']:.2f} to {cosine['max']:.2f}")
    return found
