"""The page: saved results as one file that opens from disk and loads nothing."""

from psmt_viz.report.page import write_report

__all__ = ["write_report"]
