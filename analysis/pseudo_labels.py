"""How good are the pseudo-labels of each class: how many pixels have one, and how many of these are right?

Claim:    PS-MT learns from unlabelled images what its teachers are sure of; a class that they take for another, or are
          never sure of, gains nothing from them. It is tested on images whose labels were hidden from the run.
Command:  python analysis/pseudo_labels.py RUN [--data DIR] [--weights last] [--confidence 0.9] [--every 4]
Cost:     a minute for 80 images of 480 x 360 on one core.
Expected: one row per class, in %: its share of the pixels, and of the pseudo-labels; how many of its pixels pass the
          run's confidence threshold; how many of those are right; how many pseudo-labels of the class are right. For a
          run without teachers the student predicts. Images are whole and not augmented.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.networks import Networks
from psmt_viz.probes.evaluate import confusion, whole_logits
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.subject import RunSubject
from psmt_viz.train.losses import pseudo_label


@torch.no_grad()
def pseudo_labels(networks: Networks, batches: Iterable[LabeledImages], threshold: float) -> pd.DataFrame:
    """Measures the quality of pseudo-labels, one row per class.

    Args:
        networks: Networks; each is put in eval mode.
        batches: Images with their labels.
        threshold: Lowest probability at which a pixel gets a pseudo-label.

    Returns:
        class, and in [0, 1], NaN where nothing is counted: `pixels`, the share of the pixels that are of the class;
        `labels`, that of the pseudo-labels; `passing`, the share of its pixels that have one; `recall`, the share of
        those that have the right one; `precision`, the share of its pseudo-labels that are right.
    """
    networks.eval()
    classes = len(networks.classes)
    role = "ensemble" if "ensemble" in networks.roles else "student"
    every, sure = (np.zeros((classes, classes), np.int64) for _ in range(2))
    for batch in batches:
        known = batch.labels != IGNORE
        pseudo = pseudo_label(whole_logits(networks, batch.images)[role], known, threshold=threshold)
        prediction = pseudo.target.long()
        every += confusion(batch.labels, prediction, classes).cpu().numpy()
        sure += confusion(batch.labels.where(pseudo.passing, IGNORE), prediction, classes).cpu().numpy()
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "class": networks.classes,
                "pixels": every.sum(axis=1) / every.sum(),
                "labels": sure.sum(axis=0) / sure.sum(),
                "passing": sure.sum(axis=1) / every.sum(axis=1),
                "recall": sure.diagonal() / sure.sum(axis=1),
                "precision": sure.diagonal() / sure.sum(axis=0),
            }
        )


def main() -> None:
    """Prints the table of a run's unlabelled images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data", help="a data set; default: the one that the run was trained on")
    parser.add_argument("--weights", default="last", help="`last`, `best` or `epoch-NNNN`")
    parser.add_argument("--confidence", type=float, help="lowest probability of a pseudo-label; default: the run's own")
    parser.add_argument("--every", type=int, default=1, help="take every N-th of the unlabelled images")
    flags = parser.parse_args()
    if flags.every < 1:
        parser.error(f"expected --every of 1 or more, got {flags.every}")
    try:
        subject = RunSubject.open(flags.run, data=flags.data, weights=flags.weights, device="auto")
        ids = subject.ids("unlabeled")[:: flags.every]
        given = {} if flags.confidence is None else {"confidence": flags.confidence}
        config = subject.run.config.replace(given)
        if not config.has("confidence"):
            raise UserError("a run with pseudo-labels", config.method.title, "give another")
        threshold = config.flat()["confidence"]
    except UserError as error:
        parser.error(str(error))
    batches = labeled_images(subject.data, ids, device=subject.device)
    table = pseudo_labels(subject.networks, batches, threshold).set_index("class")
    print(f"{subject.name}, {flags.weights}: {len(ids)} unlabelled images, confidence {threshold:g}, all in %")
    print((100 * table).round(1).to_string())


if __name__ == "__main__":
    main()
