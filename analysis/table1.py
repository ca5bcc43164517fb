"""Table 1: is one teacher after training as good as the ensemble of both?

Command:  python analysis/table1.py RUN ... [--out DIR]
Cost:     a second; the scores are those that a run wrote at its end.
Expected: published for Pascal VOC, the ensemble lies 0.04 to 0.17 points above; here see the column of differences.
"""

from __future__ import annotations

from subject import runs

from psmt_viz.figures import write
from psmt_viz.results import Evaluation, ScoreTable


def main() -> None:
    """Puts the runs' scores together and writes the table three times."""
    named, out = runs(__doc__, "table1")
    write(ScoreTable.of([(name, Evaluation.load(run.folder)) for name, run in named]), out)
    print((out / "table1.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
