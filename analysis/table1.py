"""Table 1: is one teacher after training as good as the ensemble of both?

Command:  python analysis/table1.py RUN ... [--out DIR]
Cost:     a second; the scores were written at the end of the training.
Expected: published for Pascal VOC: the ensemble is 0.04 to 0.17 points better; for your runs, see the column of gains.
"""

from __future__ import annotations

from subject import runs

from psmt_viz.figures import write
from psmt_viz.results import Evaluation, ScoreTable


def main() -> None:
    """Collects the scores of the runs and writes the table as CSV, Markdown and LaTeX."""
    named, out = runs(__doc__, "table1")
    write(ScoreTable.of([(name, Evaluation.load(run.folder)) for name, run in named]), out)
    print((out / "table1.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
