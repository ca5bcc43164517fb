"""The section of class activation maps."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from psmt_viz import figures
from psmt_viz.report.pictures import picture
from psmt_viz.report.section import Section
from psmt_viz.report.words import eps_words, kind_words, listed
from psmt_viz.results import Cams, Saved


def gradcam_section(saved: Saved) -> Section | None:
    """Returns the maps of what speaks for a class."""
    cams = saved.cams
    if cams is None or not cams.cams:
        return None
    shown = listed([f"{cam.class_name} in image {cam.image_id}" for cam in cams.cams])
    drawn = picture(
        "fig1_gradcam",
        partial(figures.draw_gradcam, cams),
        alt=f"Maps of the evidence for {shown}: before the perturbation, after VAT and after T-VAT, beside image and "
        "prediction.",
        caption="Input; prediction with the truth outlined; the map before the perturbation, after VAT and after "
        "T-VAT. The maps of a row share one scale from 0 to the row's highest value.",
    )
    return Section(
        id="gradcam",
        title="Grad-CAM: what speaks for a class",
        paragraphs=_cam_words(cams),
        pictures=(drawn,),
    )


def _cam_words(cams: Cams) -> tuple[str, ...]:
    words = []
    clean = cams.table["mass_clean"].to_numpy(float)
    if len(clean) and (clean > 0).all():
        changes = [
            f"{_percent(cams.table[f'mass_{name}'].to_numpy(float) / clean - 1)} after {kind_words(name)}"
            for name in ("vat", "tvat")
        ]
        words.append(f"The mass of a map, its sum, changes on average over these images by {listed(changes)}.")
    if size := eps_words(cams.parameters):
        words.append(f"Both perturbations have {size}.")
    return (" ".join(words),) if words else ()


def _percent(changes: NDArray[np.float64]) -> str:
    return f"{100 * float(np.mean(changes)):+.2f} %".replace("-", "−")
