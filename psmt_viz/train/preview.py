"""What a run would do, told before it does anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.runs import TENSORBOARD, RunFile
from psmt_viz.train.engine import Engine
from psmt_viz.train.loaders import images_per_second, open_feed, open_loaders
from psmt_viz.train.plan import Plan, resolve
from psmt_viz.train.starting import check_network

_ENDLESS = 10**9
"""Steps, more than are taken while the loading is measured."""


def preview(config: Config, data: SegmentationData, engine: Engine, out: Path | None, *, seconds: float = 2.0) -> str:
    """Returns the resolved plan of a run as lines of text: data, devices, rates, steps, speed of loading and files.

    Args:
        config: The run's settings.
        data: The data set.
        engine: Where it would compute; not launched.
        out: The run folder, if one was named.
        seconds: How long the loading of images is measured.

    Raises:
        UserError: if the run could not start, or an image cannot be read.
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
        f"unlabelled images, {len(data.ids('val')[: system.val_images])} to validate",
        "devices": f"{engine.world_size} x {engine.device.type}, {system.precision}",
        "batch": f"{images} images per step, in {count} micro-batches of {micro_batch}{groups}",
        "learning rate": _rate(config),
        "steps": f"{warmup}, then {method.epochs} epochs of {plan.steps_per_epoch:,}: {plan.total_steps:,} in all"
        + (f"; ramp-up over {plan.ramp_steps:,}" if plan.ramp_steps else ""),
        "loading": _loading(config, plan, (data, split), engine, seconds),
        "files": f"{out or 'runs/train/...'}: {', '.join(_files(config))}",
    }
    return "\n".join(f"{name}: {words}" for name, words in lines.items())


def _loading(config: Config, plan: Plan, images: tuple[SegmentationData, Split], engine: Engine, seconds: float) -> str:
    """Measures the loading of one process that trains."""
    loaders = open_loaders(config, plan, *images, world_size=engine.world_size, here=engine.here)
    feed = open_feed(config, replace(plan, total_steps=_ENDLESS), loaders, engine.device, here=engine.here)
    rate = images_per_second(feed, plan.warmup_steps, seconds=seconds)
    count = config.method.images_per_step // engine.world_size
    processes = {0: "the training process itself", 1: "1 process"}.get(feed.workers, f"{feed.workers} processes")
    one = "" if engine.world_size == 1 else " for one device"
    words = f"{rate:,.0f} images/s by {processes}{one}, measured just now"
    if feed.workers == 0:
        return f"{words}; a step takes {count}{one}, which adds {count / rate:.2g} s to it"
    return f"{words}; a step takes {count}{one}, so one faster than {count / rate:.2g} s would wait for them"


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
