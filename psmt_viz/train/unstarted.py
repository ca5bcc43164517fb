"""A run that could not start leaves its folder as it was, so that the mended command can use it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psmt_viz.runs import TENSORBOARD, RunFile, is_run, unfinished


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Removes what a new run wrote into a folder, if the block fails before there is a checkpoint or an epoch.

    A folder that held a run before is left alone.

    Args:
        folder: The run folder.
    """
    new, events = not is_run(folder), folder / TENSORBOARD
    had_events = events.exists()
    before = {file for file in RunFile if (folder / file).exists()}
    try:
        yield
    except BaseException:
        if new and not any((folder / file).exists() for file in (RunFile.STATE, RunFile.METRICS)):
            for path in [*(folder / file for file in RunFile if file not in before), *unfinished(folder)]:
                path.unlink(missing_ok=True)
            if not had_events:
                shutil.rmtree(events, ignore_errors=True)
        raise
