"""The steps of the training methods, each in the file of the method's name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from psmt_viz.plugins import class_in
from psmt_viz.train.method import TrainingMethod


def steps_of(method: str) -> type[TrainingMethod[Any]]:
    """Returns the class that takes a method's steps."""
    found = class_in(import_module(f"{__name__}.{method}"), TrainingMethod)
    if found is None:
        raise ImportError(f"no subclass of TrainingMethod in {__name__}.{method}")
    return found
