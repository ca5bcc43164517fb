"""Fig. 1: does a perturbation take the evidence for a class away, and T-VAT's more than VAT's?

Command:  python analysis/fig1_gradcam.py [RUN] [--data DIR] [--out DIR]
Cost:     some 10 s on the shipped run, 2 cores.
Expected: at eps = 2 the sum of a map changes by a few percent, in either direction, and similarly for both.
"""

from __future__ import annotations

from subject import subject

from psmt_viz.figures import write
from psmt_viz.probes.gradcam import gradcam
from psmt_viz.probes.settings import GradcamSettings


def main() -> None:
    """Computes the maps of four images, writes them, and draws the figure from them."""
    opened, out = subject(__doc__, "fig1")
    cams = gradcam(opened.networks, opened.data, GradcamSettings(images=4, eps=2.0, seed=0), subject=opened.facts)
    cams.save(out)
    write(cams, out)
    print(cams.table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
