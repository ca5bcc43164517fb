"""Names and sentences that figures, page and commands share, so that each is written once.

Texts are plain; what goes into a matplotlib figure passes through `style.plain` if data can be in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from psmt_viz.figures.shares import interval, percent
from psmt_viz.kinds import CLEAN, KINDS
from psmt_viz.results import Cams, PixelEmbedding
from psmt_viz.roles import ENSEMBLE, STUDENT, role_of

INTERVAL = "95 % interval"
FEATURES = "the features' norm"
"""The norm of z, in words."""
_OF_THE_MAP = {"perplexity": "perplexity", "trustworthiness": "trustworthiness", "knn_recall": "kNN recall"}
"""What is measured of a t-SNE map, named."""


def listed(names: Sequence[str]) -> str:
    """Returns `a`, `a and b` or `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def role_words(role: str) -> str:
    """Returns a role as a sentence names it, for example `the student` or `teacher 1`."""
    article = "the " if role in {STUDENT, ENSEMBLE, "teacher"} else ""
    return article + role_of(role).label


def judged_by(judge: str) -> str:
    """Returns whose predictions are scored, for example `judged by the student`."""
    return f"judged by {role_words(judge)}"


def kind_words(kind: str) -> str:
    """Returns the title of a kind of perturbation; of an unknown one its name, as it is."""
    return KINDS[kind].label if kind in KINDS else kind


def kind_phrase(kind: str) -> str:
    """Returns a kind as the subject of a sentence, for example `VAT` or `a random direction`."""
    return KINDS[kind].phrase or kind_words(kind) if kind in KINDS else kind


def panel_words(panel: str) -> str:
    """Returns the title of a panel: `original`, or what is added, for example `+ VAT`."""
    return "original" if panel == CLEAN else f"+ {kind_words(panel)}"


def without_teachers(result: PixelEmbedding | Cams) -> str:
    """Says what is shown where T-VAT cannot be, for want of teachers; nothing where panels were asked for."""
    if result.asked.get("panels") or "tvat" in result.perturbations:
        return ""
    shown = listed([kind_phrase(kind) for kind in result.perturbations])
    return f"no {kind_words('tvat')}, which needs teachers: {shown}" if shown else ""


def change_words(panel: str) -> str:
    """Returns the title of what a perturbation changes, for example `VAT − original`."""
    return f"{kind_words(panel)} − {panel_words(CLEAN)}"


def eps_words(facts: Mapping[str, Any], *, z: str = "‖z‖") -> str:
    """Returns eps and, where it is known, the relative norm, for example `eps = 2 (0.32 % of ‖z‖)`; else nothing.

    Args:
        facts: `eps`, and `relative_norm` as a share.
        z: How the norm of the features is called.
    """
    eps, relative = facts.get("eps"), facts.get("relative_norm")
    if eps is None:
        return ""
    number = f"{eps:g}" if isinstance(eps, int | float) else str(eps)
    if not isinstance(relative, int | float) or not math.isfinite(relative):
        return f"eps = {number}"
    return f"eps = {number} ({percent(relative)} of {z})"


def interval_words(low: float | None, high: float | None) -> str:
    """Returns the bounds of a share as `95 % interval 1.13 to 1.86 %`, or nothing where one is not known."""
    bounds = interval(low, high)
    return f"{INTERVAL} {bounds}" if bounds else ""


def map_measures(facts: Mapping[str, Any]) -> list[str]:
    """Returns what is known of a t-SNE map, for example `perplexity 30`."""
    return [f"{name} {facts[key]:.3g}" for key, name in _OF_THE_MAP.items() if isinstance(facts.get(key), int | float)]
