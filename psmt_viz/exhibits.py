"""From a run to files: each exhibit is computed by a probe, saved as a result and drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch

from psmt_viz import figures
from psmt_viz.config import DataConfig
from psmt_viz.data import SegmentationData, open_data
from psmt_viz.errors import UserError
from psmt_viz.files import sha256
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.models.networks import Networks, load_model
from psmt_viz.models.psmt import PSMT, load_run
from psmt_viz.perturb import Settings
from psmt_viz.probes.closeup import closeup
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.probes.gradcam import gradcam
from psmt_viz.probes.kinds import kinds_of
from psmt_viz.probes.perturb import flips
from psmt_viz.probes.tsne import embed_pixels
from psmt_viz.redraw import publish
from psmt_viz.results import TABLE, Cams, Curves, Evaluation, Flips, PixelEmbedding, Saved, Training, read_csv
from psmt_viz.runs import Run, versions
from psmt_viz.train.session import EpochReport


def resolve_device(name: str) -> str:
    """Returns a torch device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UserError: if there is no such device here.
    """
    cuda, mps = torch.cuda.device_count(), int(torch.backends.mps.is_available())
    there = ["cpu", *(f"cuda:{index}" for index in range(cuda)), *["mps"] * mps]
    if name == "auto":
        return "cuda" if cuda else there[-1]
    if name not in [*there, *["cuda"] * bool(cuda)]:
        raise UserError(f"--device among auto, {', '.join(there)}", repr(name), "choose one of them")
    return name


def open_config_data(config: DataConfig) -> SegmentationData:
    """Opens the data set that a configuration names."""
    lists = {
        name: Path(value) if (value := getattr(config, name)) is not None else None
        for name in ("labeled_list", "unlabeled_list", "val_list")
    }
    return open_data(config.data, classes=config.classes, **lists)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Networks and the data on which they are looked at."""

    name: str
    networks: Networks
    data: SegmentationData
    device: str
    facts: dict[str, Any]
    """What a result says of its origin."""

    @classmethod
    def of_model(cls, model: str, *, data: str | None, classes: Sequence[str], device: str) -> Subject:
        """Takes networks that were not trained here.

        Args:
            model: `module:name` of what gives the network, or student and teachers.
            data: The data set.
            classes: Class names to keep.
            device: A torch device, or `auto`.

        Raises:
            UserError: if model, data set or device are not there or do not fit each other.
        """
        if data is None:
            raise UserError("--data with --model", "no --data", "name the data set to look at the model with")
        device, opened = resolve_device(device), open_data(data, classes=classes)
        networks = load_model(model, opened.classes).to(device)
        facts = {"model": model, "dataset": opened.name, "device": device}
        return cls(name=model.replace(":", "-"), networks=networks, data=opened, device=device, facts=facts)


@dataclass(frozen=True, kw_only=True)
class RunSubject(Subject):
    """A run with its networks."""

    run: Run
    networks: PSMT
    weights: str
    """`last`, `best` or `epoch-NNNN`."""
    elsewhere: bool = False
    """Whether the data is another than the run's own."""

    @classmethod
    def open(cls, folder: Path | None, *, data: str | None, weights: str, device: str) -> Self:
        """Opens a run.

        Args:
            folder: The run folder; left out, the run that comes with the project.
            data: A data set; left out, the one that the run was trained on.
            weights: `last`, `best` or `epoch-NNNN`.
            device: A torch device, or `auto`.

        Raises:
            UserError: if run, weights, data set or device are not there, or the data set has other classes.
        """
        device, run = resolve_device(device), Run.open(folder)
        networks = load_run(run.folder, weights=weights, device=device)
        config = run.config.data
        if data is None:
            opened = open_config_data(config)
        else:
            opened = open_data(data, classes=config.classes if config.data != "scenes" else ())
        if opened.classes != run.classes:
            got = ", ".join(opened.classes)
            raise UserError(f"data with the run's classes {', '.join(run.classes)}", got, "give other --data")
        facts = {**run.facts(opened.name), "weights": weights, "device": device}
        return cls(
            name=run.name,
            run=run,
            networks=networks,
            data=opened,
            elsewhere=data is not None,
            weights=weights,
            device=device,
            facts=facts,
        )

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the images of a part: `val`, or `labeled` or `unlabeled` of the run's split.

        Raises:
            UserError: if there are none, or they were listed for other data than this.
        """
        split = self.run.config.data.split
        if part != "val" and self.elsewhere and self.run.config.data.labeled_list is not None:
            got = "--data, for which its labelled images were not listed"
            raise UserError(f"the run's own data with --part {part}", got, "leave --data out")
        chosen = self.data.ids("val") if part == "val" else getattr(self.data.split(split), part)
        if not chosen:
            raise UserError(f"{part} images in split {split}", "none", "look at another part with --part")
        return chosen

    def score(self, part: str = "val") -> Evaluation:
        """Scores every role on a part, as `ids` takes it, in the way of the run's own validation."""
        views = self.run.config.views
        return evaluate(
            self.networks,
            self.data,
            part=part,
            ids=self.ids(part),
            window=views.window,
            window_stride=views.window_stride,
            device=self.device,
            parameters=self.facts,
        )


def make_evaluation(subject: RunSubject, out: Path, *, part: str = "val") -> tuple[Evaluation, list[Path]]:
    """Scores every role on a part; writes evaluation.csv, confusion.csv, evaluation.json and the two figures."""
    result = subject.score(part)
    return result, result.save(out) + figures.write_evaluation(result, out)


def make_perturbation(
    subject: Subject,
    out: Path,
    *,
    eps: Sequence[float],
    kinds: Sequence[str] = (),
    judges: Sequence[str] = (),
    settings: Settings | None = None,
    images: int | None = None,
    seed: int = 0,
) -> tuple[Flips, list[Path]]:
    """Measures what every kind and eps does to every judge.

    Writes flips.csv and its kin, health.json, and the figures flips, judges, transfer and where.
    """
    if images is not None and images < 1:
        raise UserError("--images of at least 1", f"{images}", "raise it")
    result = flips(
        subject.networks,
        subject.data,
        eps=sorted({*eps, PAPER_EPS}),
        kinds=kinds,
        judges=judges,
        settings=settings,
        ids=subject.data.ids("val")[:images],
        seed=seed,
        device=subject.device,
        parameters=subject.facts,
    )
    return result, result.save(out) + figures.write_flips(result, out)


def make_closeup(subject: Subject, out: Path, image_id: str, **settings: Any) -> list[Path]:
    """Shows one image under every kind; writes closeup.npz, closeup.json and closeup.*."""
    result = closeup(
        subject.networks, subject.data, image_id, device=subject.device, parameters=subject.facts, **settings
    )
    return result.save(out) + figures.write_closeup(result, out)


def make_tsne(
    subject: Subject, out: Path, *, jobs: int, arrows: bool = False, **settings: Any
) -> tuple[PixelEmbedding, dict[str, float], list[Path]]:
    """Lays pixels out; writes pixels.parquet, tsne.json and fig2_tsne.*; returns seconds by part of the work too."""
    facts = {"arrows": arrows, **subject.facts}
    result, seconds = embed_pixels(
        subject.networks, subject.data, jobs=jobs, device=subject.device, parameters=facts, **settings
    )
    return result, seconds, result.save(out) + figures.write_tsne(result, out)


def make_gradcam(subject: Subject, out: Path, **settings: Any) -> tuple[Cams, list[Path]]:
    """Maps a class's evidence; writes cams.npz, gradcam.csv, gradcam.json and fig1_gradcam.*."""
    result = gradcam(subject.networks, subject.data, device=subject.device, parameters=subject.facts, **settings)
    return result, result.save(out) + figures.write_gradcam(result, out)


def make_curves(runs: Sequence[Curves], out: Path) -> tuple[Training, list[Path]]:
    """Writes curves.csv, curves.json and the figures of training: scores, ramp-up and the teachers' distance."""
    result = Training(runs=tuple(runs))
    drawn = figures.write_curves(result, out)
    return result, result.save(out) + drawn


def make_table(evaluations: Sequence[tuple[str, Evaluation]], out: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Writes table1.csv, table1.md and table1.tex: the runs' scores, and on Pascal VOC the published ones."""
    paths = figures.write_table(figures.score_table(evaluations), out)
    return read_csv(out / TABLE), paths  # as whoever draws it again has it


def make_all(
    subject: RunSubject,
    out: Path,
    *,
    n_pixels: int,
    images: int,
    eps: float,
    sweep: Sequence[float],
    seed: int,
    jobs: int,
) -> list[str]:
    """Makes every exhibit, manifest.json, which says what made what, and the page of all of them, index.html.

    Returns:
        Remarks for the user: what was left out and why, what the t-SNE found, and how long its layout took.
    """
    remarks = []
    made: dict[str, list[Path]] = {}
    found: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    found["evaluation"], made["evaluate"] = make_evaluation(subject, out)
    numbers["miou"] = found["evaluation"].table().set_index("role")["miou"].to_dict()
    if subject.run.measured:
        found["training"], made["curves"] = make_curves([subject.run.curves()], out)
    else:
        remarks.append("curves left out: an imported run has no metrics.csv")
    found["table"], made["table"] = make_table([(subject.run.name, found["evaluation"])], out)
    if "tvat" in kinds_of(subject.networks):
        found["cams"], made["gradcam"] = make_gradcam(subject, out, images=images, eps=eps, seed=seed)
        found["embedding"], seconds, made["tsne"] = make_tsne(
            subject, out, n_pixels=n_pixels, eps=eps, seed=seed, jobs=jobs
        )
        numbers |= {f"tsne_{name}": found["embedding"].parameters[name] for name in ("flipped", "flipped_by")}
        remarks += tsne_remarks(found["embedding"], seconds)
    else:
        remarks.append("t-SNE and Grad-CAM left out: they compare VAT with T-VAT, and this run has no teachers")
    found["flips"], made["perturb"] = make_perturbation(subject, out, eps=[*sweep, eps], seed=seed)
    table = found["flips"].flips
    own = table[(table["judge"] == "student") & (table["norm"] != "own")]
    names = own["kind"] + ", eps " + own["eps"].map("{:g}".format)
    numbers["flip_rate"] = dict(zip(names, own["flip_rate"], strict=True))
    parameters = {"n_pixels": n_pixels, "images": images, "eps": eps, "sweep": list(sweep), "seed": seed}
    facts = _manifest(subject, {"parameters": parameters, "numbers": numbers})
    publish(Saved(**found, manifest=facts), made, out)
    return remarks


def tsne_remarks(result: PixelEmbedding, seconds: dict[str, float]) -> list[str]:
    """Says what the map of pixels has found, and how long it took and how much of it openTSNE."""
    total = sum(seconds.values())
    took = f"t-SNE: {total:.0f} s, of which sampling {seconds['sampling']:.0f} s and openTSNE {seconds['layout']:.0f} s"
    return [*figures.tsne_findings(result), took]


def _manifest(subject: RunSubject, facts: dict[str, Any]) -> dict[str, Any]:
    folder = subject.run.folder
    inputs = [folder / "config.json", subject.run.weights(subject.weights)]
    inputs += [folder / "metrics.csv"] if subject.run.measured else []
    return {
        "run": subject.facts,
        **facts,
        "data": subject.data.fingerprint(),
        "versions": versions(),
        "inputs": {path.name: sha256(path) for path in inputs},
    }


def draw_run(report: EpochReport) -> None:
    """Keeps a run's pictures up to date: results.png after every epoch, the others at the start and the end."""
    folder, facts = report.run.folder, {"run": report.run.name, "epoch": len(report.curves.metrics)}
    figures.export_png(figures.draw_training(report.curves), folder / "results.png", facts)
    if len(report.curves.metrics) == 1 or report.finished:
        figures.export_png(figures.draw_batch(report.batch()), folder / "batch.png", facts)
    if report.evaluation is not None:
        figures.export_png(
            figures.figure_of(figures.draw_confusion(report.evaluation)), folder / "confusion.png", facts
        )
