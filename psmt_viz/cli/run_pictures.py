"""The pictures that a run has of itself, drawn while it is trained."""

from __future__ import annotations

from psmt_viz import figures
from psmt_viz.runs import RunFile
from psmt_viz.train.loop import EpochReport


def draw_run(report: EpochReport) -> None:
    """Keeps a run's pictures up to date: results.png after every epoch, the others at the start and the end."""
    run, facts = report.run, {"run": report.run.name, "epoch": len(report.curves.metrics)}
    figures.export_png(figures.draw_training(report.curves), run.path(RunFile.RESULTS_PICTURE), facts)
    if len(report.curves.metrics) == 1 or report.finished:
        figures.export_png(figures.draw_batch(report.batch()), run.path(RunFile.BATCH_PICTURE), facts)
    if report.evaluation is not None:
        confusion = figures.figure_of(figures.draw_confusion(report.evaluation))
        figures.export_png(confusion, run.path(RunFile.CONFUSION_PICTURE), facts)
