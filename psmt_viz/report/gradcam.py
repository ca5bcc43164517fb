"""The section of class activation maps."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from psmt_viz import figures
from psmt_viz.figures.shares import percents
from psmt_viz.report.pictures import picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import frame_table
from psmt_viz.report.words import eps_words, kind_words, listed
from psmt_viz.results import Cams

_MEASURES = {
    "change": "On average over these images the mass of a map, its sum, changes by {}.",
    "moved": "All that rises or falls anywhere is {} of the mass.",
}


def section(cams: Cams) -> Section | None:
    """Returns the maps of what speaks for a class."""
    if not cams.cams:
        return None
    shown = listed([f"{cam.class_name} in image {cam.image_id}" for cam in cams.cams])
    drawn = picture(
        "fig1_gradcam",
        partial(figures.draw_gradcam, cams),
        alt=f"Maps of the evidence for {shown}: before the perturbation, after VAT and after T-VAT, and what each "
        "perturbation changed, beside image and prediction.",
        caption="Input; prediction with the truth outlined; the map before the perturbation, after VAT and after "
        "T-VAT, on one scale a row; and what each perturbation changed, on a scale of its own.",
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
        means = {name: _mean(cams, f"{column}_{name}") for name in ("vat", "tvat")}
        if all(map(math.isfinite, means.values())):
            texts = [share.replace("-", "−") for share in percents(list(means.values()))]
            parts = [f"{share} after {kind_words(name)}" for name, share in zip(means, texts, strict=True)]
            sentences.append(words.format(listed(parts)))
    if size := eps_words(cams.facts):
        sentences.append(f"Both perturbations have {size}.")
    return (" ".join(sentences),)


def _mean(cams: Cams, column: str) -> float:
    values = cams.table[column].to_numpy(float) if column in cams.table else np.empty(0)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
