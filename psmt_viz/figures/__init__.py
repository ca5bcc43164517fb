"""Draw results: nothing here computes, shows or needs torch."""

from psmt_viz.figures.batch import draw_batch
from psmt_viz.figures.closeup import draw_closeup
from psmt_viz.figures.curves import draw_miou, draw_ramp_up, draw_training
from psmt_viz.figures.evaluate import draw_class_iou, draw_confusion
from psmt_viz.figures.export import export, export_png, figure_of
from psmt_viz.figures.flips import draw_flips, draw_judges, draw_sweep
from psmt_viz.figures.gradcam import draw_cam_change, draw_cam_panel, draw_gradcam
from psmt_viz.figures.gradcam_words import fewer_images, gradcam_findings
from psmt_viz.figures.reliability import draw_reliability, draw_reliability_panel
from psmt_viz.figures.sheet import draw_sheet
from psmt_viz.figures.style import class_colors, class_markers, style
from psmt_viz.figures.teachers import draw_teachers
from psmt_viz.figures.transfer import draw_transfer
from psmt_viz.figures.tsne import draw_tsne, draw_tsne_panel
from psmt_viz.figures.tsne_words import tsne_findings
from psmt_viz.figures.where import draw_where
from psmt_viz.figures.writing import write, write_all

__all__ = [
    "class_colors",
    "class_markers",
    "draw_batch",
    "draw_cam_change",
    "draw_cam_panel",
    "draw_class_iou",
    "draw_closeup",
    "draw_confusion",
    "draw_flips",
    "draw_gradcam",
    "draw_judges",
    "draw_miou",
    "draw_ramp_up",
    "draw_reliability",
    "draw_reliability_panel",
    "draw_sheet",
    "draw_sweep",
    "draw_teachers",
    "draw_training",
    "draw_transfer",
    "draw_tsne",
    "draw_tsne_panel",
    "draw_where",
    "export",
    "export_png",
    "fewer_images",
    "figure_of",
    "gradcam_findings",
    "style",
    "tsne_findings",
    "write",
    "write_all",
]
