"""The section of what every kind of perturbation does to the predictions of every network."""

from __future__ import annotations

from functools import partial

import pandas as pd

from psmt_viz import figures
from psmt_viz.figures.kinds import OWN
from psmt_viz.figures.words import kind_words, listed
from psmt_viz.kinds import PAPER_EPS, kinds_in_order
from psmt_viz.report.pictures import Picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import frame_table
from psmt_viz.results import Flips
from psmt_viz.roles import role_of, roles_in_order


def section(flips: Flips) -> Section | None:
    """Returns the sweep, the judges, the transfer and the places of flips, those that are there."""
    if not (pictures := _sweep(flips)):
        return None
    return Section(
        id="perturbations",
        title="Perturbation laboratory",
        paragraphs=(_words(flips),),
        warnings=_warnings(flips),
        pictures=tuple(pictures),
        numbers=(frame_table("Flips (flips.csv)", flips.flips, searchable=True),),
    )


def _words(flips: Flips) -> str:
    images = int(flips.flips["images"].max()) if len(flips.flips) else 0
    return (
        "A correct pixel is flipped when a perturbation of the features turns its prediction wrong. Measured on "
        f"{images:,} validation images; 95 % intervals are over images. A judge is a network whose predictions are "
        "scored."
    )


def _warnings(flips: Flips) -> tuple[str, ...]:
    """Returns what is wrong with each kind."""
    found = {kind: flips.health[kind].get("warnings") for kind in kinds_in_order(flips.health)}
    return tuple(f"{kind_words(kind)}: {'; '.join(sentences)}" for kind, sentences in found.items() if sentences)


def _sweep(flips: Flips) -> list[Picture]:
    table = flips.flips[flips.flips["eps"] > 0]
    if table.empty:
        return []
    kinds = listed([kind_words(kind) for kind in kinds_in_order(table["kind"])])
    judges = [role_of(judge).label for judge in roles_in_order(table["judge"])]
    made = [
        Picture(
            "flips",
            partial(figures.draw_sweep, flips),
            alt=f"Two charts on logarithmic axes: share of flipped pixels and KL divergence against eps, one line "
            f"per kind: {kinds}. The numbers are in the table of flips.",
            caption="How much each kind flips, and how far it moves the predicted distribution, against its norm.",
        )
    ]
    if len(judges) > 1:
        made.append(
            Picture(
                "judges",
                partial(figures.draw_judges, flips),
                alt=f"Share of flipped pixels against eps in a panel for each judge: {listed(judges)}.",
                caption="The same for each judge.",
            )
        )
    eps = _drawn_eps(table)
    if eps is None:
        return made
    return [
        *made,
        Picture(
            "transfer",
            partial(figures.draw_transfer, flips, eps=eps),
            alt=f"Matrix of the share of flipped pixels at eps = {eps:g}, kinds in rows, judges in columns; where they "
            "were measured, the differences from VAT beside it.",
            caption=f"Transfer: how many pixels a perturbation of one network flips for the others, at eps = {eps:g}.",
        ),
        Picture(
            "where",
            partial(figures.draw_where, flips, eps=eps),
            alt=f"Share of flipped pixels at eps = {eps:g} by class, by distance to the nearest other class and by "
            "confidence, and a matrix of which class becomes which.",
            caption=f"Where pixels flip, at eps = {eps:g}.",
        ),
    ]


def _drawn_eps(table: pd.DataFrame) -> float | None:
    """Returns the paper's eps, or the nearest that the sweep has; none where there are only the sizes authors use."""
    swept = table.loc[table["norm"] != OWN, "eps"].unique()
    return min(map(float, swept), key=lambda eps: abs(eps - PAPER_EPS), default=None)
