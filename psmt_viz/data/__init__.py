"""Data sets, and the views of them that training sees."""

from psmt_viz.data.cityscapes import CityscapesFolder
from psmt_viz.data.dataset import SegmentationData, Split, read_pair
from psmt_viz.data.opening import open_data
from psmt_viz.data.scenes import Scenes
from psmt_viz.data.voc import VocFolder, write_voc

__all__ = [
    "CityscapesFolder",
    "Scenes",
    "SegmentationData",
    "Split",
    "VocFolder",
    "open_data",
    "read_pair",
    "write_voc",
]
