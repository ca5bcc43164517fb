"""Commands that analyse networks: `evaluate`, `reliability`, `perturb`, `tsne` and `gradcam`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, results_folder, show_classes
from psmt_viz.cli.flags import (
    SWEEP,
    Batch,
    Classes,
    Data,
    Device,
    Eps,
    Images,
    Jobs,
    Judges,
    Kinds,
    Layer,
    Layout,
    Model,
    Neighbors,
    NPixels,
    Out,
    Panels,
    Part,
    RunFolder,
    Seed,
    ShownClasses,
    Sweep,
    Weights,
    whole_number,
)
from psmt_viz.cli.subject import open_subject
from psmt_viz.config import Norm, Objective, Search
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS

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
) -> None:
    """Score student, teachers and their ensemble on the validation images or on training images."""
    from psmt_viz.make import make
    from psmt_viz.results import Evaluation

    subject = open_subject(run, model, data=data, weights=weights, device=device)
    with results_folder(out, "evaluate", subject.name) as folder:
        show_classes(make(Evaluation, subject, folder, **subject.scoring(part)))


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
) -> None:
    """Draw how well the confidence of student, teachers and ensemble matches their accuracy."""
    from psmt_viz.make import make
    from psmt_viz.results import Reliability

    subject = open_subject(run, model, data=data, weights=weights, device=device)
    with results_folder(out, "reliability", subject.name) as folder:
        result = make(Reliability, subject, folder, **subject.scoring(part), bins=bins, seed=seed)
        print(result.roles.to_string(index=False, float_format="{:.4f}".format))


@app.command
def perturb(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    classes: Classes = (),
    out: Out = None,
    eps: Sweep = SWEEP,
    kinds: Kinds = (),
    judges: Judges = (),
    search: Annotated[Search, Parameter(help="How the direction of a perturbation is found.")] = "finite-difference",
    iterations: Annotated[int, Parameter(help="Power iterations of a search.", converter=whole_number)] = 1,
    norm: Annotated[
        Norm, Parameter(help="Norm that eps sets: over an image, or of the feature vector at each position.")
    ] = "image",
    objective: Annotated[
        Objective, Parameter(help="What a search maximises: the change of the prediction, or the loss for the label.")
    ] = "kl",
    ascent_steps: Annotated[int, Parameter(help="Gradient steps of pgd.", converter=whole_number)] = 10,
    official_batch: Annotated[
        int,
        Parameter(help="Images per call of the published search (tvat-official).", converter=whole_number),
    ] = 8,
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
) -> None:
    """Measure how each kind of perturbation changes the predictions of student, teachers and ensemble."""
    from psmt_viz.make import make, with_paper_eps
    from psmt_viz.perturb import Settings as SearchSettings
    from psmt_viz.results import CloseUp, Flips

    settings = SearchSettings(
        search=search,
        iterations=iterations,
        norm=norm,
        objective=objective,
        ascent_steps=ascent_steps,
        official_batch=official_batch,
    )
    swept = eps is SWEEP  # not asked for
    if closeup is not None:
        if len(judges) > 1 or (len(eps) > 1 and not swept):
            got = f"{', '.join(judges) or 'no --judges'} and --eps {' '.join(map('{:g}'.format, eps))}"
            raise UserError("one judge and one --eps with --closeup", got, "choose one of each")
        if images is not None:
            raise UserError("--images or --closeup", "both", "leave --images out")
    if model is None and classes:
        raise UserError("--classes with --model", "a run, which has its own classes", "leave --classes out")
    subject = open_subject(run, model, data=data, classes=classes, weights=weights, device=device)
    with results_folder(out, "perturb", subject.name) as folder:
        if closeup is not None:
            chosen = {"judge": judges[0]} if judges else {}
            one = PAPER_EPS if swept else eps[0]
            make(
                CloseUp, subject, folder, image_id=closeup, eps=one, kinds=kinds, settings=settings, seed=seed, **chosen
            )
        else:
            if images is not None and images < 1:
                raise UserError("--images of at least 1", f"{images}", "raise it")
            ids = subject.data.ids("val")[:images]
            norms = with_paper_eps(eps)
            result = make(
                Flips, subject, folder, eps=norms, kinds=kinds, judges=judges, settings=settings, ids=ids, seed=seed
            )
            _show_flips(result)


@app.command
def tsne(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    n_pixels: NPixels = 25_000,
    classes: ShownClasses = (),
    eps: Eps = PAPER_EPS,
    panels: Panels = (),
    layer: Layer = "z",
    layout: Layout = "frozen",
    arrows: Annotated[bool, Parameter(help="Draw how pixels moved, flipped ones in red.", negative="")] = False,
    margin: Annotated[float, Parameter(help="Exclude pixels closer than this to another class, in pixels.")] = 0.0,
    perplexity: Annotated[float, Parameter(help="Effective number of neighbours of t-SNE.")] = 30.0,
    neighbors: Neighbors = "exact",
    seed: Seed = 0,
    batch: Batch = 1,
    jobs: Jobs = 1,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Draw a t-SNE of correctly predicted pixels before and after perturbations."""
    if arrows and layout == "separate":
        raise UserError("--layout frozen or joint with --arrows", "separate maps", "leave one of them out")
    from psmt_viz.figures import tsne_findings
    from psmt_viz.make import make
    from psmt_viz.results import PixelEmbedding

    subject = open_subject(run, model, data=data, weights=weights, device=device)
    with results_folder(out, "tsne", subject.name) as folder:
        result = make(
            PixelEmbedding,
            subject,
            folder,
            jobs=jobs,
            arrows=arrows,
            n_pixels=n_pixels,
            classes=classes,
            eps=eps,
            panels=panels,
            layer=layer,
            layout=layout,
            margin=margin,
            perplexity=perplexity,
            neighbors=neighbors,
            seed=seed,
            batch=batch,
        )
        print("\n".join(tsne_findings(result)))


@app.command
def gradcam(
    run: RunFolder = None,
    *,
    model: Model = None,
    data: Data = None,
    out: Out = None,
    images: Images = 4,
    target_class: Annotated[str | None, Parameter(help="Class to explain; default: the largest in each image.")] = None,
    method: Annotated[
        str, Parameter(help="gradcam, gradcam++, layercam, hirescam, eigencam ...; an unknown name lists all.")
    ] = "gradcam",
    layer: Annotated[
        str, Parameter(help="Layer to explain: z, decoder, logits, or the dotted name of any module of the student.")
    ] = "z",
    eps: Eps = PAPER_EPS,
    panels: Panels = (),
    seed: Seed = 0,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Draw Grad-CAM or another class activation map of the student before and after perturbations."""
    from psmt_viz.make import make
    from psmt_viz.results import Cams

    subject = open_subject(run, model, data=data, weights=weights, device=device)
    with results_folder(out, "gradcam", subject.name) as folder:
        make(
            Cams,
            subject,
            folder,
            images=images,
            target_class=target_class,
            method=method,
            layer=layer,
            eps=eps,
            panels=panels,
            seed=seed,
        )


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
