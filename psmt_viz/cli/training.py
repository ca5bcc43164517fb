"""Commands that make a run: `train`, `import` and `export`."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import CycloptsError, Parameter

from psmt_viz.cli.app import app, own_folder, say, show_classes
from psmt_viz.cli.flags import Device, RunFolder, Weights, several, whole_number
from psmt_viz.cli.loading import loading
from psmt_viz.cli.settings import Settings
from psmt_viz.config import Config
from psmt_viz.errors import UserError
from psmt_viz.files import read_json
from psmt_viz.plugins import is_name
from psmt_viz.presets import PRESETS, RECIPES, configure, lengths_as_given, switches
from psmt_viz.presets import smoke as shortened
from psmt_viz.settings import flag_of

_EXAMPLES = """\
Examples:

psmt-viz train --smoke

psmt-viz train --preset camvid --data ~/data/mine --epochs 20 --out runs/mine
"""


@app.command(help_epilogue=_EXAMPLES)
def train(
    *,
    preset: Annotated[str, Parameter(help=f"Where the settings start from: {', '.join(PRESETS)}.")] = "scenes",
    recipe: Annotated[
        str | None, Parameter(help=f"Variant of the method: {' or '.join(RECIPES)}; default: the first.")
    ] = None,
    config: Annotated[Path | None, Parameter(help="A run's config.json to start from, in place of a preset.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder; default: a new one under runs/train.")] = None,
    resume: Annotated[bool, Parameter(help="Resume from the last checkpoint in --out.", negative="")] = False,
    smoke: Annotated[
        bool,
        Parameter(
            help="Take 2 + 4 steps of a few small crops and score 4 images, to see that everything works.", negative=""
        ),
    ] = False,
    dry_run: Annotated[
        bool, Parameter(help="Print the resolved plan, with the speed of loading, and write nothing.", negative="")
    ] = False,
    device: Device = "auto",
    devices: Annotated[
        str | None, Parameter(help="Number of devices of that kind (`2`), or which GPUs (`0,1`); default: one.")
    ] = None,
    nodes: Annotated[
        int | None, Parameter(help="Number of machines; default: from torchrun or SLURM.", converter=whole_number)
    ] = None,
    tracker: Annotated[
        tuple[str, ...],
        several("Trackers of your own, each `module:Class`."),
    ] = (),
    settings: Annotated[Settings | None, Parameter(name="*")] = None,
) -> None:
    """Train PS-MT, another method or the supervised baseline, and write a run folder.

    The preset gives the defaults of the settings; those shown are the ones of `scenes`.
    """
    if resume and out is None:
        raise UserError("--out with --resume", "no --out", "name the run folder to resume")
    resolved = _resolved(preset, recipe, config, settings, smoke=smoke)
    loading()
    from psmt_viz.subject import open_config_data, resolve_device
    from psmt_viz.train.engine import Engine

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its banners tell users nothing
    opened = open_config_data(resolved.data)
    engine = Engine(resolve_device(device), devices=_devices(devices), nodes=nodes, system=resolved.system)
    if dry_run:
        from psmt_viz.train.preview import preview

        print(preview(resolved, opened, engine, out))
        return
    from psmt_viz.cli.run_pictures import draw_run
    from psmt_viz.results import Evaluation
    from psmt_viz.train.session import train as run_training

    if smoke and engine.is_main_process:
        print("smoke test: a few steps, to see that everything works; the networks learn nothing", file=sys.stderr)
    name = f"{opened.name}-{resolved.method.method}-{resolved.data.split}" + ("-smoke" if smoke else "")
    # The other processes are told the main one's folder.
    with own_folder(out, "train", name) if engine.is_main_process else nullcontext(Path()) as folder:
        run = run_training(resolved, opened, folder, engine=engine, resume=resume, on_epoch=draw_run, trackers=tracker)
    if engine.is_main_process:
        show_classes(Evaluation.load(run.folder))
        say(run.folder)


def configured(words: Sequence[str]) -> Config:
    """Returns the settings under which `psmt-viz train` with these words would train.

    Raises:
        UserError: if a flag is unknown or a setting out of bounds; data and devices are not looked at.
    """
    got = shlex.join(words)
    try:
        command, bound, _ = app.parse_args(["train", *words], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command, got = None, " ".join(str(error).split())
    if command is not train:  # --help and --version are commands of their own
        raise UserError("flags of psmt-viz train", got, "see psmt-viz train --help")
    given = bound.arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the command itself says which flags its method does not have
        parts = (given.get(name) for name in ("recipe", "config", "settings"))
        return _resolved(given.get("preset", "scenes"), *parts, smoke=given.get("smoke", False))


@app.command(name="import")
def import_(
    checkpoint: Annotated[
        Path,
        Parameter(
            name=["--checkpoint", "--official"],
            help="A checkpoint of the authors' PS-MT code, or of another codebase that the manual lists; a .pth file.",
        ),
    ],
    *,
    out: Annotated[Path | None, Parameter(help="The run folder; default: a new one under runs/import.")] = None,
    classes: Annotated[
        tuple[str, ...],
        several("Class names in the order of their ids; default: those of --data, of Pascal VOC or of Cityscapes."),
    ] = (),
    data: Annotated[
        str | None, Parameter(help="The data set to analyse it with; default: other commands need --data.")
    ] = None,
) -> None:
    """Turn a checkpoint of another codebase into a run folder, for every command that analyses networks."""
    loading()
    from psmt_viz.checkpoints import import_checkpoint

    if data is not None and data != "scenes":
        data = str(Path(data).expanduser().resolve())
    run, found = import_checkpoint(checkpoint, out, classes=classes, data=data)
    facts = [f"{name} {value}" for name, value in found.facts.items()]
    network = f"{found.codebase}'s {found.config.backbone}, {found.classes} classes: {', '.join(run.classes)}"
    print("; ".join([network, ", ".join(facts)] if facts else [network]))
    if found.dropped:
        modules = dict.fromkeys(".".join(key.split(".")[:3]) for key in found.dropped)
        print(f"dropped {len(found.dropped)} tensors that its networks never use: {', '.join(modules)}")
    say(run.folder)


@app.command
def export(
    run: RunFolder = None,
    *,
    out: Annotated[Path, Parameter(help="The file to write, for example official.pth.")],
    weights: Weights = "last",
) -> None:
    """Write a run of --arch psmt-deeplabv3plus as a checkpoint that the PS-MT authors' code loads."""
    loading()
    from psmt_viz.checkpoints.layouts.psmt import export as export_checkpoint
    from psmt_viz.runs import Run

    export_checkpoint(Run.open(run), out, weights=weights)
    say(out)


def _devices(text: str | None) -> int | tuple[int, ...] | None:
    if text is None:
        return None
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UserError("--devices as a number (2) or a list (0,1)", repr(text), "give one of the two")
    return int(text) if len(numbers) == 1 else tuple(map(int, numbers))


def _resolved(
    preset: str, recipe: str | None, config: Path | None, settings: Settings | None, *, smoke: bool = False
) -> Config:
    given = {name: value for name, value in vars(settings or Settings()).items() if value is not None}
    for name in ("data", "labeled_list", "unlabeled_list", "val_list", "palette"):
        # The run is read from other folders than this one.
        if name not in given or given[name] == "scenes" or is_name(given[name]):
            continue
        if name != "palette" or Path(given[name]).is_file():
            given[name] = str(Path(given[name]).expanduser().resolve())
    if config is None:
        resolved = configure(preset, given, recipe=recipe or "supplement")
    else:
        resolved = _from_file(config, recipe, lengths_as_given(given))
    if smoke:
        resolved = shortened(resolved, given)
    if unused := [flag_of(name) for name in given if not resolved.has(name)]:
        words = f"--method {resolved.method.method} has no {', '.join(unused)}"
        warnings.warn(f"{words}; ignored", stacklevel=2)
    return resolved


def _from_file(path: Path, recipe: str | None, given: Mapping[str, Any]) -> Config:
    facts = read_json(path)
    if not isinstance(facts, dict) or "config" not in facts:
        raise UserError(f"a run's config.json in {path}", "something else", "give the config.json of a run folder")
    start = Config.from_dict(facts["config"])
    if facts.get("method_version", 1) == 1:
        # Its warm-up epochs were as long as the others, no passes over the labelled images; a last batch that was not
        # full was dropped.
        steps = (facts.get("plan") or {}).get("warmup_steps")
        start = start.replace({"warmup_steps": steps, "drop_last": True} if steps is not None else {"drop_last": True})
    if recipe is None and given.get("method", start.method.method) == start.method.method:
        return start.replace(given)
    if recipe is None:
        # What the other method has beside the file's is the preset's.
        return configure(start.preset, {**start.flat(), **given}, recipe=start.recipe)
    if recipe not in RECIPES:
        return configure(start.preset, given, recipe=recipe)  # which refuses it
    return configure(start.preset, {**start.flat(), **switches(start.preset, recipe), **given}, recipe=recipe)
