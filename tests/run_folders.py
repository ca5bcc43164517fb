"""Run folders without a training."""

from psmt_viz.presets import configure
from psmt_viz.runs import Run, versions

PLAN = {"steps_per_epoch": 5, "warmup_steps": 10, "ramp_steps": 15, "total_steps": 60, "parts": 1}


def run_in(folder):
    """Makes a folder with a run's config.json."""
    folder.mkdir()
    made = Run(
        folder=folder,
        config=configure("scenes", {"epochs": 3, "split": "1_4", "unsup_weight": 0.7}),
        classes=("ground", "tree"),
        plan=PLAN,
        data_fingerprint={"train": 3, "sha256": "00"},
        versions=versions(),
    )
    made.write()
    return made
