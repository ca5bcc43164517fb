"""The columns of metrics.csv: how what a run measures each epoch is called and drawn, in figures and on the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psmt_viz.roles import ENSEMBLE, STUDENT, role_of, roles_in_order

MIOU = "miou_"
"""Beginning of the columns of a role's mean IoU, in [0, 1]."""
ACCURACY = "pixel_accuracy_"
"""Beginning of the columns of a role's pixel accuracy, in [0, 1]."""
_DASHES = (3.7, 1.6)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of metrics.csv."""

    name: str
    title: str
    """Of an axis or a chart."""
    unit: str = ""
    """`%`, perhaps with what 100 % are: the column holds shares in [0, 1]. Nothing for plain numbers."""
    label: str = ""
    """Of the line in a legend."""
    chart: str = ""
    """The lines of one name stand in one chart; nothing where none is drawn."""
    role: str | None = None
    """Whose score it is."""
    color: str = STUDENT
    """The role whose colour the line has."""
    dashes: tuple[float, ...] = ()
    """Lengths of strokes and gaps in line widths; empty for a line without gaps."""

    @property
    def scale(self) -> float:
        """By what the numbers are multiplied before they are drawn."""
        return 100 if self.unit else 1

    @property
    def text(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


COLUMNS: tuple[Column, ...] = (
    Column(name="epoch", title="epoch"),
    Column(name="step", title="step"),
    Column(name="learning_rate", title="learning rate", label="learning rate", chart="rate"),
    Column(name="unsup_weight", title="unsupervised weight β", label="weight", chart="weight", color=ENSEMBLE),
    Column(name="loss_sup", title="loss", label="supervised", chart="loss"),
    Column(name="loss_unsup", title="loss", label="unsupervised", chart="loss", color=ENSEMBLE, dashes=_DASHES),
    Column(
        name="confident_fraction",
        title="confident unlabelled pixels",
        unit="%",
        label="confident",
        chart="confident",
        color=ENSEMBLE,
    ),
    Column(
        name="teacher_disagreement",
        title="unlabelled pixels where the teachers disagree",
        unit="%",
        label="disagreement",
        chart="disagreement",
    ),
    Column(
        name="teacher_distance",
        title="distance of the teachers' weights",
        unit="% of their norm",
        label="distance",
        chart="distance",
    ),
)
"""All columns but the scores of roles, which `column` knows by how their names begin."""
_BY_NAME = {each.name: each for each in COLUMNS}


def column(name: str) -> Column:
    """Returns a column by its name; one that is not known here has its name as title and a chart of its own."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    for start, title, chart in ((MIOU, "validation mIoU", "miou"), (ACCURACY, "pixel accuracy", "")):
        if name.startswith(start):
            role = role_of(name.removeprefix(start))
            return Column(
                name=name,
                title=title,
                unit="%",
                label=role.label,
                chart=chart,
                role=role.name,
                color=role.name,
                dashes=role.dashes,
            )
    words = name.replace("_", " ")
    return Column(name=name, title=words, label=words, chart=name)


def scored_roles(names: Iterable[str]) -> list[str]:
    """Returns the roles that have a column of mean IoU, in the order of every figure.

    Args:
        names: Columns of metrics.csv.
    """
    return roles_in_order(name.removeprefix(MIOU) for name in names if name.startswith(MIOU))
