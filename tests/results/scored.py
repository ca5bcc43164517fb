"""Runs that were scored, small enough to be checked by hand."""

from __future__ import annotations

import numpy as np

from psmt_viz.results import Evaluation, ScoreTable

HALF = np.array([[1, 1], [1, 1]])  # IoU 1/3 each
MOST = np.array([[3, 1], [1, 3]])  # IoU 3/5 each
FULL = np.array([[2, 0], [0, 2]])
TEXTS = ["source", "run", "dataset", "split"]
SCORES = ["ensemble", "single_teacher", "teacher2", "student"]
NUMBERS = [*SCORES, "gain", "gain_teacher2"]
COLUMNS = [*TEXTS, "runs", *NUMBERS, *(f"{name}_{end}" for name in NUMBERS for end in ("low", "high")), "benchmark"]
VOC = "Pascal VOC 2012"


def run(name="r", split="1_8", **confusion):
    subject = {"dataset": "camvid", "split": split, "run": name}
    return Evaluation(classes=("a", "b"), confusion=confusion, subject=subject)


def two_seeds():
    """Ensemble 60 and 33.3, teacher 1 33.3 and 60, teacher 2 100 and 33.3, student 33.3 and 33.3."""
    first = run("s-0", ensemble=MOST, teacher1=HALF, teacher2=FULL, student=HALF)
    return [("s", first), ("s", run("s-1", ensemble=HALF, teacher1=MOST, teacher2=HALF, student=HALF))]


def on_voc(split="1_8", *, classes=21, images=1449, part="val", dataset="mine"):
    """Scores as of Pascal VOC 2012, in a folder of any name."""
    matrix = np.eye(classes, dtype=int)
    return Evaluation(
        classes=tuple(f"c{index}" for index in range(classes)),
        confusion={"student": matrix, "ensemble": matrix},
        subject={"dataset": dataset, "split": split},
        asked={"part": part},
        used={"images": images},
    )


def full_run(name="mine"):
    return name, run(student=HALF, teacher1=MOST, teacher2=HALF, ensemble=FULL)


def scores_of(runs):
    """The rows of a table."""
    return ScoreTable.of(runs).scores


def published(frame):
    return frame[frame["source"] == "published"]
