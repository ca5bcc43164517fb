"""Table 1: is one teacher after training as good as the ensemble of both?

Command:  python analysis/table1.py RUN ... [--out DIR]
Cost:     a second; the scores are those that a run wrote at its end.
Expected: published, the ensemble lies 0.04 to 0.17 points above; here see the column of differences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from psmt_viz.figures import score_table, write_table
from psmt_viz.files import output_folder
from psmt_viz.results import Evaluation
from psmt_viz.runs import Run


def main() -> None:
    """Puts the runs' scores together and writes the table three times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", default=[None], help="left out, the run that comes with psmt-viz")
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    runs = [Run.open(folder) for folder in flags.runs]
    out = output_folder(flags.out, "table1", runs[0].name)
    write_table(score_table([(run.name, Evaluation.load(run.folder)) for run in runs]), out)
    print((out / "table1.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
