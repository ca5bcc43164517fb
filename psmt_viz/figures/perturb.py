"""The figures of what each kind of perturbation does: the sweep, the judges, the transfer and the places of flips."""

from __future__ import annotations

from matplotlib.figure import Figure

from psmt_viz.figures.flips import draw_judges, draw_sweep
from psmt_viz.figures.transfer import draw_transfer
from psmt_viz.figures.where import draw_where
from psmt_viz.results import Flips


def figures(result: Flips) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {
        "flips": draw_sweep(result),
        "judges": draw_judges(result),
        "transfer": draw_transfer(result),
        "where": draw_where(result),
    }
