"""Do the teachers make better perturbations than the student, through training and for every judge?

Claim:    "T-VAT demonstrates ... more incorrect predictions" than VAT (supplement, Fig. 2); here: T-VAT minus VAT in
          flipped correct pixels is above 0 with its interval, images being what is resampled.
Command:  psmt-viz train --preset scenes --seed S --keep-last 26 --out runs/scenes-S                       (S = 0, 1, 2)
          psmt-viz train --preset voc_mini --data DIR --seed 1 --keep-last 12 --out runs/voc_mini-1
          python analysis/perturbations.py runs/scenes-0 runs/scenes-1 runs/scenes-2 runs/voc_mini-1 --images 80
          python analysis/perturbations.py                                     # draws again what the tables hold
Cost:     after the training, on 2 cores about a minute a run of `scenes` and 15 minutes for voc_mini; stopped at any
          time, it goes on with the first epoch that is missing.
Expected: analysis/results/perturbations.csv, perturbations_paired.csv, perturbations.png and perturbations.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from psmt_viz.config import PAPER_EPS
from psmt_viz.figures import export_png, style
from psmt_viz.figures.kinds import look
from psmt_viz.figures.style import DOUBLE, ROLE_LABELS, new_figure
from psmt_viz.files import write_text
from psmt_viz.results import ROLES, Flips, read_csv, write_csv
from psmt_viz.runs import Run

KINDS = ("vat", "tvat", "teacher1", "teacher2", "random")
EPS = (PAPER_EPS, 8.0)
SHARES = (0.0, 0.15, 0.35, 0.65, 1.0)
"""Where in the training after the warm-up the networks are looked at."""
RESULTS = Path(__file__).parent / "results"
FLIPS, PAIRED = RESULTS / "perturbations.csv", RESULTS / "perturbations_paired.csv"


def epochs(run: Run) -> list[int]:
    """Returns the epochs to look at, from the end of the warm-up to the last."""
    first, after = run.config.method.warmup_epochs, run.config.method.epochs
    return sorted({first + round(share * after) for share in SHARES})


def measured(run: Run, epoch: int, options: argparse.Namespace) -> Flips:
    """Returns what the networks of an epoch flip; measured once, then read from disk."""
    folder = Path("runs/perturbations") / f"{run.name}-{epoch:04d}-{options.images}"
    if not (folder / "health.json").is_file():  # written last
        from psmt_viz.exhibits import RunSubject
        from psmt_viz.probes.flips import flips

        subject = RunSubject.open(run.folder, data=None, weights=f"epoch-{epoch:04d}", device=options.device)
        ids = subject.data.ids("val")[: options.images]
        facts = subject.facts
        found = flips(
            subject.bundle, subject.data, eps=EPS, kinds=KINDS, ids=ids, device=subject.device, parameters=facts
        )
        folder.mkdir(parents=True, exist_ok=True)
        found.save(folder)
    return Flips.load(folder)


def collect(path: Path, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Adds rows to a table on disk, in place of earlier ones of the same run."""
    new = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"run": []})
    before = read_csv(path) if path.is_file() else new.iloc[:0]
    kept = before[~before["run"].isin(new["run"])]
    table = pd.concat([each for each in (kept, new) if len(each)], ignore_index=True)
    table = table.sort_values(["run", "epoch", "eps"], kind="stable", ignore_index=True)
    write_csv(path, table)
    return table


def draw(flips: pd.DataFrame, paired: pd.DataFrame) -> Figure:
    """Draws flips by kind, and T-VAT minus VAT for two judges, over training; a column a run."""
    runs = sorted(flips["run"].unique())
    with style():
        figure = new_figure(DOUBLE, 105)
        rows = cast(list[list[Axes]], figure.subplots(3, len(runs), sharex="col", sharey="row", squeeze=False).tolist())
        at_paper = flips[(flips["eps"] == PAPER_EPS) & (flips["judge"] == "student")]
        tvat = paired[(paired["eps"] == PAPER_EPS) & (paired["kind"] == "tvat") & (paired["against"] == "vat")]
        for column, run in enumerate(runs):
            top = rows[0][column]
            for kind, table in at_paper[at_paper["run"] == run].groupby("kind", sort=False):
                how = look(str(kind))
                rate, low, high = (100 * table[f"flip_rate{end}"] for end in ("", "_low", "_high"))
                top.plot(table["epoch"], rate, color=how.color, marker=how.marker, label=how.title)
                top.fill_between(table["epoch"], low, high, color=how.color, alpha=0.15, linewidth=0)
            top.set(title=run, yscale="log")
            top.yaxis.set_major_formatter("{x:g}")
            for row, judge in enumerate(("student", "ensemble"), start=1):
                ax, table = rows[row][column], tvat[(tvat["run"] == run) & (tvat["judge"] == judge)]
                middle, low, high = (100 * table[f"difference{end}"] for end in ("", "_low", "_high"))
                how = look("tvat")
                ax.axhline(0, color="0.6", linewidth=0.6)
                ax.errorbar(table["epoch"], middle, [middle - low, high - middle], color=how.color, marker=how.marker)
                # Large after the warm-up, small at the end: a linear axis would show the first alone.
                ax.set_yscale("symlog", linthresh=0.01)
                ax.set_yticks([-1, -0.1, -0.01, 0, 0.01, 0.1, 1])
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_locator(NullLocator())
        rows[0][0].set_ylabel("correct pixels\nflipped (%)")
        for row, judge in enumerate(("student", "ensemble"), start=1):
            rows[row][0].set_ylabel(f"T-VAT minus VAT\n(points)\n{ROLE_LABELS[judge]} judges")
        for ax in rows[-1]:
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        handles, labels = rows[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def table(paired: pd.DataFrame) -> str:
    """Returns T-VAT minus VAT at the paper's eps as Markdown: a row an epoch, a column a judge, in points."""
    rows = paired[(paired["eps"] == PAPER_EPS) & (paired["kind"] == "tvat") & (paired["against"] == "vat")]
    judges = [role for role in ROLES if role in set(rows["judge"])]
    lines = [f"| run | epoch | {' | '.join(f'judged by {ROLE_LABELS[judge]}' for judge in judges)} |"]
    lines.append("| --- " * (2 + len(judges)) + "|")
    for (run, epoch), of in rows.groupby(["run", "epoch"]):
        found = of.set_index("judge")[["difference", "difference_low", "difference_high"]] * 100
        cells = ["{:+.3f} ({:+.3f} to {:+.3f})".format(*found.loc[judge]) for judge in judges]
        lines.append(f"| {run} | {epoch} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures what is missing, then writes tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="run folders whose epochs were kept")
    parser.add_argument("--images", type=int, default=80, help="the first of the validation images")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    flips, paired = [], []
    for run in map(Run.open, options.runs):
        for epoch in epochs(run):
            found = measured(run, epoch, options)
            of = {"run": run.name, "dataset": found.parameters["dataset"], "epoch": epoch}
            flips.append(found.flips.assign(**of))
            paired.append(found.paired.assign(**of))
    RESULTS.mkdir(exist_ok=True)
    all_flips, all_paired = collect(FLIPS, flips), collect(PAIRED, paired)
    export_png(draw(all_flips, all_paired), RESULTS / "perturbations.png", {"tables": [FLIPS.name, PAIRED.name]})
    write_text(RESULTS / "perturbations.md", table(all_paired))
    print(table(all_paired), end="")


if __name__ == "__main__":
    main()
