"""What a map of pixels says in numbers, in the same words in figure, page and command."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from psmt_viz.figures.shares import counted, digits_apart, percent, percents
from psmt_viz.figures.words import interval_words, kind_words, listed, without_teachers
from psmt_viz.results import PixelEmbedding
from psmt_viz.results.tsne import BOTH, SEVERAL, alone

NONE = "none"
"""What flips a pixel that stays correct."""


def flips_by_panel(embedding: PixelEmbedding) -> dict[str, tuple[str, str]]:
    """Returns panel -> `361 of 25,000 (1.44 %)` and its `95 % interval ...`, empty where that is not known."""
    counts = [int(embedding.flipped(panel).sum()) for panel in embedding.panels]
    low, high = (embedding.facts.get(f"flip_rate_{end}", {}) for end in ("low", "high"))
    return {
        panel: (text, interval_words(low.get(panel), high.get(panel)))
        for panel, text in zip(embedding.panels, counted(counts, len(embedding.pixels)), strict=True)
    }


def flips_by(embedding: PixelEmbedding) -> dict[str, str]:
    """Returns, by the words of `by_words`, how many pixels all perturbations flip, and how many each alone.

    They are counted from the pixels, so that results from before they were saved have them too.
    """
    words = by_words(embedding)
    return {words[by]: f"{int(wrong.sum()):,}" for by, wrong in embedding.flipped_by().items()}


def by_words(embedding: PixelEmbedding) -> dict[str, str]:
    """Returns the names of `PixelEmbedding.flipped_by` -> words, that of all perturbations first."""
    names = {panel: kind_words(panel) for panel in embedding.perturbations}
    everything = {1: listed([*names.values()]), 2: BOTH}.get(len(names), f"all {len(names)}")
    single = {alone(panel): f"{name} alone" for panel, name in names.items()}
    words = {SEVERAL: "several of them"} | single
    return {by: words.get(by, everything) for by in embedding.flipped_by()}


def flipped_by_each(embedding: PixelEmbedding) -> NDArray[Any]:
    """Returns (N,) for every pixel in words which perturbations flip it; where there are several, they are listed."""
    words, names = by_words(embedding), [kind_words(panel) for panel in embedding.perturbations]
    wrong = np.stack([embedding.flipped(panel) for panel in embedding.perturbations], axis=1)
    found = np.full(len(embedding.pixels), NONE, dtype=object)
    for by, rows in embedding.flipped_by().items():
        for row in np.flatnonzero(rows):
            several = [name for name, flips in zip(names, wrong[row], strict=True) if flips]
            found[row] = ", ".join(several) if by == SEVERAL else words[by]
    return found


def moves(facts: Mapping[str, Any]) -> str:
    """Says how far the median pixel moves, and whether more than an unmoved pixel that is placed again.

    Args:
        facts: Those of the map: `median_move` by panel, and `placement_error` of a frozen map, as shares of its
            longer side; and `unsettled` by panel, the pixels that had not come to rest.

    Returns:
        One sentence, and another one if there are such pixels; nothing where no move is known.
    """
    found = facts.get("median_move") or {}
    known = {kind_words(panel): float(move) for panel, move in found.items() if _is_known(move)}
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
    restless = [f"{kind_words(panel)} {count:,}" for panel, count in (facts.get("unsettled") or {}).items() if count]
    still = f" Pixels that had not come to rest: {'; '.join(restless)}." if restless else ""
    return f"Median move, of the map's longer side: {'; '.join(parts)}.{still}"


def _is_known(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def left_out(facts: Mapping[str, Any]) -> str:
    """Says which classes are not on the map because they are too rare, and that there are fewer pixels than asked for.

    Args:
        facts: Those of the map: `left_out`, the classes with their correctly predicted pixels; `pixels`, those of each
            class on the map, and `n_pixels`, as many as were asked for.
    """
    sentences = []
    if missing := facts.get("left_out"):
        named = ", ".join(f"{name} ({count:,})" for name, count in missing.items())
        sentences.append(f"Left out, because too few of their pixels are predicted correctly: {named}.")
    shown, asked = sum((facts.get("pixels") or {}).values()), facts.get("n_pixels")
    if shown and asked is not None and shown < asked:
        sentences.append(f"{shown:,} pixels: there are too few for {asked:,} in equal shares.")
    return " ".join(sentences)


def tsne_findings(embedding: PixelEmbedding) -> list[str]:
    """Returns the map's numbers, one per line, for the screen, and where it is known how long the map took."""
    flips = flips_by_panel(embedding)
    lines = [f"flipped by {kind_words(panel)}: {', '.join(filter(None, flips[panel]))}" for panel in list(flips)[1:]]
    if len(lines) > 1:
        lines.append(f"flipped by {', '.join(f'{by}: {count}' for by, count in flips_by(embedding).items())}")
    return [
        *lines,
        *filter(
            None,
            [moves(embedding.facts), left_out(embedding.facts), without_teachers(embedding), _took(embedding.seconds)],
        ),
    ]


def _took(seconds: Mapping[str, float]) -> str:
    if not seconds:
        return ""
    total, sampling, layout = sum(seconds.values()), seconds["sampling"], seconds["layout"]
    return f"t-SNE: {total:.0f} s, of which sampling {sampling:.0f} s and openTSNE {layout:.0f} s"
