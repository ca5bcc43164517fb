"""The section of class activation maps."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from psmt_viz import figures
from psmt_viz.figures.gradcam_words import fewer_images
from psmt_viz.figures.shares import percents
from psmt_viz.figures.words import FEATURES, eps_words, kind_phrase, listed
from psmt_viz.report.pictures import Picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import frame_table
from psmt_viz.results import Cams

_MEASURES = {
    "change": "Mean change of a map's total (its mass) over these images: {}.",
    "moved": "Mean summed absolute change, of the map's total: {}.",
}
"""Beginning of a column of gradcam.csv -> what is said of its means."""


def section(cams: Cams) -> Section | None:
    """Returns the class activation maps."""
    if not cams.cams:
        return None
    shown = listed([f"{cam.class_name} in image {cam.image_id}" for cam in cams.cams])
    after = listed([f"after {kind_phrase(kind)}" for kind in cams.perturbations])
    drawn = Picture(
        "fig1_gradcam",
        partial(figures.draw_gradcam, cams),
        alt=f"Maps of the evidence for {shown}: before the perturbation, {after}, and what each perturbation changed, "
        "beside image and prediction.",
        caption=f"Input; prediction with the truth outlined; the map before the perturbation, {after}, on one "
        "scale per image; and what each perturbation changed, on a scale of its own.",
    )
    return Section(
        id="gradcam",
        title="Grad-CAM: what speaks for a class",
        paragraphs=_words(cams),
        pictures=(drawn,),
        numbers=(frame_table("Grad-CAM (gradcam.csv)", cams.table, searchable=True),) if len(cams.table) else (),
    )


def _words(cams: Cams) -> tuple[str, ...]:
    """Returns the means over the images, of what the table has."""
    sentences = []
    for column, words in _MEASURES.items():
        means = {name: _mean(cams, f"{column}_{name}") for name in cams.perturbations}
        if all(map(math.isfinite, means.values())):
            texts = [share.replace("-", "−") for share in percents(list(means.values()))]
            parts = [f"{share} after {kind_phrase(name)}" for name, share in zip(means, texts, strict=True)]
            sentences.append(words.format(listed(parts)))
    if size := eps_words(cams.facts, z=FEATURES):
        sentences.append(f"Perturbations have {size}.")
    if fewer := fewer_images(cams):
        sentences.append(fewer)
    return (" ".join(sentences),)


def _mean(cams: Cams, column: str) -> float:
    values = cams.table[column].to_numpy(float) if column in cams.table else np.empty(0)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
