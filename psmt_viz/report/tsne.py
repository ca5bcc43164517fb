"""The section of the map: titles, filters, words, and the flipped pixels as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from psmt_viz.figures.style import class_colors, class_markers, flip_color
from psmt_viz.figures.tsne import TITLES
from psmt_viz.figures.tsne_words import BY, flips_by_both, flips_by_panel, moves
from psmt_viz.report.inline import json_text
from psmt_viz.report.markers import SHAPES, STAR
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.report.themes import both
from psmt_viz.report.tsne_map import PANELS, map_facts, map_json
from psmt_viz.report.words import eps_words
from psmt_viz.results import PixelEmbedding

_LAYOUTS = {
    "frozen": "The map was fitted to the original pixels, and the perturbed ones are placed on it: a pixel that moves "
    "has moved features.",
    "joint": "One map was fitted to the pixels of all three panels together.",
    "separate": "Each panel is a map of its own, so places in different panels do not compare, and the panels zoom "
    "apart.",
}
_MEASURES = {"perplexity": "perplexity", "trustworthiness": "trustworthiness", "knn_recall": "kNN recall"}
_LISTED = 2000
"""Flipped pixels of the table; all are in pixels.parquet."""


def section(embedding: PixelEmbedding) -> Section | None:
    """Returns the interactive map."""
    if not len(embedding.pixels):
        return None
    facts = {
        "panels": _panels(embedding),
        "classes": _classes(embedding),
        "star": STAR,
        "stars": _stars(embedding),
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


def _panels(embedding: PixelEmbedding) -> list[dict[str, str]]:
    return [
        {
            "name": panel,
            "title": TITLES[panel],
            "count": f"{count} flipped",
            "interval": bounds and f"95 % interval {bounds}",
        }
        for panel, (count, bounds) in flips_by_panel(embedding).items()
    ]


def _stars(embedding: PixelEmbedding) -> list[dict[str, Any]]:
    """Returns the legend of the stars: who flips the pixel, how many there are, and whether the star is hollow."""
    return [
        {"words": f"flipped by {BY[by]}", "count": count, "hollow": by != "both"}
        for by, count in flips_by_both(embedding).items()
    ]


def _classes(embedding: PixelEmbedding) -> list[dict[str, Any]]:
    count = len(embedding.classes)
    (light, dark), markers = both(lambda: class_colors(count)), class_markers(count)
    return [
        {
            "id": int(label),
            "name": embedding.classes[label],
            "light": light[label],
            "dark": dark[label],
            "path": SHAPES[markers[label]].path,
        }
        for label in np.unique(embedding.pixels["label"].to_numpy())
    ]


def _words(embedding: PixelEmbedding) -> tuple[str, ...]:
    facts = embedding.facts
    about = (
        "Each point is a pixel of a validation image that the student predicts correctly. A red star is a pixel whose "
        "prediction a perturbation of the features has turned wrong; it is hollow where only one of the two does. "
        f"{_LAYOUTS.get(facts.get('layout', 'frozen'), '')}"
    )
    numbers = [eps_words(facts), *([f"features: {facts['layer']}"] if "layer" in facts else [])]
    numbers += [
        f"{name} {facts[key]:.3g}" for key, name in _MEASURES.items() if isinstance(facts.get(key), int | float)
    ]
    if isinstance(margin := facts.get("margin"), int | float) and margin > 0:
        numbers.append(f"pixels nearer than {margin:g} px to another class left out")
    return about, "; ".join(filter(None, numbers)), moves(facts)


def _flipped_table(embedding: PixelEmbedding) -> Table:
    wrong = np.logical_or.reduce([embedding.flipped(panel) for panel in PANELS])
    listed = embedding.pixels[wrong].head(_LISTED)
    names = np.asarray(embedding.classes, dtype=object)
    by = np.select(list(embedding.flipped_by().values()), list(BY.values()), "neither")[wrong]
    columns = {
        "image": listed["image"].astype(str),
        "row": listed["row"].astype(str),
        "col": listed["col"].astype(str),
        "class": names[listed["label"]],
        **{f"predicted, {TITLES[panel]}": names[listed[f"pred_{panel}"]] for panel in PANELS},
        "flipped by": by[:_LISTED],
    }
    total = int(wrong.sum())
    caption = f"The {total:,} flipped pixels" if total <= _LISTED else f"The first {_LISTED:,} of {total:,} flipped"
    return make_table(caption, list(columns), zip(*columns.values(), strict=True), folded=True)
