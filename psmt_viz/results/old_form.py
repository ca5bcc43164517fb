"""Results that were saved before asked, used and measured were kept apart: one flat `parameters`, sorted by name."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

_ASKED = (
    *("part", "eps", "seed", "n_pixels", "layer", "layout", "arrows", "margin", "neighbors", "target_class"),
    *("cam_method", "judge", "search", "iterations", "norm", "objective", "ascent_steps", "official_batch"),
)
_USED = (
    *("images", "classes", "perplexity", "pca_dimensions", "faithfulness_shares", "rule"),
    *("kinds", "judges", "left_out"),
)
_MEASURED = (
    *("relative_norm", "correct_pixels", "flipped", "flipped_by", "flip_rate", "flip_rate_low", "flip_rate_high"),
    *("pca_variance", "kl_divergence", "placement_error", "trustworthiness", "knn_recall", "median_move"),
)
_PART = dict.fromkeys(_ASKED, "asked") | dict.fromkeys(_USED, "used") | dict.fromkeys(_MEASURED, "measured")
_OTHERWISE = {("tsne", "iterations"): "used", ("gradcam", "images"): "asked"}
"""Names that meant something else in one result."""


def sorted_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the four parts of a result's facts; a name that no probe gave is the caller's, of the subject.

    Args:
        name: The result's name.
        parameters: The flat facts.
    """
    parts: dict[str, dict[str, Any]] = {"subject": {}, "asked": {}, "used": {}, "measured": {}}
    for key, value in parameters.items():
        if key == "perplexity_asked":
            parts["asked"]["perplexity"] = value
        elif key == "relative_norm" and isinstance(value, Mapping):
            norms = {"relative_norm": statistics.median(value.values()), "relative_norm_by_kind": dict(value)}
            parts["measured"] |= norms
        else:
            parts[_OTHERWISE.get((name, key)) or _PART.get(key, "subject")][key] = value
    return parts
