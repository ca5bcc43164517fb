"""The close-up, at the end of the section of what every kind of perturbation does."""

from __future__ import annotations

from functools import partial

from psmt_viz import figures
from psmt_viz.figures.words import FEATURES, eps_words
from psmt_viz.report.pictures import Picture
from psmt_viz.report.section import Section
from psmt_viz.results import CloseUp


def section(closeup: CloseUp) -> Section | None:
    """Returns one image under every kind of perturbation, for the section of all of them."""
    if not closeup.moved:
        return None
    return Section(id="perturbations", title="Perturbation laboratory", pictures=(_closeup(closeup),))


def _closeup(closeup: CloseUp) -> Picture:
    size = eps_words(closeup.facts, z=FEATURES)
    return Picture(
        "closeup",
        partial(figures.draw_closeup, closeup),
        alt=f"Image {closeup.image_id} with truth and prediction; for each kind the flipped pixels in red and a map of "
        "the perturbation's size.",
        caption=f"One image under every kind of perturbation{', ' + size if size else ''}: which pixels flip, and "
        "where the perturbation is large.",
    )
