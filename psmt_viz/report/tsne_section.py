"""The section of the map: titles, filters, words, and the flipped pixels as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from psmt_viz.figures.style import class_colors, class_markers, flip_color, percent
from psmt_viz.figures.tsne import TITLES
from psmt_viz.report.inline import json_text
from psmt_viz.report.markers import SHAPES, STAR
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.report.themes import both
from psmt_viz.report.tsne import PANELS, map_facts, map_json
from psmt_viz.report.words import eps_words, interval
from psmt_viz.results import PixelEmbedding, Saved

_LAYOUTS = {
    "frozen": "The map was fitted to the original pixels, and the perturbed ones are placed on it: a pixel that moves "
    "has moved features.",
    "joint": "One map was fitted to the pixels of all three panels together.",
    "separate": "Each panel is a map of its own, so places in different panels do not compare, and the panels zoom "
    "apart.",
}
_LISTED = 2000
"""Flipped pixels of the table; all are in pixels.parquet."""


def tsne_section(saved: Saved) -> Section | None:
    """Returns the interactive map."""
    embedding = saved.embedding
    if embedding is None or not len(embedding.pixels):
        return None
    facts = {
        "panels": [_panel(embedding, panel) for panel in PANELS],
        "classes": _classes(embedding),
        "star": STAR,
        "red": both(flip_color),
        "map_json": json_text(map_json(embedding)),
        "facts_json": json_text(map_facts(embedding)),
    }
    return Section(
        id="tsne",
        title="Pixels on a t-SNE map",
        paragraphs=_words(embedding),
        tables=(_flipped_table(embedding),),
        part="tsne.html",
        facts=facts,
        scripts=("pictures.js", "map.js"),
    )


def panel_flips(embedding: PixelEmbedding, panel: str) -> tuple[int, str, str]:
    """Returns how many pixels are flipped in a panel, their share, and its 95 % interval where it is known."""
    wrong = int(embedding.flipped(panel).sum())
    low, high = (embedding.parameters.get(f"flip_rate_{end}", {}).get(panel) for end in ("low", "high"))
    return wrong, percent(wrong / len(embedding.pixels)), interval(low, high)


def _panel(embedding: PixelEmbedding, panel: str) -> dict[str, Any]:
    wrong, share, bounds = panel_flips(embedding, panel)
    about = f"{share}; 95 % interval {bounds}" if bounds else share
    count = f"{wrong:,} of {len(embedding.pixels):,} flipped ({about})"
    return {"name": panel, "title": TITLES[panel], "count": count}


def _classes(embedding: PixelEmbedding) -> list[dict[str, Any]]:
    count = len(embedding.classes)
    (light, dark), markers = both(lambda: class_colors(count)), class_markers(count)
    labels, pixels = np.unique(embedding.pixels["label"].to_numpy(), return_counts=True)
    return [
        {
            "id": int(label),
            "name": embedding.classes[label],
            "light": light[label],
            "dark": dark[label],
            "path": SHAPES[markers[label]].path,
            "pixels": int(number),
        }
        for label, number in zip(labels, pixels, strict=True)
    ]


def _words(embedding: PixelEmbedding) -> tuple[str, ...]:
    facts = embedding.parameters
    about = [
        "Each point is a pixel of a validation image that the student predicts correctly. A red star is a pixel whose "
        "prediction a perturbation of the features has turned wrong."
    ]
    if words := _LAYOUTS.get(str(facts.get("layout", "frozen"))):
        about.append(words)
    numbers = [words] if (words := eps_words(facts)) else []
    if "layer" in facts:
        numbers.append(f"features: {facts['layer']}")
    for key, name in (("perplexity", "perplexity"), ("trustworthiness", "trustworthiness"), ("knn_recall", "kNN recall")):
        if isinstance(value := facts.get(key), int | float):
            numbers.append(f"{name} {value:.3g}")
    if isinstance(margin := facts.get("margin"), int | float) and margin > 0:
        numbers.append(f"pixels nearer than {margin:g} px to another class left out")
    return (" ".join(about), ("; ".join(numbers) + ".") if numbers else "")


def _flipped_table(embedding: PixelEmbedding) -> Table:
    pixels, names = embedding.pixels, embedding.classes
    wrong = np.logical_or.reduce([embedding.flipped(panel) for panel in PANELS])
    rows = [
        (str(row.image), str(row.row), str(row.col), names[row.label], *(names[getattr(row, f"pred_{p}")] for p in PANELS))
        for row in pixels[wrong].head(_LISTED).itertuples()
    ]
    total = int(wrong.sum())
    caption = f"The {total:,} flipped pixels" if total <= _LISTED else f"The first {_LISTED:,} of {total:,} flipped pixels"
    columns = ("image", "row", "col", "class", *(f"predicted, {TITLES[panel]}" for panel in PANELS))
    return make_table(caption, columns, rows, folded=True)
