"""Verbs that draw what is known of runs: `curves`, `table`, `figures` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, results_folder
from psmt_viz.cli.flags import (
    SWEEP,
    Data,
    Device,
    Eps,
    Images,
    Jobs,
    NPixels,
    Out,
    RunFolder,
    RunFolders,
    Seed,
    Sweep,
    Weights,
)
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS


@app.command
def curves(runs: RunFolders = (), *, out: Out = None) -> None:
    """Draw ramp-up, validation mIoU and the teachers' distance over training; runs of several seeds as a band."""
    from psmt_viz.exhibits import make_curves
    from psmt_viz.runs import Run, experiments

    opened = [Run.open(run) for run in runs or (None,)]
    named = [run.curves(name) for name, group in experiments(opened).items() for run in group]
    with results_folder(out, "curves", opened[0].name) as folder:
        make_curves(named, folder)


@app.command
def table(
    runs: RunFolders = (),
    *,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Write Table 1, ensemble against single teacher, of runs; those on Pascal VOC beside the published numbers."""
    from psmt_viz.exhibits import RunSubject, make_table
    from psmt_viz.runs import experiments

    subjects = [RunSubject.open(run, data=data, weights=weights, device=device) for run in runs or (None,)]
    groups = experiments([each.run for each in subjects])
    names = {run.folder.resolve(): name for name, group in groups.items() for run in group}
    with results_folder(out, "table", subjects[0].name) as folder:
        make_table([(names[each.run.folder.resolve()], each.score()) for each in subjects], folder)
        print((folder / "table1.md").read_text(encoding="utf-8"))


@app.command(name="figures")
def all_figures(
    run: RunFolder = None,
    *,
    source: Annotated[
        Path | None,
        Parameter(
            name="--from", help="Draw saved results of this folder again, without a run, a model, data or torch."
        ),
    ] = None,
    data: Data = None,
    out: Out = None,
    n_pixels: NPixels = 25_000,
    images: Images = 4,
    eps: Eps = PAPER_EPS,
    sweep: Sweep = SWEEP,
    seed: Seed = 0,
    jobs: Jobs = 1,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Make every exhibit of the supplement from one run, a page of all of them, and a manifest of what made what."""
    if source is not None:
        if run is not None or data is not None:
            raise UserError("a run, with its data, or --from", "both", "leave one of them out")
        from psmt_viz.redraw import redraw

        with results_folder(out, "figures", source.resolve().name) as folder:
            redraw(source, folder)
        return
    from psmt_viz.exhibits import RunSubject, make_all

    subject = RunSubject.open(run, data=data, weights=weights, device=device)
    with results_folder(out, "figures", subject.name) as folder:
        remarks = make_all(
            subject, folder, n_pixels=n_pixels, images=images, eps=eps, sweep=sweep, seed=seed, jobs=jobs
        )
        print("\n".join(remarks))


@app.command
def report(
    source: Annotated[
        Path | None,
        Parameter(
            name="run",
            help="A folder that a verb wrote, or a run folder, with the results in its folder `figures`; left out, the "
            "run that comes with psmt-viz.",
        ),
    ] = None,
    *,
    out: Out = None,
) -> None:
    """Write index.html: all saved results on one page, to zoom and hover, that opens anywhere without a network."""
    from psmt_viz.redraw import PAGE, gather
    from psmt_viz.report import write_report

    saved = gather(source)
    with results_folder(out, "report", source.resolve().name if source else "shipped") as folder:
        write_report(saved, folder / PAGE)
