"""Fig. 3: (a) the ramp-up of the unsupervised weight, (b) the teachers' ensemble and the student through training.

Command:  python analysis/fig3_curves.py RUN ... [--out DIR]
Cost:     5 s; the curves were measured during the training.
Expected: one band from minimum to maximum for runs that differ only in their seed.
"""

from __future__ import annotations

from subject import runs

from psmt_viz.figures import write
from psmt_viz.results import Training


def main() -> None:
    """Collects the measurements of the runs, writes them, and draws the figures from them."""
    named, out = runs(__doc__, "fig3")
    training = Training(runs=tuple(run.curves(name) for name, run in named))
    training.save(out)
    write(training, out)
    for curves in training.runs:
        print(curves.name, curves.metrics.iloc[-1].filter(regex="miou|teacher").to_dict())


if __name__ == "__main__":
    main()
