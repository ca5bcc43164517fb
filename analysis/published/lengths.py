"""Numbers of steps and learning rates of the presets."""

from __future__ import annotations

import math
import re
from typing import Any

from psmt_viz.config import Config
from psmt_viz.data.dataset import Split
from psmt_viz.presets import configure
from psmt_viz.train.plan import Plan, learning_rate, resolve, unsup_weight
from published.document import Node
from published.report import Report, relative

_PRESETS = {"voc (augmented lists)": "voc", "voc-classic": "voc-classic", "cityscapes": "cityscapes"}
_RATE = 1e-9


def check_lengths(document: Node, report: Report) -> None:
    """Compares every row of a file with the product's plan for its preset."""
    for row in document["rows"].elements():
        config, split = _configured(row)
        plan = resolve(config, split)
        name = f"{config.preset} {row['split'].text()}, {row['gpus'].integer()} GPU"
        found = _integers(config, plan)
        wrong = [
            f"{key} {found[key]} for {row[key].value}"
            for key in found
            if row.get(key) is not None and found[key] != row[key].number()
        ]
        if resolve(config.replace({"drop_last": None}), split) != plan:
            wrong.append("other lengths where drop_last is left to the product")
        report.judge(f"{name}: lengths", len(wrong), 0, "; ".join(wrong))
        rates = [(key, relative(value, row[key].number())) for key, value in _rates(config, plan, row) if row.get(key)]
        report.worst(f"{name}: learning rates", rates, _RATE)
        end = unsup_weight(config, plan, plan.warmup_steps + plan.ramp_steps)
        half = unsup_weight(config, plan, plan.warmup_steps + plan.ramp_steps // 2)
        final = row["final_unsup_weight"].number()
        share = plan.ramp_steps // 2 / plan.ramp_steps
        wanted = final * (1 - 0.5 * (math.cos(math.pi * share) + 1))
        ramp = [("at its end", relative(end, final)), ("half way", relative(half, wanted))]
        report.worst(f"{name}: unsupervised weight", ramp, _RATE)


def _configured(row: Node) -> tuple[Config, Split]:
    preset = _PRESETS.get(row["preset"].text())
    if preset is None:
        raise row["preset"].refuse(f"one of {', '.join(_PRESETS)}")
    batch = row["batch_per_gpu"].find(r"^(\d+) labelled \+ (\d+) unlabelled$", "8 labelled + 8 unlabelled")
    labeled, unlabeled, gpus = int(batch[1]), int(batch[2]), row["gpus"].integer(1, 1024)
    if min(labeled, unlabeled) < 1:
        raise row["batch_per_gpu"].refuse("of at least one image each")
    values: dict[str, Any] = {
        "data": "none",
        "split": re.sub("/", "_", row["split"].text()),
        "batch_labeled": labeled * gpus,
        "batch_unlabeled": unlabeled * gpus,
        "images_per_gpu": labeled,
        "drop_last": row["drop_last"].flag(),
    }
    counts = [row[name].integer(1, 10**7) for name in ("labelled_images", "unlabelled_images")]
    ids = [tuple(f"{part}{index}" for index in range(count)) for part, count in enumerate(counts)]
    return configure(preset, values, recipe="official-code"), Split(*ids)


def _integers(config: Config, plan: Plan) -> dict[str, float]:
    method = config.method
    each_pass = plan.warmup_steps // method.warmup_epochs
    after = plan.total_steps - plan.warmup_steps
    return {
        "epochs": method.epochs,
        "final_unsup_weight": config.flat()["unsup_weight"],
        "labelled_batches_per_pass": each_pass,
        "steps_per_epoch": plan.steps_per_epoch,
        "warmup_steps_each_network": plan.warmup_steps,
        "warmup_optimizer_steps_all_three": 3 * plan.warmup_steps,
        "ramp_steps": plan.ramp_steps,
        "total_steps": after,
        "half_step": after // 2,
        "last_step": after - 1,
        "labelled_batches_never_reached_in_an_epoch": max(0, each_pass - plan.steps_per_epoch),
    }


def _rates(config: Config, plan: Plan, row: Node) -> list[tuple[str, float]]:
    def at(step: int) -> float:
        return learning_rate(config, plan, plan.warmup_steps + step)

    return [
        ("base_lr", learning_rate(config, plan, 0)),
        ("lr_step_0", at(0)),
        ("lr_step_1", at(1)),
        ("lr_half", at(row["half_step"].integer())),
        ("lr_last", at(row["last_step"].integer())),
        ("labelled_passes_per_epoch", plan.steps_per_epoch / (plan.warmup_steps / config.method.warmup_epochs)),
    ]
