"""Cost of a t-SNE of pixels and quality of its map: ours beside openTSNE's defaults and scikit-learn's, same features.

Command:  python benchmarks/tsne.py [RUN] [--data DIR] [--n-pixels 25000] [--only ours ...]
Cost:     5 minutes of one core at 25,000 pixels without scikit-learn, whose fit alone takes several.
Expected: our fit takes a quarter of the time of openTSNE's, at a KL that is no higher.

scikit-learn-intelex is measured where it is installed; the project does not depend on it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import openTSNE
import pandas as pd
from numpy.typing import NDArray
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.tsne import kl_divergence_bh
from sklearn.decomposition import PCA

from benchmarks.pairs import Section, in_turn
from psmt_viz.probes.map_quality import map_quality
from psmt_viz.probes.pixels import sample_pixels
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.tsne_gradient import GridGradient
from psmt_viz.probes.tsne_neighbors import HierarchicalGraph
from psmt_viz.subject import RunSubject

Features = NDArray[np.float32]
Map = NDArray[np.float64]
PERPLEXITY = 30


def main() -> None:
    """Prints the table of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--n-pixels", type=int, default=25_000)
    parser.add_argument("--only", nargs="*", default=list(WAYS))
    flags = parser.parse_args()
    print(maps(flags.run, flags.data, flags.n_pixels, flags.only).to_string(index=False))


def measure() -> list[Section]:
    """Returns the maps of the shipped run's pixels, and calls of the repulsion in turn."""
    return [
        Section(
            title="t-SNE of 25,000 pixels of the shipped run",
            about="One fit each, in one process, to the first 50 principal components; CPU seconds with neighbours. "
            "KL is computed with all affinities equal and by openTSNE's tree at angle 0.2. Trustworthiness "
            "and recall of the 15 nearest neighbours: of 2,000 pixels, in all channels.",
            table=maps(None, None, 25_000, list(WAYS)),
        ),
        Section(
            title="One call of the repulsion",
            about="Milliseconds; points spread over a square of that side.",
            table=pd.concat([calls(25_000, 50), calls(25_000, 206), calls(100_000, 350)]),
        ),
    ]


def maps(run: Path | None, data: str | None, n_pixels: int, names: list[str]) -> pd.DataFrame:
    """Fits a map in several ways; the first one's seconds are those that the others are compared with."""
    subject = RunSubject.open(run, data=data, weights="last", device="cpu")
    sample = sample_pixels(subject.networks, subject.data, TsneSettings(n_pixels=n_pixels))
    clean = sample.features["clean"]
    reduced = PCA(min(50, clean.shape[1]), random_state=0).fit_transform(clean)
    affinities = PerplexityBasedNN(reduced, perplexity=PERPLEXITY, method="exact", random_state=0).P
    rows: list[dict[str, Any]] = []
    for name in names:
        if name == "scikit-learn-intelex" and find_spec("sklearnex") is None:
            continue
        start = time.process_time()
        layout = WAYS[name](reduced)
        seconds = time.process_time() - start
        quality = map_quality(clean, layout)
        kl, _ = kl_divergence_bh(layout, affinities, 1, {"theta": 0.2}, should_eval_error=True)
        first = rows[0]["CPU"] if rows else seconds
        rows.append({"way": name, "CPU": seconds, "faster by": first / seconds, "KL": float(kl), **quality})
        print(rows[-1], flush=True)
    rounded = {"CPU": 1, "faster by": 2, "KL": 3, "trustworthiness": 4, "knn_recall": 4}
    return pd.DataFrame(rows).round(rounded)


def fitted(reduced: Features, late: int = 500, momentum: float = 0.8, neighbors: Any = "exact", **settings: Any) -> Map:
    """Fits a map with openTSNE."""
    tsne = openTSNE.TSNE(
        perplexity=PERPLEXITY,
        neighbors=neighbors,
        n_iter=late,
        final_momentum=momentum,
        random_state=0,
        n_jobs=1,
        metric="euclidean",
        **settings,
    )
    return np.array(tsne.fit(reduced))


def ours(reduced: Features, **settings: Any) -> Map:
    """Fits a map as `psmt-viz tsne` does."""
    return fitted(reduced, negative_gradient_method=GridGradient(), **settings)


def graph(reduced: Features) -> Map:
    """Fits a map as `psmt-viz tsne --neighbors approx` does."""
    return ours(reduced, neighbors=HierarchicalGraph(reduced, 3 * PERPLEXITY, n_jobs=1, random_state=0))


def scikit_learn(reduced: Features) -> Map:
    """Fits a map with scikit-learn's Barnes-Hut t-SNE."""
    from sklearn.manifold import TSNE

    return TSNE(perplexity=PERPLEXITY, init="pca", random_state=0, n_jobs=1).fit_transform(reduced).astype(float)


def intelex(reduced: Features) -> Map:
    """Fits a map with scikit-learn-intelex."""
    from sklearnex.manifold import TSNE

    return TSNE(perplexity=PERPLEXITY, init="pca", random_state=0, n_jobs=1).fit_transform(reduced).astype(float)


WAYS: dict[str, Callable[[Features], Map]] = {
    "openTSNE, defaults": lambda reduced: fitted(reduced, neighbors="auto"),
    "openTSNE, exact neighbours": fitted,
    "ours": ours,
    "ours, approximate neighbours": graph,
    "ours, 300 late iterations of momentum 0.9": lambda reduced: ours(reduced, late=300, momentum=0.9),
    "scikit-learn-intelex": intelex,
    "scikit-learn": scikit_learn,
}


def calls(count: int, side: float) -> pd.DataFrame:
    """Times one call of openTSNE's repulsion and of ours on the same points."""
    from openTSNE import _tsne

    points = np.random.default_rng(0).uniform(-side / 2, side / 2, (count, 2))
    gradient, grid = np.zeros_like(points), GridGradient()
    ways = {
        "openTSNE": lambda: _tsne.estimate_negative_gradient_fft_2d(points, gradient, 3, 50, 1, dof=1),
        "ours": lambda: grid.repulsion(points),
    }
    table = in_turn(ways, unit=1e-3)
    table.insert(0, "points", f"{count:,}, side {side:g}")
    return table


if __name__ == "__main__":
    main()
