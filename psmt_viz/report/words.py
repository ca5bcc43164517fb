"""Numbers in words, the same everywhere on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from psmt_viz.figures.kinds import LOOKS
from psmt_viz.figures.shares import percent
from psmt_viz.figures.style import ROLE_LABELS

PAPER_EPS = 2.0
"""The norm of the paper's perturbations, per image."""


def listed(names: list[str]) -> str:
    """Returns `a`, `a and b` or `a, b and c`."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def role_words(role: str) -> str:
    """Returns a role as a sentence names it, for example `the student` or `teacher 1`."""
    article = "the " if role in {"student", "ensemble"} else ""
    return article + ROLE_LABELS.get(role, role)


def kind_words(kind: str) -> str:
    """Returns the title of a kind of perturbation; of an unknown one its name, as it is."""
    return LOOKS[kind].title if kind in LOOKS else kind


def eps_words(facts: Mapping[str, Any]) -> str:
    """Returns eps and, where it is known, what share of the features' norm it is; nothing without eps."""
    eps, relative = facts.get("eps"), facts.get("relative_norm")
    if not isinstance(eps, int | float):
        return ""
    if not isinstance(relative, float) or not math.isfinite(relative):
        return f"eps = {eps:g}"
    return f"eps = {eps:g} ({percent(relative)} of the features' norm)"
