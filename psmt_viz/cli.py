"""The verbs of `psmt-viz`; each reads its flags, calls one function and says where the results are."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

import psmt_viz
from psmt_viz.config import PAPER_EPS, PRESETS, RECIPES, Config, Norm, Objective, Search, configure
from psmt_viz.errors import UserError
from psmt_viz.files import output_folder, read_json
from psmt_viz.flags import (
    SWEEP,
    Classes,
    Data,
    Device,
    Eps,
    Images,
    Jobs,
    Judges,
    Kinds,
    ListFile,
    NPixels,
    Out,
    RunFolder,
    RunFolders,
    Seed,
    Settings,
    Sweep,
    Weights,
    whole_number,
)

if TYPE_CHECKING:
    from psmt_viz.results import Flips

app = App(
    name="psmt-viz",
    help="Train PS-MT for semi-supervised semantic segmentation and see what its perturbations really do.",
    version=psmt_viz.__version__,
    suppress_keyboard_interrupt=False,
)


@app.command
def checks(
    *,
    data: Annotated[str, Parameter(help="A folder in Pascal VOC's layout.")],
    classes: Classes = (),
    labeled_list: ListFile = None,
    unlabeled_list: ListFile = None,
    val_list: ListFile = None,
    out: Out = None,
) -> int:
    """List every fault of a data set, each with its fix; exit status 2 if one of them is an error."""
    if data == "scenes":
        raise UserError("a folder to check", "the embedded scenes, which have no files", "give a folder")
    from psmt_viz.data.checks import check
    from psmt_viz.results import write_csv

    faults = check(
        Path(data), classes=classes, labeled_list=labeled_list, unlabeled_list=unlabeled_list, val_list=val_list
    )
    folder = output_folder(out, "checks", Path(data).resolve().name)
    write_csv(folder / "checks.csv", faults)
    for fault in faults.itertuples():
        print(f"{fault.severity}: {fault.kind}: {fault.where}: {fault.found}; {fault.fix}")
    errors = int((faults["severity"] == "error").sum())
    print(f"{errors} errors, {len(faults) - errors} warnings in {data}")
    _say(folder / "checks.csv")
    return 2 if errors else 0


@app.command
def data(
    source: Annotated[str, Parameter(help="`scenes`, or a folder in Pascal VOC's layout.")] = "scenes",
    *,
    classes: Classes = (),
    out: Annotated[Path | None, Parameter(help="Write the data set there, as a folder in VOC's layout.")] = None,
) -> None:
    """Summarise a data set; with --out, write it as a folder in Pascal VOC's layout."""
    from psmt_viz.data import open_data, write_voc

    opened = open_data(source, classes=classes)
    print(f"{opened.name}: {len(opened.ids('train'))} training and {len(opened.ids('val'))} validation images")
    print(f"{len(opened.classes)} classes: {', '.join(opened.classes)}")
    for name in ("1_16", "1_8", "1_4", "1_2"):
        split = opened.split(name)
        print(f"split {name}: {len(split.labeled)} labelled, {len(split.unlabeled)} unlabelled")
    if out is not None:
        write_voc(opened, output_folder(out, "data", opened.name))
        _say(out)


@app.command
def train(
    *,
    preset: Annotated[str, Parameter(help=f"Where the settings start from: {', '.join(PRESETS)}.")] = "scenes",
    recipe: Annotated[
        str | None, Parameter(help=f"Switches of the method: {' or '.join(RECIPES)}; left out, the first.")
    ] = None,
    config: Annotated[Path | None, Parameter(help="A run's config.json to start from, in place of a preset.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder; left out, a new one under runs/train.")] = None,
    resume: Annotated[bool, Parameter(help="Go on from the last checkpoint in --out.", negative="")] = False,
    dry_run: Annotated[bool, Parameter(help="Print the resolved plan and write nothing.", negative="")] = False,
    device: Device = "auto",
    devices: Annotated[
        str | None, Parameter(help="How many devices of that kind (`2`), or which GPUs (`0,1`); left out, one.")
    ] = None,
    nodes: Annotated[
        int | None, Parameter(help="Machines; left out, what torchrun or SLURM say.", converter=whole_number)
    ] = None,
    tracker: Annotated[
        tuple[str, ...],
        Parameter(help="Trackers of your own, each `module:Class`.", consume_multiple=True, negative_iterable=""),
    ] = (),
    settings: Annotated[Settings | None, Parameter(name="*")] = None,
) -> None:
    """Train PS-MT, or its supervised control, and leave a run folder. Flags left out keep the preset's value."""
    if resume and out is None:
        raise UserError("--out with --resume", "no --out", "name the run folder to go on with")
    given = {name: value for name, value in vars(settings or Settings()).items() if value is not None}
    for name in ("data", "labeled_list", "unlabeled_list", "val_list"):
        if name in given and given[name] != "scenes":
            # The run is read from other folders than this one.
            given[name] = str(Path(given[name]).expanduser().resolve())
    if config is None:
        resolved = configure(preset, given, recipe=recipe or "supplement")
    else:
        resolved = _from_file(config, recipe, given)
    from psmt_viz.exhibits import draw_run, open_config_data, resolve_device
    from psmt_viz.results import Evaluation
    from psmt_viz.train.engine import Engine
    from psmt_viz.train.session import train as run_training

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its banners tell users nothing
    opened = open_config_data(resolved.data)
    engine = Engine(resolve_device(device), devices=_devices(devices), nodes=nodes, system=resolved.system)
    if dry_run:
        from psmt_viz.train.preview import preview

        print(preview(resolved, opened, engine, out))
        return
    name = f"{opened.name}-{resolved.method.method}-{resolved.data.split}"
    # The other processes are told the first one's folder.
    folder = output_folder(out, "train", name) if engine.first else Path()
    run = run_training(resolved, opened, folder, engine=engine, resume=resume, on_epoch=draw_run, trackers=tracker)
    if engine.first:
        _show_classes(Evaluation.load(run.folder))
        _say(run.folder)


@app.command(name="import")
def import_(
    official: Annotated[Path, Parameter(help="A checkpoint of the PS-MT authors, a .pth file.")],
    *,
    out: Annotated[Path | None, Parameter(help="The run folder; left out, a new one under runs/import.")] = None,
    classes: Annotated[
        tuple[str, ...],
        Parameter(
            help="Class names in the order of their ids; left out, those of --data, of Pascal VOC or of Cityscapes.",
            consume_multiple=True,
            negative_iterable="",
        ),
    ] = (),
    data: Annotated[
        str | None, Parameter(help="The data set to look at it with; left out, other verbs want their own --data.")
    ] = None,
) -> None:
    """Turn a checkpoint of the PS-MT authors into a run folder, for every verb that looks at networks."""
    from psmt_viz.models.exchange import import_official

    if data is not None and data != "scenes":
        data = str(Path(data).expanduser().resolve())
    run, found = import_official(official, out, classes=classes, data=data)
    facts = ", ".join(f"{name} {value}" for name, value in found.facts.items())
    print(f"{found.config.backbone}, {found.classes} classes: {', '.join(run.classes)}{f'; {facts}' * bool(facts)}")
    if found.dropped:
        modules = dict.fromkeys(".".join(key.split(".")[:3]) for key in found.dropped)
        print(f"dropped {len(found.dropped)} tensors that its networks never use: {', '.join(modules)}")
    _say(run.folder)


@app.command
def export(
    run: RunFolder = None,
    *,
    out: Annotated[Path, Parameter(help="The file to write, for example official.pth.")],
    weights: Weights = "last",
) -> None:
    """Write a run of --arch psmt-deeplabv3plus as a checkpoint that the PS-MT authors' code loads."""
    from psmt_viz.models.exchange import export_official
    from psmt_viz.runs import Run

    export_official(Run.open(run), out, weights=weights)
    _say(out)


@app.command
def evaluate(
    run: RunFolder = None,
    *,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Score student, teachers and their ensemble on the validation images."""
    from psmt_viz.exhibits import RunSubject, make_evaluation

    subject = RunSubject.open(run, data=data, weights=weights, device=device)
    with _results(out, "evaluate", subject.name) as folder:
        result, _ = make_evaluation(subject, folder)
        _show_classes(result)


@app.command
def perturb(
    run: RunFolder = None,
    *,
    model: Annotated[
        str | None,
        Parameter(help="`module:name` of a network of your own in place of a run, or of what returns one; see README."),
    ] = None,
    data: Data = None,
    classes: Classes = (),
    out: Out = None,
    eps: Sweep = SWEEP,
    kinds: Kinds = (),
    judges: Judges = (),
    search: Annotated[Search, Parameter(help="How a direction is found.")] = "finite-difference",
    iterations: Annotated[int, Parameter(help="Power iterations of a search.", converter=whole_number)] = 1,
    norm: Annotated[
        Norm, Parameter(help="What eps bounds: the norm over an image, or over each pixel's feature vector.")
    ] = "image",
    objective: Annotated[
        Objective, Parameter(help="What a search raises: the change of the prediction, or the loss to the label.")
    ] = "kl",
    ascent_steps: Annotated[int, Parameter(help="Gradient steps of pgd.", converter=whole_number)] = 10,
    images: Annotated[
        int | None, Parameter(help="Only the first of the validation images.", converter=whole_number)
    ] = None,
    closeup: Annotated[
        str | None, Parameter(help="Only look at this validation image: flips and size of every kind, at one eps.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Measure what each kind of perturbation does to the predictions of student, teachers and ensemble."""
    from psmt_viz.exhibits import RunSubject, Subject, make_closeup, make_perturbation
    from psmt_viz.perturb import Settings as SearchSettings

    settings = SearchSettings(
        search=search, iterations=iterations, norm=norm, objective=objective, ascent_steps=ascent_steps
    )
    swept = eps is SWEEP  # not asked for
    if closeup is not None:
        if len(judges) > 1 or (len(eps) > 1 and not swept):
            got = f"{', '.join(judges) or 'no --judges'} and --eps {' '.join(map('{:g}'.format, eps))}"
            raise UserError("one judge and one --eps with --closeup", got, "choose one of each")
        if images is not None:
            raise UserError("--images or --closeup", "both", "leave --images out")
    subject: Subject
    if model is None:
        if classes:
            raise UserError("--classes with --model", "a run, which has its own classes", "leave --classes out")
        subject = RunSubject.open(run, data=data, weights=weights, device=device)
    elif run is not None:
        raise UserError("a run or --model", "both", "leave one of them out")
    elif weights != "last":
        raise UserError("--weights with a run", "--model, which brings its own", "leave --weights out")
    else:
        subject = Subject.of_model(model, data=data, classes=classes, device=device)
    with _results(out, "perturb", subject.name) as folder:
        if closeup is not None:
            chosen = {"judge": judges[0]} if judges else {}
            one = PAPER_EPS if swept else eps[0]
            make_closeup(subject, folder, closeup, eps=one, kinds=kinds, settings=settings, seed=seed, **chosen)
        else:
            result, _ = make_perturbation(
                subject, folder, eps=eps, kinds=kinds, judges=judges, settings=settings, images=images, seed=seed
            )
            _show_flips(result)


@app.command
def tsne(
    run: RunFolder = None,
    *,
    data: Data = None,
    out: Out = None,
    n_pixels: NPixels = 25_000,
    classes: Annotated[
        tuple[str, ...],
        Parameter(
            help="Classes to show; left out, the five with most correct pixels.",
            consume_multiple=True,
            negative_iterable="",
        ),
    ] = (),
    eps: Eps = 2.0,
    layer: Annotated[Literal["z", "decoder", "logits"], Parameter(help="Whose features.")] = "z",
    perplexity: Annotated[float, Parameter(help="Effective number of neighbours of t-SNE.")] = 30.0,
    seed: Seed = 0,
    jobs: Jobs = 1,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Draw the t-SNE of correctly predicted pixels before and after VAT and T-VAT."""
    from psmt_viz.exhibits import RunSubject, make_tsne, tsne_remark

    subject = RunSubject.open(run, data=data, weights=weights, device=device)
    with _results(out, "tsne", subject.name) as folder:
        _, seconds, _ = make_tsne(
            subject,
            folder,
            jobs=jobs,
            n_pixels=n_pixels,
            classes=classes,
            eps=eps,
            layer=layer,
            perplexity=perplexity,
            seed=seed,
        )
        print(tsne_remark(seconds))


@app.command
def gradcam(
    run: RunFolder = None,
    *,
    data: Data = None,
    out: Out = None,
    images: Images = 4,
    target_class: Annotated[str | None, Parameter(help="Class to map; left out, each image's largest.")] = None,
    eps: Eps = 2.0,
    seed: Seed = 0,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Draw Grad-CAM of the student before and after VAT and T-VAT."""
    from psmt_viz.exhibits import RunSubject, make_gradcam

    subject = RunSubject.open(run, data=data, weights=weights, device=device)
    with _results(out, "gradcam", subject.name) as folder:
        make_gradcam(subject, folder, images=images, target_class=target_class, eps=eps, seed=seed)


@app.command
def curves(runs: RunFolders = (), *, out: Out = None) -> None:
    """Draw the ramp-up and the validation mIoU over training, of one or several runs."""
    from psmt_viz.exhibits import make_curves
    from psmt_viz.runs import Run

    opened = [Run.open(run) for run in runs or (None,)]
    with _results(out, "curves", opened[0].name) as folder:
        make_curves([run.curves() for run in opened], folder)


@app.command
def table(
    runs: RunFolders = (),
    *,
    data: Data = None,
    out: Out = None,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Write Table 1, ensemble against single teacher, of one or several runs beside the published numbers."""
    from psmt_viz.exhibits import RunSubject, make_table

    subjects = [RunSubject.open(run, data=data, weights=weights, device=device) for run in runs or (None,)]
    with _results(out, "table", subjects[0].name) as folder:
        make_table([(each.name, each.score()) for each in subjects], folder)
        print((folder / "table1.md").read_text(encoding="utf-8"))


@app.command(name="figures")
def all_figures(
    run: RunFolder = None,
    *,
    data: Data = None,
    out: Out = None,
    n_pixels: NPixels = 25_000,
    images: Images = 4,
    eps: Eps = 2.0,
    sweep: Sweep = SWEEP,
    seed: Seed = 0,
    jobs: Jobs = 1,
    weights: Weights = "last",
    device: Device = "auto",
) -> None:
    """Make every exhibit of the supplement from one run, and a manifest of what made what."""
    from psmt_viz.exhibits import RunSubject, make_all

    subject = RunSubject.open(run, data=data, weights=weights, device=device)
    with _results(out, "figures", subject.name) as folder:
        remarks = make_all(
            subject, folder, n_pixels=n_pixels, images=images, eps=eps, sweep=sweep, seed=seed, jobs=jobs
        )
        print("\n".join(remarks))


@contextmanager
def _results(out: Path | None, verb: str, name: str) -> Iterator[Path]:
    """Yields the folder for a verb's results and says where it is; a failure takes away what it made and left empty.

    It is made before the work, so that an unwritable folder costs nothing.
    """
    place = out or Path("runs", verb)
    before = {each for each in (place, *place.parents) if each.exists()}
    folder = output_folder(out, verb, name)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # from the first that holds something
            for each in (folder, *folder.parents):
                if each in before:
                    break
                each.rmdir()
        raise
    _say(folder)


def _devices(text: str | None) -> int | tuple[int, ...] | None:
    if text is None:
        return None
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UserError("--devices as a number (2) or a list (0,1)", repr(text), "give one of the two")
    return int(text) if len(numbers) == 1 else tuple(map(int, numbers))


def _from_file(path: Path, recipe: str | None, given: dict[str, Any]) -> Config:
    facts = read_json(path)
    if not isinstance(facts, dict) or "config" not in facts:
        raise UserError(f"a run's config.json in {path}", "something else", "give the config.json of a run folder")
    start = Config.from_dict(facts["config"])
    if recipe is None:
        return start.replace(given)
    return configure(start.preset, {**start.flat(), **RECIPES.get(recipe, {}), **given}, recipe=recipe)


def _show_flips(result: Flips) -> None:
    """Prints what happens at the paper's eps, what is wrong with a search, and what was left out."""
    table = result.flips
    shown = table[((table["eps"] == PAPER_EPS) & (table["norm"] != "own")) & (table["judge"] == table["judge"].iloc[0])]
    columns = ["kind", "judge", "eps", "relative_norm", "flip_rate", "flip_rate_low", "flip_rate_high", "kl", "miou"]
    print(shown[columns].to_string(index=False, float_format="{:.5g}".format))
    for kind, health in result.health.items():
        for warning in health["warnings"]:
            print(f"warning: {kind}: {warning}")
    if left_out := result.parameters["left_out"]:
        print(f"left out for want of teachers: {', '.join(left_out)}")


def _show_classes(result: Any) -> None:
    scores = result.table().set_index("role").T.mul(100)
    print(scores.to_string(float_format="{:.2f}".format, na_rep="-"))


def _say(path: Path) -> None:
    print(f"results: {path}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
        0; 2 after an error that the user can mend, told in one line on standard error; 130 after Ctrl-C and 143 after
        SIGTERM.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # libraries talking to libraries
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        try:
            status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        except (UserError, CycloptsError) as error:
            return _fail(str(error))
        except OSError as error:
            path, reason = error.filename or "files", error.strerror or error
            return _fail(f"expected to read and write {path}, got {reason}; check the disk and its permissions")
        except KeyboardInterrupt as stop:
            print("stopped; what was done is kept", file=sys.stderr)
            return 128 + getattr(stop, "number", signal.SIGINT)
    return status if isinstance(status, int) else 0


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
