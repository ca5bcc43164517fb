"""The pictures that a run has of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.cli.run_pictures import draw_run
from psmt_viz.results import Evaluation, TrainingBatch
from psmt_viz.runs import Run
from psmt_viz.train.loop import EpochReport


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ((1, False, False), {"results.png", "batch.png"}),
        ((2, False, False), {"results.png"}),
        ((2, False, True), {"results.png", "confusion.png"}),
        ((3, True, True), {"results.png", "batch.png", "confusion.png"}),
    ],
)
def test_pictures_of_a_run(psmt_run: Path, tmp_path: Path, when: tuple[int, bool, bool], expected: set[str]) -> None:
    epoch, finished, scored = when
    curves = Run.open(psmt_run).curves()
    rows = pd.concat([curves.metrics] * 3).head(epoch)
    looked = []

    def batch() -> TrainingBatch:
        looked.append(epoch)
        columns = {
            "weak view": np.zeros((2, 8, 8, 3), np.uint8),
            "truth or pseudo-label": np.zeros((2, 8, 8), np.uint8),
        }
        return TrainingBatch(classes=("a", "b"), columns=columns)

    report = EpochReport(
        run=replace(Run.open(psmt_run), folder=tmp_path),
        curves=type(curves)(name="run", metrics=rows, ramp=curves.ramp),
        evaluation=Evaluation.load(psmt_run) if scored else None,
        batch=batch,
        finished=finished,
    )
    draw_run(report)
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert bool(looked) == ("batch.png" in expected)  # a batch costs a step's time: only looked at when drawn
