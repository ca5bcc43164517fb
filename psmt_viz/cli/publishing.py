"""Commands that draw results of runs: `curves`, `table`, `figures` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, results_folder
from psmt_viz.cli.flags import Data, Device, Model, Out, RunFolder, RunFolders, Weights
from psmt_viz.cli.loading import loading
from psmt_viz.cli.settings import FiguresFlags, Folder, settings_of
from psmt_viz.cli.subject import open_subject
from psmt_viz.errors import UserError
from psmt_viz.probes.settings import FiguresSettings

if TYPE_CHECKING:
    from psmt_viz.results import Evaluation
    from psmt_viz.subject import Subject


@app.command
def curves(runs: RunFolders = (), *, out: Out = None) -> None:
    """Draw ramp-up, validation mIoU and the teachers' distance during training; several seeds as a band."""
    from psmt_viz.make import save_and_draw
    from psmt_viz.probes.curves import curves as put_together
    from psmt_viz.runs import Run

    opened = [Run.open(run) for run in runs or (None,)]
    result = put_together(opened)
    with results_folder(out, "curves", opened[0].name) as folder:
        save_and_draw(result, folder)


@app.command
def table(
    runs: RunFolders = (),
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
) -> None:
    """Write Table 1, ensemble against single teacher; with the published numbers for runs on Pascal VOC."""
    from psmt_viz.experiments import experiments
    from psmt_viz.make import save_and_draw
    from psmt_viz.probes.table import own_scores
    from psmt_viz.probes.table import table as put_together
    from psmt_viz.runs import Run

    theirs = model is not None and model.model is not None
    opened = [] if theirs and not runs else [Run.open(run) for run in runs or (None,)]
    named = [(name, run) for name, group in experiments(opened).items() for run in group]
    if theirs:
        loading()
    subject = open_subject(None, model, data=data, folder=folder, weights=weights, device=device) if theirs else None
    title = subject.name if subject is not None else opened[0].name
    with results_folder(out, "table", title) as place:
        scores = []
        for name, run in named:
            own = own_scores(run) if data is None and weights == "last" else None
            if own is None:
                loading()
                own = _scored(open_subject(run.folder, None, data=data, folder=folder, weights=weights, device=device))
            scores.append((name, own))
        if subject is not None:
            scores.append((subject.name, _scored(subject)))
        save_and_draw(put_together(scores), place)
        print((place / "table1.md").read_text(encoding="utf-8"))


def _scored(subject: Subject) -> Evaluation:
    from psmt_viz.make import compute
    from psmt_viz.results import Evaluation

    return compute(Evaluation, subject, **subject.scoring())


@app.command(name="figures")
def all_figures(
    run: RunFolder = None,
    *,
    source: Annotated[
        Path | None,
        Parameter(
            name="--from", help="Redraw the results saved in this folder, without a run, a model, data or torch."
        ),
    ] = None,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
    settings: Annotated[FiguresFlags | None, Parameter(name="*")] = None,
) -> None:
    """Make all figures and tables of one run, a page that shows them, and a manifest with their provenance."""
    if source is not None:
        if run is not None or data is not None or model is not None or folder is not None:
            raise UserError("a run or --model, with its data, or --from", "both", "leave one of them out")
        from psmt_viz.redraw import redraw

        with results_folder(out, "figures", source.resolve().name) as place:
            redraw(source, place)
            _say_page(place)
        return
    loading()
    from psmt_viz.make import make_all

    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "figures", subject.name) as place:
        print("\n".join(make_all(subject, place, settings_of(FiguresSettings, settings))))
        _say_page(place)


@app.command
def report(
    source: Annotated[
        Path | None,
        Parameter(
            name="run",
            help="A folder that a command wrote, or a run folder with results in its folder `figures`; default: the "
            "run that comes with psmt-viz.",
        ),
    ] = None,
    *,
    out: Out = None,
) -> None:
    """Write index.html: all saved results on one interactive page that opens anywhere without a network."""
    from psmt_viz.redraw import PAGE, gather
    from psmt_viz.report import write_report

    saved = gather(source)
    with results_folder(out, "report", source.resolve().name if source else "shipped") as folder:
        write_report(saved, folder / PAGE)
        _say_page(folder)


def _say_page(folder: Path) -> None:
    """Prints where the page is, as an address that terminals make a link of."""
    from psmt_viz.redraw import PAGE

    print(f"page: {(folder / PAGE).resolve().as_uri()}")
