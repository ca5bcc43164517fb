"""The waist of the hourglass: what probes write and figures read.

Every result keeps the parameters that were asked for and those that were used, loads without torch, and is made of
files that open in pandas or NumPy.
"""

from psmt_viz.results.closeup import CloseUp
from psmt_viz.results.curves import Curves, Training, TrainingBatch
from psmt_viz.results.evaluate import ROLES, Evaluation, Scores
from psmt_viz.results.gradcam import Cam, Cams
from psmt_viz.results.perturb import Flips
from psmt_viz.results.saved import MANIFEST, TABLE, Saved
from psmt_viz.results.tables import read_csv, write_csv
from psmt_viz.results.tsne import PixelEmbedding, overlap

__all__ = [
    "MANIFEST",
    "ROLES",
    "TABLE",
    "Cam",
    "Cams",
    "CloseUp",
    "Curves",
    "Evaluation",
    "Flips",
    "PixelEmbedding",
    "Saved",
    "Scores",
    "Training",
    "TrainingBatch",
    "overlap",
    "read_csv",
    "write_csv",
]
