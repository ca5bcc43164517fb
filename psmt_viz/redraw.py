"""From saved results to figures and page again: no torch, no model, no data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from psmt_viz import figures
from psmt_viz.figures.writing import Written
from psmt_viz.files import sha256, write_json
from psmt_viz.report import write_report
from psmt_viz.results import MANIFEST, Evaluation, Result, Saved, ScoreTable, Training
from psmt_viz.runs import Run, is_run

PAGE = "index.html"


def gather(folder: Path | None) -> Saved:
    """Reads the results of a folder.

    Args:
        folder: What a command wrote, or a run folder, of which the results in its folder `figures` are taken, and its
            own scores and measurements; default: the run that comes with the project.

    Raises:
        UserError: if there are none, or one is damaged.
    """
    if folder is not None and not is_run(folder):
        return Saved.load(folder)
    run = Run.open(folder)
    saved = Saved.load(run.folder / "figures") if Saved.there(run.folder / "figures") else Saved()
    own: list[Result] = []
    if saved.get(Training) is None and run.measured:
        own.append(Training(runs=(run.curves(),)))
    if saved.get(Evaluation) is None and (run.folder / Evaluation.FACTS).is_file():
        scores = Evaluation.load(run.folder)
        own += [scores, ScoreTable.of([(run.name, scores)])]
    return saved.beside(*own)


def redraw(folder: Path, out: Path) -> None:
    """Draws every figure of saved results again, with page and manifest.

    Equal results and versions give equal files, so what was redrawn can be compared with what was published.

    Args:
        folder: Where the results are.
        out: An existing folder for the figures; may be the same.

    Raises:
        UserError: if there are no results, or one is damaged.
    """
    saved = gather(folder)
    publish(saved, figures.write_all(saved, out), out)


def publish(saved: Saved, made: Mapping[str, Written], out: Path) -> None:
    """Writes manifest.json, the provenance of everything, and index.html.

    Args:
        saved: The results; what is known of their origin is in its manifest.
        made: Name of a result -> what was made of it; the page shows these figures.
        out: The folder.
    """
    known = {key: value for key, value in saved.manifest.items() if key != "outputs"}
    drawn = {name: figure for each in made.values() for name, figure in each.figures.items()}
    page = write_report(replace(saved, manifest=known), out / PAGE, drawn=drawn)
    before: dict[str, Any] = saved.manifest.get("outputs", {})
    files = {name: each.paths for name, each in made.items()} | {"report": [page]}
    now = {name: {path.name: sha256(path) for path in paths} for name, paths in files.items()}
    # Files of numbers that were drawn again but not written again keep the hash that they were drawn from.
    outputs = {name: before.get(name, {}) | now.get(name, {}) for name in dict.fromkeys([*before, *now])}
    write_json(out / MANIFEST, {**known, "outputs": outputs})
