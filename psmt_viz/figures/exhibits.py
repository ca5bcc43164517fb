"""From results to files: every exhibit is drawn from its result alone and says what made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psmt_viz import __version__
from psmt_viz.figures.closeup import draw_closeup
from psmt_viz.figures.curves import draw_miou, draw_ramp_up
from psmt_viz.figures.evaluate import draw_class_iou, draw_confusion
from psmt_viz.figures.export import export, figure_of
from psmt_viz.figures.flips import draw_judges, draw_sweep
from psmt_viz.figures.gradcam import draw_gradcam
from psmt_viz.figures.table import write_table
from psmt_viz.figures.teachers import draw_teachers
from psmt_viz.figures.transfer import draw_transfer
from psmt_viz.figures.tsne import draw_tsne
from psmt_viz.figures.where import draw_where
from psmt_viz.results import Cams, CloseUp, Evaluation, Flips, PixelEmbedding, Saved, Training


def write_evaluation(result: Evaluation, out: Path) -> list[Path]:
    """Draws confusion.* and class_iou.*."""
    return _export({"confusion": draw_confusion(result), "class_iou": draw_class_iou(result)}, result.parameters, out)


def write_flips(result: Flips, out: Path) -> list[Path]:
    """Draws flips.*, judges.*, transfer.* and where.*."""
    drawn = {
        "flips": draw_sweep(result),
        "judges": draw_judges(result),
        "transfer": draw_transfer(result),
        "where": draw_where(result),
    }
    return _export(drawn, result.parameters, out)


def write_closeup(result: CloseUp, out: Path) -> list[Path]:
    """Draws closeup.*."""
    return _export({"closeup": draw_closeup(result)}, {**result.parameters, "image": result.image_id}, out)


def write_tsne(result: PixelEmbedding, out: Path) -> list[Path]:
    """Draws fig2_tsne.*."""
    return _export({"fig2_tsne": draw_tsne(result)}, result.parameters, out)


def write_gradcam(result: Cams, out: Path) -> list[Path]:
    """Draws fig1_gradcam.*."""
    return _export({"fig1_gradcam": draw_gradcam(result)}, result.parameters, out)


def write_curves(result: Training, out: Path) -> list[Path]:
    """Draws fig3a_rampup.* of the first run that has a ramp-up, fig3b_miou.* of all, and teachers.* where measured."""
    drawn: dict[str, Axes | Figure] = {"fig3b_miou": draw_miou(result.runs)}
    if ramped := next((run for run in result.runs if run.ramp), None):
        drawn["fig3a_rampup"] = draw_ramp_up(ramped)
    columns = ["teacher_distance", "teacher_disagreement"]
    if any(run.metrics.reindex(columns=columns).notna().any(axis=None) for run in result.runs):
        drawn["teachers"] = draw_teachers(result.runs)
    ramp = {"run": ramped.name, **ramped.ramp} if ramped else {}  # whose ramp-up is drawn
    facts = {"runs": [run.name for run in result.runs], **ramp, **result.parameters}
    return _export(drawn, facts, out)


_WRITERS: dict[str, tuple[str, Callable[[Any, Path], list[Path]]]] = {
    "evaluate": ("evaluation", write_evaluation),
    "curves": ("training", write_curves),
    "table": ("table", write_table),
    "gradcam": ("cams", write_gradcam),
    "tsne": ("embedding", write_tsne),
    "perturb": ("flips", write_flips),
    "closeup": ("closeup", write_closeup),
}
"""Verb -> its field of `Saved`, and what draws it."""


def write_all(saved: Saved, out: Path) -> dict[str, list[Path]]:
    """Draws everything that a folder of results holds.

    Args:
        saved: The results.
        out: An existing folder.

    Returns:
        Verb -> paths written.
    """
    found = {verb: (getattr(saved, name), write) for verb, (name, write) in _WRITERS.items()}
    return {verb: write(result, out) for verb, (result, write) in found.items() if result is not None}


def _export(drawn: Mapping[str, Axes | Figure], parameters: dict[str, Any], out: Path) -> list[Path]:
    """Writes figures once all of them are drawn, so that a damaged result leaves nothing behind."""
    paths = []
    for name, artist in drawn.items():
        facts = {"exhibit": name, **parameters, "psmt-viz": __version__}
        paths += export(figure_of(artist), out / name, provenance=facts)
    return paths
