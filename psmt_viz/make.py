"""From a subject to files: a probe computes, its result is saved, and drawn from itself alone.

Probes are imported when they are asked for, so that a command starts with the libraries that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psmt_viz import figures
from psmt_viz.errors import UserError
from psmt_viz.figures.writing import Written
from psmt_viz.files import sha256
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.probes.settings import FiguresSettings, GradcamSettings, TsneSettings, asked
from psmt_viz.results import Cams, Evaluation, Flips, PixelEmbedding, Result, Saved, ScoreTable, Training
from psmt_viz.runs import versions

if TYPE_CHECKING:
    from psmt_viz.subject import Subject

Kind = TypeVar("Kind", bound=Result)


def compute(kind: type[Kind], subject: Subject, **settings: Any) -> Kind:
    """Looks at a subject with the probe of a result's name, `probes.NAME.NAME`.

    Args:
        kind: The class of the result.
        subject: Networks and data.
        settings: Those of the probe; those of the figures alone (`kind.DRAWING`) are kept in `asked`.

    Raises:
        UserError: as the probe.
    """
    probe = getattr(import_module(f"psmt_viz.probes.{kind.NAME}"), kind.NAME)
    drawing = {name: settings.pop(name) for name in kind.DRAWING if name in settings}
    result: Kind = probe(subject.networks, subject.data, subject=subject.facts, device=subject.device, **settings)
    return replace(result, asked={**result.asked, **drawing})


def save_and_draw(result: Result, out: Path) -> Written:
    """Writes a result's files and its figures into an existing folder; returns their paths, and the figures.

    A result that cannot be drawn leaves no file.
    """
    drawn = figures.write(result, out)
    return drawn._replace(paths=list(dict.fromkeys([*result.save(out), *drawn.paths])))


def make(kind: type[Kind], subject: Subject, out: Path, **settings: Any) -> Kind:
    """Computes a result of a subject (see `compute`) and writes its files and figures into an existing folder."""
    result = compute(kind, subject, **settings)
    save_and_draw(result, out)
    return result


def make_all(subject: Subject, out: Path, settings: FiguresSettings) -> list[str]:
    """Makes every figure and table, their provenance as manifest.json, and the page of all of them, index.html.

    Args:
        subject: Networks and data.
        out: An existing folder.
        settings: How many pixels and images, and which perturbations.

    Returns:
        Remarks for the user: what was left out and why, what the t-SNE found, and how long its layout took; at the end
        mIoU by role and the flips. A result that cannot be made is left out; those that can are kept.

    Raises:
        UserError: if a setting is out of bounds, or no result can be made.
    """
    from psmt_viz.redraw import publish
    from psmt_viz.report.summary import key_numbers

    kept = _Kept(out)
    _make_each(kept, subject, settings)
    if not kept.made:
        raise kept.failures[0]
    manifest = {
        "run": subject.facts,
        "parameters": asked(settings, leave_out=("jobs",)),
        "numbers": _numbers(kept.saved),
        "data": subject.data.fingerprint(),
        "versions": versions(),
        "inputs": {path.name: sha256(path) for path in subject.inputs},
    }
    publish(replace(kept.saved, manifest=manifest), kept.made, out)
    return [*kept.remarks, *key_numbers(kept.saved)]


class _Kept:
    """What could be made so far, saved and drawn in a folder, and why the rest could not."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.saved = Saved()
        self.made: dict[str, Written] = {}
        self.remarks: list[str] = []
        self.failures: list[UserError] = []

    def attempt(self, kind: type[Kind], make_it: Callable[[], Kind]) -> Kind | None:
        """Makes a result and keeps it, or remarks why it is left out."""
        try:
            result = make_it()
            self.made[result.NAME] = save_and_draw(result, self._out)
        except UserError as error:
            self.failures.append(error)
            self.remarks.append(f"{kind.TITLE} left out: {error}")
            return None
        self.saved = self.saved.beside(result)
        return result


def _make_each(kept: _Kept, subject: Subject, settings: FiguresSettings) -> None:
    """Makes one result after the other, with the remarks that each gives rise to."""
    from psmt_viz.probes.curves import curves
    from psmt_viz.probes.table import table

    eps, seed, remarks = settings.eps, settings.seed, kept.remarks
    # Made first, so that what they refuse costs no time.
    of_cams = GradcamSettings(images=settings.images, eps=eps, seed=seed)
    of_map = TsneSettings(n_pixels=settings.n_pixels, eps=eps, seed=seed, jobs=settings.jobs)
    evaluation = kept.attempt(Evaluation, lambda: compute(Evaluation, subject, **subject.scoring()))
    if (trained := subject.trained) is not None:
        kept.attempt(Training, lambda: curves([trained]))
    else:
        remarks.append("curves left out: networks that were not trained here have no metrics.csv")
    if evaluation is not None:
        kept.attempt(ScoreTable, lambda: table([(subject.name, evaluation)]))
    if (cams := kept.attempt(Cams, lambda: compute(Cams, subject, settings=of_cams))) is not None:
        remarks += filter(None, [figures.fewer_images(cams)])
    found = kept.attempt(PixelEmbedding, lambda: compute(PixelEmbedding, subject, settings=of_map, arrows=False))
    if found is not None:
        remarks += figures.tsne_findings(found)
    sweep = with_paper_eps([*settings.sweep, eps])
    flips = kept.attempt(Flips, lambda: compute(Flips, subject, eps=sweep, seed=seed))
    if flips is not None and (missing := flips.used["left_out"]):
        remarks.append(f"skipped, because they need teachers: {', '.join(missing)}")


def with_paper_eps(sweep: Sequence[float]) -> list[float]:
    """Returns the norms of a sweep in order, with the paper's among them, which every sweep has."""
    return sorted({*sweep, PAPER_EPS})


def _numbers(saved: Saved) -> dict[str, Any]:
    """Returns the main numbers: mIoU by role, flips on the map, and the student's flip rate by kind and eps."""
    numbers: dict[str, Any] = {}
    if (evaluation := saved.get(Evaluation)) is not None:
        numbers["miou"] = evaluation.table().set_index("role")["miou"].to_dict()
    if (embedding := saved.get(PixelEmbedding)) is not None:
        numbers |= {f"tsne_{name}": embedding.measured[name] for name in ("flipped", "flipped_by")}
    if (flips := saved.get(Flips)) is not None:
        rows = flips.flips
        own = rows[(rows["judge"] == "student") & (rows["norm"] != "own")]
        names = own["kind"] + ", eps " + own["eps"].map("{:g}".format)
        numbers["flip_rate"] = dict(zip(names, own["flip_rate"], strict=True))
    return numbers
