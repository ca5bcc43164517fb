"""What every command writes."""

from __future__ import annotations

from psmt_viz.kinds import KINDS

DRAWN = (".png", ".pdf", ".svg", ".provenance.json")


def drawn(*stems: str) -> set[str]:
    return {stem + suffix for stem in stems for suffix in DRAWN}


PERTURBATION = {
    *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
    *("flips_confusion.csv", "health.json"),
}
EVALUATION = {"evaluation.csv", "evaluation.json", "confusion.csv"}
STUDENTS = [name for name, kind in KINDS.items() if kind.maker in (None, "student")]
"""The kinds that need no teachers."""
WRITES = {
    "checks": {"checks.csv", "classes.csv", "checks.png"},
    "evaluate": EVALUATION | drawn("confusion", "class_iou"),
    "perturb": PERTURBATION | drawn("flips", "judges", "transfer", "where"),
    "tsne": {"pixels.parquet", "pixel_images.parquet", "tsne.json"} | drawn("fig2_tsne"),
    "gradcam": {"cams.npz", "gradcam.csv", "gradcam.json"} | drawn("fig1_gradcam"),
    "curves": {"curves.csv", "curves.json"} | drawn("fig3a_rampup", "fig3b_miou", "teachers"),
    "table": {"table1.csv", "table1.md", "table1.tex"},
}
"""Command -> its files: those of the contract, and beside them what is needed to draw them again."""
SUPPLEMENT = [command for command in WRITES if command != "checks"]
"""What `figures` makes."""
WRITES["reliability"] = {"reliability.csv", "reliability_bins.csv", "reliability.json"} | drawn("reliability")
WRITES["report"] = {"index.html"}
WRITES["figures"] = {"manifest.json"}.union(*(WRITES[command] for command in (*SUPPLEMENT, "report")))
WRITES["train"] = EVALUATION | {
    *("config.json", "metrics.csv", "timing.csv", "state.pt", "last.safetensors", "best.safetensors"),
    *("results.png", "batch.png", "confusion.png"),
}
NOT_REPEATED = {"timing.csv", "state.pt"}
"""Files that hold times."""
