"""Places pixels on a map that stays as it is, each by itself and until it rests."""

from __future__ import annotations

import numpy as np
import openTSNE
from numpy.typing import NDArray
from openTSNE.tsne import PartialTSNEEmbedding, gradient_descent

from psmt_viz.progress import Advance

Coordinates = NDArray[np.float64]
_LOOK_EVERY = 25
"""Iterations between two looks at who still moves."""
_RESTS = 1e-4
"""Of the map's longer side: who moved less than this since the last look has settled; the next 25 iterations move such
a pixel a tenth as far."""
_STEP = 1.0
"""Longest step: who has far to go accelerates, and would fly past its place and out of the map."""
_LIMIT = 1000
"""Iterations after which whoever has not settled is left where it is."""
LOOKS = _LIMIT // _LOOK_EVERY
"""Looks at who still moves, at most."""


def place(
    fitted: openTSNE.TSNEEmbedding,
    features: NDArray[np.float32],
    *,
    side: float,
    advance: Advance = lambda note: None,
) -> tuple[Coordinates, int]:
    """Places pixels on a fitted map, starting at the median of their 25 nearest neighbours.

    A pixel's place depends on the fitted pixels alone, so those that have settled are left out of further iterations:
    of 25,000, fewer than one in ten still moved after 75 of these, and the last rested after 525.

    Args:
        fitted: The map, which is not changed.
        features: (N, D) in the space in which it was fitted.
        side: The map's longer side.
        advance: Called `LOOKS` times: after each look, and at the end for those that were not needed.

    Returns:
        (N, 2), and how many pixels had not settled after 1,000 iterations.

    Embedding to Reference t-SNE Space (Policar et al., 2021): perplexity 5, exaggeration 1.5, learning rate 0.1,
    gradients clipped at 0.25.
    """
    moving = fitted.prepare_partial(features, initialization="median", k=25, perplexity=5)
    places, rows = np.array(moving), np.arange(len(features))
    for look in range(1, LOOKS + 1):
        moving.optimize(
            _LOOK_EVERY,
            learning_rate=0.1,
            exaggeration=1.5,
            momentum=0.8,
            max_grad_norm=0.25,
            max_step_norm=_STEP,
            inplace=True,
        )
        found = np.asarray(moving)
        restless = np.linalg.norm(found - places[rows], axis=1) > _RESTS * side
        places[rows] = found
        rows = rows[restless]
        advance(f"{len(rows):,} still move")
        if not len(rows):
            for _ in range(look, LOOKS):
                advance("")
            break
        moving = _part(moving, restless)
    return places, len(rows)


def _part(whole: PartialTSNEEmbedding, chosen: NDArray[np.bool_]) -> PartialTSNEEmbedding:
    """Returns some of the points, with the speed that they have."""
    descent = gradient_descent()
    descent.gains, descent.update = whole.optimizer.gains[chosen], whole.optimizer.update[chosen]
    return PartialTSNEEmbedding(
        np.asarray(whole)[chosen], whole.reference_embedding, whole.P[chosen], descent, **whole.gradient_descent_params
    )
