"""The section of reliability: does confidence match accuracy?"""

from __future__ import annotations

from functools import partial

from psmt_viz.figures.reliability import draw_reliability
from psmt_viz.figures.shares import interval, percents
from psmt_viz.figures.words import listed
from psmt_viz.report.pictures import Picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import frame_table, make_table
from psmt_viz.results import Reliability
from psmt_viz.roles import role_of


def section(reliability: Reliability) -> Section | None:
    """Returns the diagrams and the error of each role."""
    roles = reliability.roles
    if roles.empty:
        return None
    names = [role_of(role).label for role in roles["role"]]
    columns = {
        "expected calibration error": percents(roles["ece"].tolist()),
        "95 % interval": [interval(*ends) for ends in zip(roles["ece_low"], roles["ece_high"], strict=True)],
        "mean confidence": percents(roles["confidence"].tolist()),
        "accuracy": percents(roles["accuracy"].tolist()),
    }
    drawn = Picture(
        "reliability",
        partial(draw_reliability, reliability),
        alt=f"Bars of the accuracy in each bin of confidence, for {listed(names)}, beside the line on which both are "
        "equal; below, the share of the pixels in each bin. The numbers are in the table of all numbers.",
        caption="How often predictions are right (bars), by how confident they are, and how far that lies from the "
        "confidence (hatched); below, how many pixels each bin holds.",
    )
    words = (
        "Where confidence matches accuracy the bars end on the dashed line. The expected calibration error is the mean "
        "distance from it, weighted by the pixels of the bins; intervals are over images."
    )
    return Section(
        id="reliability",
        title="Reliability: does confidence match accuracy?",
        paragraphs=(words,),
        pictures=(drawn,),
        tables=(make_table("Calibration of each role", ("", *columns), zip(names, *columns.values(), strict=True)),),
        numbers=(frame_table("Reliability (reliability_bins.csv)", reliability.bins, searchable=True),),
    )
