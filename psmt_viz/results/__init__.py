"""The waist of the hourglass: what probes write and figures read.

Every result keeps where it comes from, what was asked, what was used and what was measured, loads without torch, and is
made of files that open in pandas or NumPy.
"""

from psmt_viz.results import registry
from psmt_viz.results.curves import Curves, TrainingBatch
from psmt_viz.results.evaluate import ROLES, Scores
from psmt_viz.results.gradcam import Cam
from psmt_viz.results.registry import *  # noqa: F403
from psmt_viz.results.result import Result
from psmt_viz.results.saved import MANIFEST, Saved
from psmt_viz.results.tables import read_csv, write_csv
from psmt_viz.results.tsne import overlap

__all__ = [
    "MANIFEST",
    "ROLES",
    "Cam",
    "Curves",
    "Result",
    "Saved",
    "Scores",
    "TrainingBatch",
    "overlap",
    "read_csv",
    "write_csv",
]
__all__ += registry.__all__
