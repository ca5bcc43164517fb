"""Cost of a t-SNE of pixels and quality of its map: our settings beside openTSNE's defaults, on the same features.

Command:  python benchmarks/tsne.py [RUN] [--data DIR] --n-pixels 25000
Cost:     5 to 10 minutes at 25,000 pixels on one core; four fits.
Expected: maps on 50 principal components are as trustworthy as those on all features, and cheaper; exact neighbours
          cost less than approximate ones up to some 50,000 pixels.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import openTSNE
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.probes.map_quality import map_quality
from psmt_viz.probes.pixels import sample_pixels
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.tsne_map import lay_out
from psmt_viz.subject import RunSubject


def main() -> None:
    """Fits maps of one sample of pixels in four ways and prints one row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--n-pixels", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=("exact", "approx", "defaults", "defaults on components"))
    flags = parser.parse_args()
    subject = RunSubject.open(flags.run, data=flags.data, weights="last", device="cpu")
    start = time.perf_counter()
    sample = sample_pixels(subject.networks, subject.data, TsneSettings(n_pixels=flags.n_pixels, seed=flags.seed))
    clean = sample.features["clean"]
    print(f"{subject.name}: {len(clean):,} pixels x {clean.shape[1]}, sampled in {time.perf_counter() - start:.0f} s")
    ways: dict[str, Any] = {
        "exact": lambda: frozen(sample.features, "exact", flags.seed, flags.jobs),
        "approx": lambda: frozen(sample.features, "approx", flags.seed, flags.jobs),
        "defaults": lambda: defaults(clean, flags.seed, flags.jobs),
        "defaults on components": lambda: defaults(components(clean), flags.seed, flags.jobs),
    }
    rows = []
    for name in flags.only:
        start = time.perf_counter()
        layout, facts = ways[name]()
        seconds = time.perf_counter() - start
        rows.append({"way": name, "seconds": seconds, **map_quality(clean, layout, seed=flags.seed), **facts})
        rows[-1]["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format), flush=True)


def frozen(
    features: dict[str, NDArray[np.float32]], neighbors: Any, seed: int, jobs: int
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Fits the clean pixels' map and places both perturbed panels on it, as `psmt-viz tsne` does."""
    settings = TsneSettings(neighbors=neighbors, jobs=jobs)
    coordinates, _, found = lay_out(features, settings, seed=seed)
    return coordinates["clean"], {"kl": found["kl_divergence"], "placement_error": found["placement_error"]}


def defaults(features: NDArray[np.float32], seed: int, jobs: int) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Fits the clean pixels' map alone, by openTSNE's defaults."""
    fitted = openTSNE.TSNE(random_state=seed, n_jobs=jobs).fit(features)
    return np.array(fitted), {"kl": float(fitted.kl_divergence)}


def components(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the first 50 principal components."""
    from sklearn.decomposition import PCA

    return PCA(50, random_state=0).fit_transform(features)


if __name__ == "__main__":
    main()
