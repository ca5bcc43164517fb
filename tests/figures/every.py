"""Every figure of the package, of synthetic results, small and large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psmt_viz import figures
from psmt_viz.results import ROLES

from . import synthetic

GOLDEN_KINDS = (
    *("vat", "tvat", "teacher1", "teacher2", "pgd", "tvat-official"),
    *("random", "dropout", "feature-drop", "feature-noise", "cutout"),
)
"""Kinds of the golden pictures, which one that is added later leaves as they are."""


def pairs(count: int) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images with their labels."""
    drawn = synthetic.batch(count, classes=synthetic.SCENES).columns
    return {f"train/image_{i:03d}": (drawn["weak view"][i], drawn["truth"][i]) for i in range(count)}


# The names are `draw_...` without its prefix, and after a dash what is special about the results.
EVERY: dict[str, Callable[[], Figure]] = {
    "sheet": lambda: figures.draw_sheet(pairs(12), synthetic.SCENES),
    "sheet-one": lambda: figures.draw_sheet(pairs(1), synthetic.SCENES),
    "batch": lambda: figures.draw_batch(synthetic.batch()),
    "batch-plain": lambda: figures.draw_batch(replace(synthetic.batch(9, (32, 32), synthetic.SCENES), confidence=None)),
    "cam_change": lambda: figures.draw_cam_change(synthetic.cams(), 0, "vat").figure,
    "cam_panel": lambda: figures.draw_cam_panel(synthetic.cams(), 1, "tvat").figure,
    "class_iou": lambda: figures.draw_class_iou(synthetic.evaluation()).figure,
    "class_iou-voc": lambda: figures.draw_class_iou(synthetic.evaluation(synthetic.VOC)).figure,
    "closeup": lambda: figures.draw_closeup(synthetic.closeup()),
    "closeup-vat": lambda: figures.draw_closeup(synthetic.closeup(("vat",))),
    "confusion": lambda: figures.draw_confusion(synthetic.evaluation()).figure,
    "confusion-camvid": lambda: figures.draw_confusion(synthetic.evaluation(synthetic.CAMVID)).figure,
    "confusion-voc": lambda: figures.draw_confusion(synthetic.evaluation(synthetic.VOC)).figure,
    "flips": lambda: figures.draw_flips(synthetic.flips()).figure,
    "flips-zero": lambda: figures.draw_flips(synthetic.flips(("vat", "tvat-official"))).figure,
    "gradcam": lambda: figures.draw_gradcam(synthetic.cams()),
    "gradcam-one": lambda: figures.draw_gradcam(synthetic.cams(2, kinds=("random",))),
    "gradcam-three": lambda: figures.draw_gradcam(synthetic.cams(2, kinds=("pgd", "vat", "feature-drop"))),
    "judges": lambda: figures.draw_judges(synthetic.flips(judges=ROLES)),
    "judges-three": lambda: figures.draw_judges(synthetic.flips(("vat", "random"), judges=ROLES[:3])),
    "miou": lambda: figures.draw_miou([synthetic.curves()]).figure,
    "miou-two": lambda: figures.draw_miou([synthetic.curves(), synthetic.curves(name="other", seed=1)]).figure,
    "ramp_up": lambda: figures.draw_ramp_up(synthetic.curves()).figure,
    "reliability": lambda: figures.draw_reliability(synthetic.reliability()),
    "reliability_panel": lambda: figures.draw_reliability_panel(synthetic.reliability(), "student").figure,
    "reliability-student": lambda: figures.draw_reliability(synthetic.reliability(("student",))),
    "sweep": lambda: figures.draw_sweep(synthetic.flips(GOLDEN_KINDS, warnings=synthetic.WARNINGS)),
    "sweep-all": lambda: figures.draw_sweep(synthetic.flips()),
    "teachers": lambda: figures.draw_teachers([synthetic.curves()]),
    "training": lambda: figures.draw_training(synthetic.curves()),
    "transfer": lambda: figures.draw_transfer(synthetic.flips(GOLDEN_KINDS, judges=ROLES, warnings=synthetic.WARNINGS)),
    "transfer-all": lambda: figures.draw_transfer(synthetic.flips(judges=ROLES)),
    "transfer-judges": lambda: figures.draw_transfer(synthetic.flips(("tvat-official", "random"), judges=ROLES)),
    "transfer-alone": lambda: figures.draw_transfer(synthetic.flips(("vat", "random"))),
    "tsne": lambda: figures.draw_tsne(synthetic.embedding()),
    "tsne-camvid": lambda: figures.draw_tsne(
        synthetic.embedding(40, classes=synthetic.CAMVID, labels=tuple(range(11))), arrows=True
    ),
    "tsne-one": lambda: figures.draw_tsne(synthetic.embedding(100, {"random": 3})),
    "tsne-four": lambda: figures.draw_tsne(
        synthetic.embedding(100, {"pgd": 9, "vat": 7, "feature-drop": 4, "random": 2}), arrows=True
    ),
    "tsne_panel": lambda: figures.draw_tsne_panel(synthetic.embedding(), "tvat").figure,
    "where": lambda: figures.draw_where(synthetic.flips()),
    "where-voc": lambda: figures.draw_where(synthetic.flips(("vat", "tvat", "random"), classes=synthetic.VOC)),
}
