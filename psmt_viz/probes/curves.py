"""What runs measured of themselves after each epoch, put together; it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psmt_viz.experiments import experiments
from psmt_viz.results import Training
from psmt_viz.runs import Run


def curves(runs: Sequence[Run | Path | str | None]) -> Training:
    """Puts together what runs measured after each epoch.

    Args:
        runs: Runs or their folders; None is the run that comes with the project. Those that differ in nothing but the
            seed share a name and become one line with a band.

    Raises:
        UserError: if a folder is no run, or a run was not trained here and has no measurements.
    """
    opened = [run if isinstance(run, Run) else Run.open(None if run is None else Path(run)) for run in runs]
    named = [run.curves(name) for name, group in experiments(opened).items() for run in group]
    return Training(runs=tuple(named))
