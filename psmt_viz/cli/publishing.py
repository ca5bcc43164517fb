"""Commands that draw results of runs: `curves`, `table`, `figures` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, results_folder
from psmt_viz.cli.flags import Data, Device, Model, Out, RunFolder, RunFolders, Weights
from psmt_viz.cli.settings import FiguresFlags, settings_of
from psmt_viz.cli.subject import open_subject
from psmt_viz.errors import UserError
from psmt_viz.probes.settings import FiguresSettings

if TYPE_CHECKING:
    from psmt_viz.results import Evaluation
    from psmt_viz.runs import Run


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
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Write Table 1, ensemble against single teacher; with the published numbers for runs on Pascal VOC."""
    from psmt_viz.experiments import experiments
    from psmt_viz.make import save_and_draw
    from psmt_viz.probes.table import own_scores
    from psmt_viz.probes.table import table as put_together
    from psmt_viz.runs import Run

    opened = [Run.open(run) for run in runs or (None,)]
    named = [(name, run) for name, group in experiments(opened).items() for run in group]
    with results_folder(out, "table", opened[0].name) as folder:
        scores = []
        for name, run in named:
            own = own_scores(run) if data is None and weights == "last" else None
            scores.append((name, own or _scored(run, data=data, weights=weights, device=device)))
        save_and_draw(put_together(scores), folder)
        print((folder / "table1.md").read_text(encoding="utf-8"))


def _scored(run: Run, *, data: str | None, weights: str, device: str) -> Evaluation:
    """Scores a run again."""
    from psmt_viz.make import compute
    from psmt_viz.results import Evaluation
    from psmt_viz.subject import RunSubject

    subject = RunSubject.open(run.folder, data=data, weights=weights, device=device)
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
    settings: Annotated[FiguresFlags | None, Parameter(name="*")] = None,
) -> None:
    """Make all figures and tables of one run, a page that shows them, and a manifest with their provenance."""
    if source is not None:
        if run is not None or data is not None or model is not None:
            raise UserError("a run or --model, with its data, or --from", "both", "leave one of them out")
        from psmt_viz.redraw import redraw

        with results_folder(out, "figures", source.resolve().name) as folder:
            redraw(source, folder)
        return
    from psmt_viz.make import make_all

    subject = open_subject(run, model, data=data, weights=weights, device=device)
    with results_folder(out, "figures", subject.name) as folder:
        print("\n".join(make_all(subject, folder, settings_of(FiguresSettings, settings))))


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
