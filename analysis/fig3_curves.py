"""Fig. 3: (a) the ramp-up of the unsupervised weight, (b) the teachers' ensemble and the student through training.

Command:  python analysis/fig3_curves.py RUN ... [--out DIR]
Cost:     5 s; nothing is computed again, each run measured itself while it trained.
Expected: one band from the lowest to the highest of runs that differ in their seed alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from psmt_viz.figures import write_curves
from psmt_viz.files import output_folder
from psmt_viz.results import Training
from psmt_viz.runs import Run, experiments


def main() -> None:
    """Puts the runs' measurements together, writes them, then the figures from them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", default=[None], help="left out, the run that comes with psmt-viz")
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    runs = [Run.open(folder) for folder in flags.runs]
    training = Training(runs=experiments(runs))
    out = output_folder(flags.out, "fig3", runs[0].name)
    training.save(out)
    write_curves(training, out)
    for curves in training.runs:
        print(curves.name, curves.metrics.iloc[-1].filter(regex="miou|teacher").to_dict())


if __name__ == "__main__":
    main()
