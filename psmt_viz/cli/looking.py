"""Commands that analyse networks: `evaluate`, `reliability`, `perturb`, `tsne` and `gradcam`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, results_folder, show_classes
from psmt_viz.cli.flags import (
    Data,
    Device,
    Judges,
    Kinds,
    Model,
    Out,
    Part,
    RunFolder,
    Seed,
    Sweep,
    Weights,
    whole_number,
)
from psmt_viz.cli.loading import loading
from psmt_viz.cli.settings import Folder, GradcamFlags, SearchFlags, ShownFolder, TsneFlags, settings_of
from psmt_viz.cli.subject import open_subject
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS, SWEEP
from psmt_viz.probes.settings import GradcamSettings, TsneSettings
from psmt_viz.search import SearchSettings

if TYPE_CHECKING:
    from psmt_viz.results import Flips


@app.command
def evaluate(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    part: Part = "val",
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
) -> None:
    """Score student, teachers and their ensemble on the validation images or on training images."""
    loading()
    from psmt_viz.make import make
    from psmt_viz.results import Evaluation

    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "evaluate", subject.name) as place:
        show_classes(make(Evaluation, subject, place, **subject.scoring(part)))


@app.command
def reliability(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    part: Part = "val",
    bins: Annotated[int, Parameter(help="Number of confidence bins of equal width.", converter=whole_number)] = 15,
    out: Out = None,
    seed: Seed = 0,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
) -> None:
    """Draw how well the confidence of student, teachers and ensemble matches their accuracy."""
    loading()
    from psmt_viz.make import make
    from psmt_viz.results import Reliability

    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "reliability", subject.name) as place:
        result = make(Reliability, subject, place, **subject.scoring(part), bins=bins, seed=seed)
        print(result.roles.to_string(index=False, float_format="{:.4f}".format))


@app.command
def perturb(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    eps: Sweep = None,
    kinds: Kinds = (),
    judges: Judges = (),
    images: Annotated[
        int | None, Parameter(help="Use only the first N validation images.", converter=whole_number)
    ] = None,
    closeup: Annotated[
        str | None,
        Parameter(help="Analyse only the validation image with this id: flips and size of every kind, at one eps."),
    ] = None,
    seed: Seed = 0,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
    search: Annotated[SearchFlags | None, Parameter(name="*")] = None,
) -> None:
    """Measure how each kind of perturbation changes the predictions of student, teachers and ensemble."""
    loading()
    from psmt_viz.make import make, with_paper_eps
    from psmt_viz.results import CloseUp, Flips

    settings = settings_of(SearchSettings, search)
    if closeup is not None:
        if len(judges) > 1 or (eps is not None and len(eps) != 1):
            got = f"{', '.join(judges) or 'no --judges'} and --eps {' '.join(map('{:g}'.format, eps or ()))}"
            raise UserError("one judge and one --eps with --closeup", got, "choose one of each")
        if images is not None:
            raise UserError("--images or --closeup", "both", "leave --images out")
    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "perturb", subject.name) as place:
        if closeup is not None:
            chosen = {"judge": judges[0]} if judges else {}
            (one,) = eps or (PAPER_EPS,)
            make(
                CloseUp, subject, place, image_id=closeup, eps=one, kinds=kinds, settings=settings, seed=seed, **chosen
            )
        else:
            if images is not None and images < 1:
                raise UserError("--images of at least 1", f"{images}", "raise it")
            ids = subject.data.ids("val")[:images]
            norms = with_paper_eps(eps or SWEEP)
            result = make(
                Flips, subject, place, eps=norms, kinds=kinds, judges=judges, settings=settings, ids=ids, seed=seed
            )
            _show_flips(result)


@app.command
def tsne(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    arrows: Annotated[bool, Parameter(help="Draw how pixels moved, flipped ones in red.", negative="")] = False,
    weights: Weights = "last",
    device: Device = "auto",
    folder: ShownFolder = None,
    settings: Annotated[TsneFlags | None, Parameter(name="*")] = None,
) -> None:
    """Draw a t-SNE of correctly predicted pixels before and after perturbations."""
    how = settings_of(TsneSettings, settings)
    if arrows and how.layout == "separate":
        raise UserError("--layout frozen or joint with --arrows", "separate maps", "leave one of them out")
    loading()
    from psmt_viz.figures import tsne_findings
    from psmt_viz.make import make
    from psmt_viz.results import PixelEmbedding

    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "tsne", subject.name) as place:
        result = make(PixelEmbedding, subject, place, settings=how, arrows=arrows)
        print("\n".join(tsne_findings(result)))


@app.command
def gradcam(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
    folder: Folder = None,
    settings: Annotated[GradcamFlags | None, Parameter(name="*")] = None,
) -> None:
    """Draw Grad-CAM or another class activation map of the student before and after perturbations."""
    how = settings_of(GradcamSettings, settings)
    loading()
    from psmt_viz.figures import gradcam_findings
    from psmt_viz.make import make
    from psmt_viz.results import Cams

    subject = open_subject(run, model, data=data, folder=folder, weights=weights, device=device)
    with results_folder(out, "gradcam", subject.name) as place:
        print("\n".join(gradcam_findings(make(Cams, subject, place, settings=how))))


def _show_flips(result: Flips) -> None:
    """Prints the flips at the paper's eps, problems of the searches, and skipped kinds."""
    table = result.flips
    shown = table[((table["eps"] == PAPER_EPS) & (table["norm"] != "own")) & (table["judge"] == table["judge"].iloc[0])]
    columns = ["kind", "judge", "eps", "relative_norm", "flip_rate", "flip_rate_low", "flip_rate_high"]
    columns += ["flipped_pixels", "correct_pixels", "kl", "miou"]
    print(shown[columns].to_string(index=False, float_format="{:.5g}".format))
    for kind, health in result.health.items():
        for warning in health["warnings"]:
            print(f"warning: {kind}: {warning}")
    if left_out := result.used["left_out"]:
        print(f"skipped, because they need teachers: {', '.join(left_out)}")
