"""Fig. 2: do perturbed pixels leave their cluster, and does T-VAT flip more of them than VAT?

Command:  python analysis/fig2_tsne.py [RUN] [--data DIR] [--out DIR]
Cost:     2 to 3 minutes on the shipped run, 2 cores; most of it openTSNE.
Expected: at eps = 2 as many red stars with T-VAT as with VAT, within their intervals, mostly the same pixels; the
          median move is about as large as the placement error.
"""

from __future__ import annotations

from subject import subject

from psmt_viz.figures import tsne_findings, write
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.tsne import tsne


def main() -> None:
    """Lays out 25,000 pixels, writes the map, and draws the figure from it."""
    opened, out = subject(__doc__, "fig2")
    settings = TsneSettings(n_pixels=25_000, eps=2.0, seed=0, jobs=-1)
    embedding = tsne(opened.networks, opened.data, settings, subject=opened.facts)
    embedding.save(out)
    write(embedding, out)
    print("\n".join(tsne_findings(embedding)))
    for name in ("trustworthiness", "knn_recall"):
        print(name, embedding.measured[name])


if __name__ == "__main__":
    main()
