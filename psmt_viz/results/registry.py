"""The one table of results: from it follow saving, loading, drawing, the page's sections, its head and provenance.

A result is added here once (imported, named and put in its place on the page), and has three modules of its name:
`probes.NAME` makes it (with a function NAME), `figures.NAME` draws it (`figures`), and `report.NAME` shows it on the
page (`section`).
"""

from __future__ import annotations

from psmt_viz.results.closeup import CloseUp
from psmt_viz.results.curves import Training
from psmt_viz.results.evaluate import Evaluation
from psmt_viz.results.gradcam import Cams
from psmt_viz.results.perturb import Flips
from psmt_viz.results.reliability import Reliability
from psmt_viz.results.result import Result
from psmt_viz.results.table import ScoreTable
from psmt_viz.results.tsne import PixelEmbedding

__all__ = [
    "RESULTS",
    "Cams",
    "CloseUp",
    "Evaluation",
    "Flips",
    "PixelEmbedding",
    "Reliability",
    "ScoreTable",
    "Training",
]
_IN_ORDER: tuple[type[Result], ...] = (
    PixelEmbedding,
    Cams,
    Flips,
    CloseUp,
    Training,
    Evaluation,
    Reliability,
    ScoreTable,
)

RESULTS: dict[str, type[Result]] = {kind.NAME: kind for kind in _IN_ORDER}
"""Name -> class, in the order of the page."""


def commands() -> str:
    """Returns the commands that write results, as a sentence lists them after `psmt-viz`."""
    *names, last = ["figures", *(kind.COMMAND for kind in _IN_ORDER)]
    return f"{', '.join(names)} or {last}"
