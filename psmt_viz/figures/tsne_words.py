"""What a map of pixels says in numbers, in the same words in figure, page and command."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from psmt_viz.figures.kinds import look
from psmt_viz.figures.shares import counted, digits_apart, interval, percent, percents
from psmt_viz.results import PixelEmbedding

_NOISES = PixelEmbedding.PANELS[1:]
BY = {"both": "both", "vat_alone": f"{look('vat').title} alone", "tvat_alone": f"{look('tvat').title} alone"}
"""Names of `PixelEmbedding.flipped_by` -> words."""


def flips_by_panel(embedding: PixelEmbedding) -> dict[str, tuple[str, str]]:
    """Returns panel -> `361 of 25,000 (1.44 %)` and the 95 % interval, empty where it is not known."""
    counts = [int(embedding.flipped(panel).sum()) for panel in PixelEmbedding.PANELS]
    bounds = [embedding.facts.get(f"flip_rate_{end}", {}) for end in ("low", "high")]
    return {
        panel: (text, interval(*(known.get(panel) for known in bounds)))
        for panel, text in zip(PixelEmbedding.PANELS, counted(counts, len(embedding.pixels)), strict=True)
    }


def flips_by_both(embedding: PixelEmbedding) -> dict[str, str]:
    """Returns, by the names of `BY`, how many pixels both perturbations flip and how many each alone.

    They are counted from the pixels, so that results from before they were saved have them too.
    """
    return {by: f"{int(wrong.sum()):,}" for by, wrong in embedding.flipped_by().items()}


def moves(facts: Mapping[str, Any]) -> str:
    """Says how far the median pixel moves, and whether more than an unmoved pixel that is placed again.

    Args:
        facts: Those of the map: `median_move` by panel, and `placement_error` of a frozen map, as shares of its
            longer side.

    Returns:
        One sentence; nothing where no move is known.
    """
    found = facts.get("median_move") or {}
    known = {look(panel).title: float(found[panel]) for panel in _NOISES if _is_known(found.get(panel))}
    if not known:
        return ""
    error = facts.get("placement_error")
    if _is_known(error):
        # Each is told apart from the error, not from the other: medians are not counts.
        digits = max(digits_apart([move, error]) for move in known.values())
        parts: list[str] = []
        for name, move in known.items():
            against = "it" if parts else f"the placement error ({percent(error, digits)})"
            where = "within" if move <= error else f"{percent(move - error)} beyond"
            parts.append(f"{name} {percent(move, digits)}, {where} {against}")
    else:
        parts = [f"{name} {move}" for name, move in zip(known, percents(list(known.values())), strict=True)]
    return f"Median move, of the map's longer side: {'; '.join(parts)}."


def _is_known(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def tsne_findings(embedding: PixelEmbedding) -> list[str]:
    """Returns the map's numbers, a line each, for the screen, and where it is known how long the map took."""
    flips, both = flips_by_panel(embedding), flips_by_both(embedding)
    lines = [
        f"flipped by {look(panel).title}: {flips[panel][0]}{bounds and f', 95 % interval {bounds}'}"
        for panel, bounds in ((panel, flips[panel][1]) for panel in _NOISES)
    ]
    lines.append(f"flipped by {', '.join(f'{BY[by]}: {count}' for by, count in both.items())}")
    return [*lines, *filter(None, [moves(embedding.facts), _took(embedding.seconds)])]


def _took(seconds: Mapping[str, float]) -> str:
    if not seconds:
        return ""
    total, sampling, layout = sum(seconds.values()), seconds["sampling"], seconds["layout"]
    return f"t-SNE: {total:.0f} s, of which sampling {sampling:.0f} s and openTSNE {layout:.0f} s"
