"""Every kind of perturbation in one table: who makes it, what eps means for it, how it is called and drawn.

A new kind is a row here and its implementation in `psmt_viz/perturb`; everything else reads this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from psmt_viz.errors import UserError
from psmt_viz.roles import ENSEMBLE, STUDENT, role_of, teachers_among

PAPER_EPS = 2.0
"""Norm of the perturbation that the paper uses; every sweep contains it."""
SWEEP = (0.5, PAPER_EPS, 8.0, 32.0)
"""Norms of a sweep where none are asked for."""
CLEAN = "clean"
"""The panel without a perturbation."""
TEACHERS = "teachers"
"""The maker that is the teachers' ensemble, or the only teacher where there is one."""

Dashes = Literal["-", "--"] | tuple[float, tuple[float, ...]]
"""A line style of matplotlib."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of perturbation."""

    name: str
    label: str
    """As a title or a legend calls it."""
    phrase: str = ""
    """As the subject of a sentence, where that is not the label."""
    maker: str | None = None
    """Whose prediction makes it: `student`, `teachers` or one teacher's role; None where no network is asked."""
    searches: bool = False
    """Whether a direction is searched that changes the maker's prediction most."""
    depends_on_eps: bool = False
    """Whether the direction depends on eps, so that each eps needs a search of its own."""
    keeps_eps: bool = True
    """Whether the perturbation has the norm eps."""
    own_size: bool = False
    """Whether its authors apply it at a size of its own, at which it is measured too."""
    color: str
    """On white paper. Kinds that search by asking one role have that role's; `analysis/find_colors.py` finds others."""
    dark: str | None = None
    """On dark paper, where it needs another; None for the same."""
    marker: str
    """Of matplotlib; never a star, which is a flipped pixel."""
    line: Dashes

    @property
    def has_exact(self) -> bool:
        """Whether it is a power iteration, which has an exact direction to be held against."""
        return self.searches and not self.depends_on_eps

    def made_by(self, roles: Sequence[str]) -> str | None:
        """Returns which of these roles makes it; None where no network is asked, or the one that is asked is missing.

        Args:
            roles: The student, its teachers and, where there are several, their ensemble.
        """
        maker = self.maker
        if maker == TEACHERS:
            alone = teachers_among(roles)
            maker = alone[0] if len(alone) == 1 else ENSEMBLE
        return maker if maker in roles else None

    def can_be_made(self, roles: Sequence[str]) -> bool:
        """Returns whether networks of these roles can make it."""
        return self.maker is None or self.made_by(roles) is not None


def _of_role(name: str, **facts: Any) -> dict[str, Any]:
    """Returns maker and colour of a kind that searches by asking one role, or the ensemble for all teachers."""
    role = role_of(ENSEMBLE if name == TEACHERS else name)
    return {"maker": name, "searches": True, "color": role.color, "dark": role.dark, "marker": role.marker, **facts}


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(name="vat", label="VAT", line="-", **_of_role(STUDENT)),
            Kind(name="tvat", label="T-VAT", line="-", **_of_role(TEACHERS)),
            Kind(name="teacher1", label="teacher 1 only", line="--", **_of_role("teacher1")),
            Kind(name="teacher2", label="teacher 2 only", line="--", **_of_role("teacher2")),
            Kind(
                name="pgd",
                label="PGD",
                maker=STUDENT,
                searches=True,
                depends_on_eps=True,
                color="#5A0F78",
                dark="#7E39FC",
                marker="s",
                line=(0, (5, 1, 1, 1)),
            ),
            Kind(
                name="tvat-official",
                label="T-VAT as published",
                maker=TEACHERS,
                searches=True,
                keeps_eps=False,
                color="#000000",
                dark="#FFFFFF",
                marker="X",
                line=(0, (1, 1)),
            ),
            Kind(
                name="random",
                label="random direction",
                phrase="a random direction",
                color="#5C5C5C",
                dark="#696969",
                marker="^",
                line="-",
            ),
            Kind(
                name="dropout",
                label="dropout",
                own_size=True,
                color="#7DAFFA",
                marker="v",
                line=(0, (4, 1, 1, 1)),
            ),
            Kind(
                name="feature-drop",
                label="feature drop",
                own_size=True,
                color="#0000FA",
                dark="#605EB5",
                marker="P",
                line=(0, (2, 1)),
            ),
            Kind(
                name="feature-noise",
                label="feature noise",
                own_size=True,
                color="#4B2E00",
                dark="#FBE48D",
                marker="h",
                line=(0, (1, 2)),
            ),
            Kind(
                name="cutout",
                label="cutout",
                maker=STUDENT,
                own_size=True,
                color="#5ADCC8",
                marker="p",
                line=(0, (6, 2)),
            ),
        )
    }
)
"""Name -> kind, in the order of every figure and table: those that search first."""
REFERENCES = ("vat", "random")
"""The kinds from which all others are subtracted, image by image."""
SHOWN = ("vat", "tvat", "random")
"""The kinds that are shown where there is room for a few: the paper's two, and the control."""


def kind_named(name: str) -> Kind:
    """Returns a kind of the table.

    Raises:
        UserError: if there is none of this name.
    """
    if name not in KINDS:
        raise UserError(f"kinds among {', '.join(KINDS)}", name, "choose some of them")
    return KINDS[name]


def possible_kinds(roles: Sequence[str]) -> tuple[str, ...]:
    """Returns the kinds that networks of these roles can make; without teachers there is no T-VAT."""
    return tuple(name for name, kind in KINDS.items() if kind.can_be_made(roles))


def default_panels(roles: Sequence[str]) -> tuple[str, ...]:
    """Returns the panels of t-SNE and Grad-CAM: `clean`, VAT, and T-VAT or, without teachers, a random direction."""
    return (CLEAN, *[name for name in SHOWN if KINDS[name].can_be_made(roles)][:2])


def kinds_in_order(names: Iterable[Any]) -> list[str]:
    """Returns each kind once, in the order of the table, those that it has not last."""
    unique = list(dict.fromkeys(map(str, names)))
    return [name for name in KINDS if name in unique] + [name for name in unique if name not in KINDS]
