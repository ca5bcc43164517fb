"""What tests of whole runs share: the bytes of a folder, and ways to stop in the middle."""

import signal

import pandas as pd
import torch

from psmt_viz.train.trainer import Trainer

COLUMNS = [
    *("epoch", "step", "learning_rate", "unsup_weight", "loss_sup", "loss_unsup", "confident_fraction"),
    *("miou_student", "miou_teacher1", "miou_teacher2", "miou_ensemble", "pixel_accuracy_ensemble"),
    *("teacher_disagreement", "teacher_distance"),
]
OF_TEACHERS = ["loss_unsup", "confident_fraction", "teacher_disagreement"]
"""Columns that are empty in a warm-up and in a run without teachers."""
LASTING = {
    *("config.json", "metrics.csv", "last.safetensors", "best.safetensors"),
    *("evaluation.csv", "confusion.csv", "evaluation.json"),
}
"""What a finished folder holds, byte for byte the same however the run came to its end."""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lasting(folder):
    return {name: data for name, data in contents(folder).items() if name in LASTING}


def state(folder):
    return torch.load(folder / "state.pt", weights_only=True)


def rows(folder):
    """Epochs in metrics.csv and timing.csv; none, if there are no such files."""
    tables = [folder / name for name in ("metrics.csv", "timing.csv")]
    found = [pd.read_csv(path)["epoch"].tolist() if path.exists() else [] for path in tables]
    assert found[0] == found[1]
    return found[0]


class Breaking:
    """Calls a function, and stops the program before the n-th call."""

    def __init__(self, function, n):
        self.function, self.left = function, n

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.function(*args, **kwargs)


def during_step(patch, number, action):
    """Does something while a run takes its n-th step (from 1), before anyone hears of it."""
    original = Trainer.steps

    def steps(self, first, last):
        for step, log in enumerate(original(self, first, last), start=first + 1):
            if step == number:
                action()
            yield log

    patch.setattr(Trainer, "steps", steps)


def asking(*numbers):
    """Sends this process signals, one after the other."""

    def ask(*_, **__):
        for number in numbers:
            signal.raise_signal(number)

    return ask


def failing(error):
    """Raises an error whenever it is called."""

    def fail(*_, **__):
        raise error

    return fail
