"""The waist of the hourglass: what probes write and figures read.

Every result keeps where it comes from, what was asked, what was used and what was measured, loads without torch, and is
made of files that open in pandas or NumPy.
"""

from psmt_viz.results.closeup import CloseUp
from psmt_viz.results.curves import Curves, Training, TrainingBatch
from psmt_viz.results.evaluate import ROLES, Evaluation, Scores
from psmt_viz.results.gradcam import Cam, Cams
from psmt_viz.results.perturb import Flips
from psmt_viz.results.registry import RESULTS
from psmt_viz.results.result import Result
from psmt_viz.results.saved import MANIFEST, Saved
from psmt_viz.results.table import ScoreTable
from psmt_viz.results.tables import read_csv, write_csv
from psmt_viz.results.tsne import PixelEmbedding, overlap

__all__ = [
    "MANIFEST",
    "RESULTS",
    "ROLES",
    "Cam",
    "Cams",
    "CloseUp",
    "Curves",
    "Evaluation",
    "Flips",
    "PixelEmbedding",
    "Result",
    "Saved",
    "ScoreTable",
    "Scores",
    "Training",
    "TrainingBatch",
    "overlap",
    "read_csv",
    "write_csv",
]
