"""The commands of `psmt-viz`; each reads its flags, calls one function and prints where the results are."""

from psmt_viz.cli import data, looking, publishing, training  # each adds its commands to the program
from psmt_viz.cli.app import app
from psmt_viz.cli.app import run as main

__all__ = ["app", "data", "looking", "main", "publishing", "training"]
