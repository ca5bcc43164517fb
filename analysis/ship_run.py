"""Copies a finished run of `scenes` to checkpoints/, with a manifest of its provenance.

Command:  OMP_NUM_THREADS=1 psmt-viz train --preset scenes --out runs/train/scenes
          python analysis/ship_run.py runs/train/scenes
Cost:     seconds, after the training.
Expected: checkpoints/scenes/ with the last weights and the tables, checkpoints/manifest.json with hashes and scores.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from psmt_viz.files import sha256, write_json
from psmt_viz.presets import configure
from psmt_viz.results import Evaluation
from psmt_viz.runs import Run

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
COMMAND = "OMP_NUM_THREADS=1 psmt-viz train --preset scenes"  # another number of threads sums in another order
SHIPPED = ("config.json", "metrics.csv", "last.safetensors", "evaluation.csv", "evaluation.json", "confusion.csv")


def main() -> None:
    """Copies the run's files and writes the manifest."""
    if len(sys.argv) != 2:
        sys.exit("usage: python analysis/ship_run.py RUN")
    run = Run.open(Path(sys.argv[1]))
    if run.config != configure("scenes", {}):
        sys.exit(f"error: expected a run of the preset scenes as it is, got {run.folder}; train it with {COMMAND}")
    target = CHECKPOINTS / "scenes"
    target.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED:
        shutil.copyfile(run.folder / name, target / name)
    scores = Evaluation.load(target).table().set_index("role")["miou"]
    manifest = {
        "scenes": {
            "command": COMMAND,
            "versions": run.versions,
            "val_miou": {str(role): float(value) for role, value in scores.items()},
            "sha256": {name: sha256(target / name) for name in SHIPPED},
        }
    }
    write_json(CHECKPOINTS / "manifest.json", manifest)


if __name__ == "__main__":
    main()
