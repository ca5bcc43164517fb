"""Draw results: nothing here computes, shows or needs torch."""

from psmt_viz.figures.batch import draw_batch
from psmt_viz.figures.curves import draw_miou, draw_ramp_up, draw_training
from psmt_viz.figures.evaluation import draw_class_iou, draw_confusion
from psmt_viz.figures.export import export, export_png
from psmt_viz.figures.flips import draw_flips
from psmt_viz.figures.gradcam import draw_gradcam
from psmt_viz.figures.style import class_colors, class_markers, style
from psmt_viz.figures.table import score_table, write_table
from psmt_viz.figures.tsne import draw_tsne

__all__ = [
    "class_colors",
    "class_markers",
    "draw_batch",
    "draw_class_iou",
    "draw_confusion",
    "draw_flips",
    "draw_gradcam",
    "draw_miou",
    "draw_ramp_up",
    "draw_training",
    "draw_tsne",
    "export",
    "export_png",
    "score_table",
    "style",
    "write_table",
]
