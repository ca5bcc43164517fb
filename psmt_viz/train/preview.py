"""What a run would do, told before it does anything."""

from __future__ import annotations

from pathlib import Path

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.runs import TENSORBOARD, RunFile
from psmt_viz.train.engine import Engine
from psmt_viz.train.plan import resolve
from psmt_viz.train.starting import check_network


def preview(config: Config, data: SegmentationData, engine: Engine, out: Path | None) -> str:
    """Returns the resolved plan of a run as lines of text: data, devices, rates, steps and files.

    Args:
        config: The run's settings.
        data: The data set.
        engine: Where it would compute; not launched.
        out: The run folder, if one was named.

    Raises:
        UserError: if the run could not start.
    """
    split = data.split(config.data.split)
    plan = resolve(config, split, devices=engine.world_size)
    check_network(config.model, len(data.classes))
    method, system, count = config.method, config.system, plan.micro_batches
    images, micro_batch = f"{method.batch_labeled} labelled", f"{method.batch_labeled // count}"
    if method.needs_unlabeled:
        images += f" + {method.batch_unlabeled} unlabelled"
        micro_batch += f" + {method.batch_unlabeled // count}"
    groups = f"; {method.groups} groups, as on {method.groups} GPUs" if method.groups > 1 else ""
    warmup = f"{plan.warmup_steps:,} of warm-up"
    if method.warmup_steps is None:
        warmup += f" ({method.warmup_epochs} passes over the labelled images)"
    lines = {
        "settings": f"preset {config.preset}, recipe {config.recipe}, method {method.method}, seed {system.seed}",
        "network": f"{config.model.arch} on {config.model.backbone}, {len(data.classes)} classes",
        "data": f"{data.name}, split {config.data.split}: {len(split.labeled)} labelled and {len(split.unlabeled)} "
        f"unlabelled images, {len(data.ids('val'))} to validate",
        "devices": f"{engine.world_size} x {engine.device.type}, {system.precision}",
        "batch": f"{images} images per step, in {count} micro-batches of {micro_batch}{groups}",
        "learning rate": _rate(config),
        "steps": f"{warmup}, then {method.epochs} epochs of {plan.steps_per_epoch:,}: {plan.total_steps:,} in all"
        + (f"; ramp-up over {plan.ramp_steps:,}" if plan.ramp_steps else ""),
        "files": f"{out or 'runs/train/...'}: {', '.join(_files(config))}",
    }
    return "\n".join(f"{name}: {words}" for name, words in lines.items())


def _rate(config: Config) -> str:
    optim, batch = config.optim, config.method.batch_labeled
    if optim.lr_batch is None:
        return f"{optim.lr:g}, whatever the batch"
    return f"{config.learning_rate:g} = {optim.lr:g} x {batch} / {optim.lr_batch} labelled images per step"


def _files(config: Config) -> list[str]:
    names = [str(file) for file in RunFile]
    if config.system.keep_last:
        names.append(f"epoch-NNNN.safetensors (the last {config.system.keep_last})")
    if config.system.tensorboard:
        names.append(f"{TENSORBOARD}/")
    return names
