"""From a subject to files: a probe computes, its result is saved, and drawn from itself alone.

Probes are imported when they are asked for, so that a command starts with the libraries that it uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psmt_viz import figures
from psmt_viz.errors import TooLittleCorrect
from psmt_viz.figures.writing import Written
from psmt_viz.files import sha256
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.probes.settings import FiguresSettings, GradcamSettings, TsneSettings, asked
from psmt_viz.results import Cams, Evaluation, Flips, PixelEmbedding, Result, Saved
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
        Remarks for the user: what was left out and why, what the t-SNE found, and how long its layout took.
    """
    from psmt_viz.probes.curves import curves
    from psmt_viz.probes.table import table
    from psmt_viz.redraw import publish

    remarks = []
    made: dict[str, Written] = {}
    saved = Saved()

    def keep(result: Kind) -> Kind:
        nonlocal saved
        made[result.NAME] = save_and_draw(result, out)
        saved = saved.beside(result)
        return result

    def attempt(kind: type[Kind], **more: Any) -> Kind | None:
        try:
            return keep(compute(kind, subject, **more))
        except TooLittleCorrect as error:
            remarks.append(f"{kind.TITLE} left out: {error}")
            return None

    evaluation = keep(compute(Evaluation, subject, **subject.scoring()))
    if subject.trained is not None:
        keep(curves([subject.trained]))
    else:
        remarks.append("curves left out: networks that were not trained here have no metrics.csv")
    keep(table([(subject.name, evaluation)]))
    eps, seed = settings.eps, settings.seed
    attempt(Cams, settings=GradcamSettings(images=settings.images, eps=eps, seed=seed))
    of_map = TsneSettings(n_pixels=settings.n_pixels, eps=eps, seed=seed, jobs=settings.jobs)
    if (found := attempt(PixelEmbedding, settings=of_map, arrows=False)) is not None:
        remarks += figures.tsne_findings(found)
    keep(compute(Flips, subject, eps=with_paper_eps([*settings.sweep, eps]), seed=seed))
    manifest = {
        "run": subject.facts,
        "parameters": asked(settings, leave_out=("jobs",)),
        "numbers": _numbers(saved),
        "data": subject.data.fingerprint(),
        "versions": versions(),
        "inputs": {path.name: sha256(path) for path in subject.inputs},
    }
    publish(replace(saved, manifest=manifest), made, out)
    return remarks


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
