"""The section of the map: titles, filters, words, and the flipped pixels as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from psmt_viz.figures.style import class_colors, class_markers, flip_color
from psmt_viz.figures.tsne_words import flipped_by_each, flips_by, flips_by_panel, left_out, moves
from psmt_viz.figures.words import FEATURES, eps_words, kind_words, map_measures, panel_words
from psmt_viz.report.inline import json_text
from psmt_viz.report.markers import SHAPES, STAR
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.report.themes import both
from psmt_viz.report.tsne_map import map_facts, map_json
from psmt_viz.results import PixelEmbedding

_LAYOUTS = {
    "frozen": "The map was fitted to the original pixels, and the perturbed ones are placed on it: a pixel that moves "
    "has moved features.",
    "joint": "One map was fitted to the pixels of all panels together.",
    "separate": "Each panel is a map of its own, so places in different panels do not compare, and the panels zoom "
    "apart.",
}
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
            "title": panel_words(panel),
            "kind": kind_words(panel),
            "count": f"{count} flipped",
            "interval": bounds,
        }
        for panel, (count, bounds) in flips_by_panel(embedding).items()
    ]


def _stars(embedding: PixelEmbedding) -> list[dict[str, Any]]:
    """Returns the legend of the stars: what flips the pixel, how many there are, and whether the star is hollow."""
    return [
        {"words": f"flipped by {by}", "count": count, "hollow": number > 0}
        for number, (by, count) in enumerate(flips_by(embedding).items())
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
    others = {1: "", 2: "; it is hollow where only one of the two does"}
    hollow = others.get(len(embedding.perturbations), "; it is hollow where not all of them do")
    about = (
        "Each point is a pixel of a validation image that the student predicts correctly. A red star is a pixel whose "
        f"prediction a perturbation of the features has turned wrong{hollow}. "
        f"{_LAYOUTS.get(facts.get('layout', 'frozen'), '')}"
    )
    numbers = [eps_words(facts, z=FEATURES), f"features: {facts['layer']}" if "layer" in facts else ""]
    numbers += map_measures(facts)
    if isinstance(margin := facts.get("margin"), int | float) and margin > 0:
        numbers.append(f"pixels nearer than {margin:g} px to another class left out")
    return about, "; ".join(filter(None, numbers)), " ".join(filter(None, [moves(facts), left_out(facts)]))


def _flipped_table(embedding: PixelEmbedding) -> Table:
    wrong = np.logical_or.reduce([embedding.flipped(panel) for panel in embedding.perturbations])
    shown = embedding.pixels[wrong].head(_LISTED)
    names = np.asarray(embedding.classes, dtype=object)
    columns = {
        "image": shown["image"].astype(str),
        "row": shown["row"].astype(str),
        "col": shown["col"].astype(str),
        "class": names[shown["label"]],
        **{f"predicted, {panel_words(panel)}": names[shown[f"pred_{panel}"]] for panel in embedding.panels},
        "flipped by": flipped_by_each(embedding)[wrong][:_LISTED],
    }
    total = int(wrong.sum())
    caption = f"The {total:,} flipped pixels" if total <= _LISTED else f"The first {_LISTED:,} of {total:,} flipped"
    return make_table(caption, list(columns), zip(*columns.values(), strict=True), folded=True)
