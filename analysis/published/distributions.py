"""Compares random draws with the summary statistics of another program's draws."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from published.document import Node
from published.report import Report

_ERRORS = 4
"""Standard errors by which two means may differ."""
_RANGE = 0.02
"""Share of a summary's range by which two quantiles may differ."""
_ENOUGH = 20_000
"""Draws for which that is meant; a summary of fewer is itself less certain."""


def compare_values(
    report: Report, piece: str, values: ArrayLike, stated: Node, *, batch: int = 1, batch_means: Node | None = None
) -> None:
    """Compares mean and quantiles.

    Args:
        report: Takes the result.
        piece: What is compared.
        values: The own draws.
        stated: `n`, `mean`, `sd` and `quantiles_%` of the others.
        batch: Values that follow each other and share a draw.
        batch_means: The summary of the others' means over such values, where values share a draw.
    """
    own: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if len(own) == 0:
        report.judge(f"{piece}: draws", 1, 0, "none of the own draws has this value")
        return
    each, count = (stated, len(own)) if batch_means is None else (batch_means, len(own) // batch)
    spread = sqrt(1 / each["n"].integer(1) + 1 / max(1, count))
    error = each["sd"].number() * spread
    # Where all values are the same, the last bit of a mean may differ.
    least = 1e-12 * max(1.0, abs(stated["mean"].number()))
    report.judge(f"{piece}: mean", abs(float(own.mean()) - stated["mean"].number()), max(_ERRORS * error, least))
    wanted = {float(share): value.number() for share, value in stated["quantiles_%"].items()}
    if not wanted or not all(0 <= share <= 100 for share in wanted):
        raise stated["quantiles_%"].refuse("from percents to values")
    span = (max(wanted.values()) - min(wanted.values())) or 1.0
    mine = {share: float(np.quantile(own, share / 100)) for share in wanted}
    off = [(f"{share:g} %", abs(mine[share] - value) / span) for share, value in wanted.items()]
    name, worst = max(off, key=lambda pair: pair[1])
    note = f"worst of {len(off)}: {name}"
    few = stated["n"].integer() < _ENOUGH
    if worst > _RANGE and few and all(_within_error(own, share / 100, wanted[share], spread) for share in wanted):
        note += f"; of {stated['n'].value} draws alone, each within {_ERRORS} standard errors of its share"
        report.judge(f"{piece}: quantiles over the range", worst, worst, note)
    else:
        report.judge(f"{piece}: quantiles over the range", worst, _RANGE, note)


def _within_error(own: NDArray[np.float64], share: float, value: float, spread: float) -> bool:
    """Whether the share of own draws below a stated quantile is its share, but for sampling."""
    below, above = float((own < value).mean()), float((own > value).mean())
    allowed = _ERRORS * sqrt(share * (1 - share)) * spread
    return below - share <= allowed and above - (1 - share) <= allowed


def share_difference(found: float, stated: float, draws: int, others: int) -> tuple[float, float]:
    """Returns how far two shares are apart, and how far they may be."""
    # A share of 0 or 1 has no error of its own: half a draw more or fewer stands for it.
    middle = min(max(stated, 0.5 / others), 1 - 0.5 / others)
    allowed = _ERRORS * sqrt(middle * (1 - middle) * (1 / draws + 1 / others))
    return abs(found - stated), allowed


def compare_shares(report: Report, piece: str, shares: dict[str, tuple[float, Node]], draws: int, others: int) -> None:
    """Compares shares of draws and adds the one that is worst by what it may be off.

    Args:
        report: Takes the result.
        piece: What is compared.
        shares: Name -> the own share and the stated one.
        draws: Number of own draws.
        others: Number of the others' draws.
    """
    found = {
        name: share_difference(own, stated.number(), max(1, draws), max(1, others))
        for name, (own, stated) in shares.items()
    }
    if found:
        name, (difference, allowed) = max(found.items(), key=lambda each: each[1][0] / each[1][1])
        report.judge(piece, difference, allowed, f"worst of {len(found)}: {name}" if len(found) > 1 else "")
