"""Data sets, and the views of them that training sees."""

from psmt_viz.data.cityscapes import CityscapesFolder
from psmt_viz.data.dataset import SegmentationData, Split, read_pair
from psmt_viz.data.export import write_voc
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.opening import open_data
from psmt_viz.data.pairs import PairsFolder
from psmt_viz.data.scenes import Scenes
from psmt_viz.data.voc import VocFolder

__all__ = [
    "CityscapesFolder",
    "DataFolder",
    "PairsFolder",
    "Scenes",
    "SegmentationData",
    "Split",
    "VocFolder",
    "open_data",
    "read_pair",
    "write_voc",
]
