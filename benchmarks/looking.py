"""Perturbing, drawing and the page: several at a time against one by one, and figures drawn once against anew.

python -m benchmarks looking     # 4 minutes on one core

On the run that comes with psmt-viz; both ways of a pair give equal numbers and, of figures, equal pixels.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from matplotlib.figure import Figure

from benchmarks.pairs import Section, in_turn
from psmt_viz import figures, load_run
from psmt_viz.data import Scenes
from psmt_viz.figures.perturb import figures as drawn_of
from psmt_viz.kinds import SWEEP
from psmt_viz.models.inference import encode_whole
from psmt_viz.perturb import ascents, frozen, make
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.kinds import judged, predictor, starts
from psmt_viz.probes.perturb import perturb
from psmt_viz.redraw import publish, redraw
from psmt_viz.report import write_report
from psmt_viz.results import Flips, Saved

_IMAGES = 4


def measure() -> list[Section]:
    """Returns the sections of perturbing and of drawing."""
    networks, data = load_run(), Scenes()
    ids = data.ids("val")[:_IMAGES]
    flips = perturb(networks, data, ids=ids)
    return [*_perturbing(), _drawing(flips), _publishing(flips)]


def _perturbing() -> list[Section]:
    networks, data = load_run(), Scenes()
    ids = data.ids("val")[:_IMAGES]
    image = next(labeled_images(data, ids[:1], batch=1))
    size, roles = image.size, networks.roles
    with frozen(networks):
        with torch.no_grad():
            z = encode_whole(networks.student, image.images)
        predict = predictor(networks, "student", size)
        moved = z + torch.cat([make("vat", predict, z, generator=starts(z, image.ids, seed=n)).delta for n in range(8)])

        def alone() -> None:
            for eps in SWEEP:
                make("pgd", predict, z, eps=eps, generator=starts(z, image.ids, seed=0))

        def together() -> None:
            list(ascents(predict, z, eps=SWEEP, batch=len(SWEEP), generator=starts(z, image.ids, seed=0)))

        def judge(batch: int) -> None:
            for first in range(0, len(moved), batch):
                judged(networks, roles, moved[first : first + batch], size)

        climbing = in_turn({"one by one, VAT's direction each time": alone, "as a batch": together}, unit=1e-3)
        judging = in_turn({f"{batch} at a time": lambda batch=batch: judge(batch) for batch in (1, 4, 8)}, unit=1e-3)
    whole = in_turn(
        {f"batch {batch}": lambda batch=batch: perturb(networks, data, ids=ids, batch=batch) for batch in (1, 4, 8)},
        repeats=3,
    )
    return [
        Section(
            title="PGD", about=f"{len(SWEEP)} norms on one image of 128 x 128 pixels, milliseconds.", table=climbing
        ),
        Section(
            title="Judges", about="All roles predict after 8 perturbations of one image, milliseconds.", table=judging
        ),
        Section(
            title="`perturb`",
            about=f"All kinds, norms and judges on {_IMAGES} images with the tables, seconds.",
            table=whole,
        ),
    ]


def _drawing(flips: Flips) -> Section:
    def plainly() -> None:
        with figures.style():
            for figure in _figures(flips):
                for kind in ("png", "pdf", "svg"):
                    figure.savefig(BytesIO(), format=kind, dpi=300)

    def exported() -> None:
        with TemporaryDirectory() as folder:
            for number, figure in enumerate(_figures(flips)):
                figures.export(figure, Path(folder) / str(number), provenance={})

    return Section(
        title="Figures",
        about="The figures of `perturb` as PNG, PDF and SVG, seconds: matplotlib arranges a figure for each file, "
        "`export` once.",
        table=in_turn({"savefig": plainly, "export": exported}, repeats=3),
    )


def _figures(flips: Flips) -> list[Figure]:
    return [figures.figure_of(each) for each in drawn_of(flips).values()]


def _publishing(flips: Flips) -> Section:
    with TemporaryDirectory() as name:
        folder = Path(name)
        flips.save(folder)
        saved = Saved.load(folder)

        def report() -> None:
            write_report(saved, folder / "index.html")

        def anew() -> None:
            made = figures.write_all(saved, folder)
            publish(saved, {name: each._replace(figures={}) for name, each in made.items()}, folder)

        def at_hand() -> None:
            redraw(folder, folder)

        ways = {"figures --from, drawn anew for the page": anew, "figures --from": at_hand, "report": report}
        table = in_turn(ways, repeats=2)
    return Section(title="Page", about="Of `perturb`'s results, without the start of Python, seconds.", table=table)
