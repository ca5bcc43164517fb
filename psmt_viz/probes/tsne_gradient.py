"""The gradient of t-SNE, with its repulsion summed on a grid by fast Fourier transforms.

With q(d) = 1 / (1 + |d|^2), the gradient of KL with respect to point y_i is proportional to

    sum_j p_ij q(y_i - y_j) (y_i - y_j)  -  F_i / Z,    F_i = sum_j q(y_i - y_j)^2 (y_i - y_j),    Z = sum_(i != j) q.

The first sum runs over nearest neighbours alone and is openTSNE's. The second one runs over all pairs. F and Z are
convolutions of the points' density with the kernels q^2 d and q, so they are computed as in particle mesh methods: each
point is spread over the nodes of a grid by cubic B-splines, the density is multiplied by the kernels in Fourier space,
and the fields are read at the points by the same splines. A cubic B-spline sampled on the nodes has the transform
(2 + cos t) / 3 along each axis; dividing the kernels by its square makes spreading and reading an interpolation. The
grid is twice as large as the map, so that the convolution does not wrap around. Z needs no field: by Parseval's theorem
it is the sum of |density|^2 times the kernel over all frequencies, less the N pairs of a point with itself.

The grid is float32, with nodes 1/2 apart or, where the map is small, nearer; the error of F is that of the
interpolation.

Accelerating t-SNE using Tree-Based Algorithms (van der Maaten, 2014); Fast interpolation-based t-SNE (Linderman et al.,
2019); A smooth particle mesh Ewald method (Essmann et al., 1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from openTSNE import _tsne
from openTSNE.tsne import kl_divergence_bh
from scipy import sparse

Points = NDArray[np.float64]
_WIDEST_SPACING = 0.5
"""Largest distance of two nodes; q falls to half within 1."""
_FEWEST = 64
"""Nodes along the longer side of a map, at least."""
_SPLINE = 4
"""Nodes along an axis over which a cubic B-spline reaches."""
_SMALLEST = 1e-6
"""Side below which a map counts as a point."""
_MOST = 4096
"""Nodes along an axis up to which the grid's memory (1 GB) is in proportion; openTSNE's tree takes over beyond."""
_AROUND = 32
"""Nodes around a map on which points are placed: they may leave it."""
_FEW = 200
"""Points up to which all pairs are summed: Z of a few that lie far apart is less than the grid's error."""


class GridGradient:
    """KL and its gradient in the form that openTSNE's `negative_gradient_method` takes.

    Args:
        workers: Threads of the Fourier transforms; -1: all cores.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._placing: tuple[Points, _Fields] | None = None

    def __call__(
        self,
        embedding: Points,
        P: sparse.csr_matrix,
        *,
        dof: float = 1,
        reference_embedding: Points | None = None,
        n_jobs: int = 1,
        should_eval_error: bool = False,
        **others: Any,
    ) -> tuple[float, Points]:
        """Returns KL (0 unless it is asked for) and its gradient (N, 2) over 4, as openTSNE scales it.

        Args:
            embedding: (N, 2).
            P: (N, N) sparse; or (N, M) with a reference, each row a distribution of its own.
            dof: Degrees of freedom of the kernel; 1.
            reference_embedding: (M, 2) points that stay; those of `embedding` are placed among them, each by itself.
            n_jobs: Threads of the sum over neighbours.
            should_eval_error: Whether to compute KL.
            others: Settings of openTSNE's own approximations.
        """
        points = np.asarray(embedding)
        anchors = points if reference_embedding is None else np.asarray(reference_embedding)
        if dof != 1 or _Box.around(points, anchors).side / _WIDEST_SPACING > _MOST:
            return kl_divergence_bh(
                embedding,
                P,
                dof,
                others["bh_params"],
                reference_embedding=reference_embedding,
                n_jobs=n_jobs,
                should_eval_error=should_eval_error,
            )
        forces, total = self.repulsion(points) if anchors is points else self.repulsion_from(anchors, points)
        gradient = np.ascontiguousarray(-forces / (total + np.finfo(float).eps), dtype=np.float64)
        sum_p, kl = _tsne.estimate_positive_gradient_nn(
            P.indices,
            P.indptr,
            P.data,
            points,
            anchors,
            gradient,
            dof,
            num_threads=n_jobs,
            should_eval_error=should_eval_error,
        )
        if should_eval_error:
            kl += sum_p * np.log(np.sum(total) + np.finfo(float).eps)
        return kl, gradient

    def repulsion(self, points: Points) -> tuple[NDArray[np.float32], float]:
        """Returns the forces F (N, 2) between all points, and Z."""
        if len(points) <= _FEW:
            forces, sums = _pair_by_pair(points, points)
            return forces, float(sums.sum()) - len(points)
        grid = _Grid.over(_Box.around(points))
        kernels = _kernels(grid.nodes, grid.spacing)
        read = grid.splines(points)
        density = self._transform(_density(read, grid.nodes))
        power = density.real**2
        power += density.imag**2
        total = float(np.vdot(power, kernels.potential_sum)) - len(points)
        return read @ self._fields(density, kernels.forces), total

    def repulsion_from(self, anchors: Points, points: Points) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Returns the forces F (N, 2) of the anchors (M, 2) on each point, and its own Z (N, 1).

        The fields of the anchors are kept until others come.
        """
        if len(anchors) <= _FEW:
            return _pair_by_pair(anchors, points)
        known = self._placing
        if known is None or not np.array_equal(known[0], anchors) or not known[1].grid.covers(points):
            grid = _Grid.over(_Box.around(points, anchors), margin=_AROUND)
            kernels = _kernels(grid.nodes, grid.spacing)
            density = self._transform(_density(grid.splines(anchors), grid.nodes))
            values = self._fields(density, (*kernels.forces, kernels.potential))
            self._placing = known = (anchors.copy(), _Fields(grid=grid, values=values))
        found = known[1].at(points)
        return found[:, :2], found[:, 2:]

    def _transform(self, density: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Transforms a density (G, G) that is padded with zeros to (2G, 2G)."""
        size = 2 * len(density)
        rows = scipy.fft.rfft(density, n=size, axis=1, workers=self._workers)
        return scipy.fft.fft(rows, n=size, axis=0, workers=self._workers, overwrite_x=True)

    def _fields(
        self, density: NDArray[np.complex64], kernels: tuple[NDArray[np.complex64], ...]
    ) -> NDArray[np.float32]:
        """Convolves a density with kernels; returns the fields on the nodes as (G * G, kernels)."""
        size = len(density)
        nodes = size // 2
        fields = np.empty((nodes, nodes, len(kernels)), np.float32)
        for place, kernel in enumerate(kernels):
            columns = scipy.fft.ifft(density * kernel, axis=0, workers=self._workers, overwrite_x=True)[:nodes]
            rows = scipy.fft.irfft(columns, n=size, axis=1, workers=self._workers, overwrite_x=True)
            fields[:, :, place] = rows[:, :nodes]
        return fields.reshape(nodes * nodes, len(kernels))


def _pair_by_pair(anchors: Points, points: Points) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Returns the forces of the anchors (M, 2) on each point (N, 2), and its own Z (N, 1), counting all anchors."""
    apart = points[:, None] - anchors
    q = 1 / (1 + (apart**2).sum(axis=-1))
    forces = (q[..., None] ** 2 * apart).sum(axis=1)
    return forces.astype(np.float32), q.sum(axis=1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class _Box:
    """Where a map lies."""

    low: Points
    """(2,)"""
    high: Points
    """(2,)"""

    @classmethod
    def around(cls, *maps: Points) -> _Box:
        # Axis by axis: numpy's minimum along the first axis of (N, 2) takes ten times as long.
        axes = [[axis for points in maps for axis in (points[:, i].min(), points[:, i].max())] for i in range(2)]
        return cls(low=np.array([min(values) for values in axes]), high=np.array([max(values) for values in axes]))

    @property
    def side(self) -> float:
        """The longer one."""
        return float((self.high - self.low).max())


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """A square of nodes around a map."""

    low: Points
    """(2,) place of the first node."""
    nodes: int
    """Along each axis."""
    spacing: float
    """Distance of two nodes."""

    @classmethod
    def over(cls, box: _Box, margin: int = 0) -> _Grid:
        """Lays a grid over a map, with some nodes around it."""
        edge = margin + _SPLINE
        # Powers of two, and sizes that are fast to transform: few of either come, so that kernels are kept.
        finer = math.log2(_FEWEST * _WIDEST_SPACING / max(box.side, _SMALLEST))
        spacing = _WIDEST_SPACING * 0.5 ** max(0, math.ceil(finer))
        nodes = scipy.fft.next_fast_len(math.ceil(box.side / spacing) + 1 + 2 * edge, real=True)
        return cls(low=box.low - edge * spacing, nodes=nodes, spacing=spacing)

    def covers(self, points: Points) -> bool:
        """Whether the splines of all points lie on the grid."""
        box, last = _Box.around(points), self.nodes - _SPLINE
        return bool(((box.low - self.low) / self.spacing).min() >= _SPLINE) and bool(
            ((box.high - self.low) / self.spacing).max() <= last
        )

    def splines(self, points: Points) -> sparse.csr_matrix:
        """Returns (N, G * G): the weights of each point's 4 x 4 nodes."""
        (rows, of_rows), (columns, of_columns) = (self._along(points[:, i], self.low[i]) for i in range(2))
        rows *= np.int32(self.nodes)
        indices = (rows[:, :, None] + columns[:, None]).ravel()
        weights = (of_rows[:, :, None] * of_columns[:, None]).ravel()
        starts = np.arange(0, len(weights) + 1, _SPLINE * _SPLINE, dtype=np.int32)
        return sparse.csr_matrix((weights, indices, starts), shape=(len(points), self.nodes**2))

    def _along(self, places: Points, low: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Returns the 4 nodes of each place along an axis and their weights, both (N, 4)."""
        places = (places - low) / self.spacing
        first = np.floor(places)
        inside = (places - first).astype(np.float32)
        nodes = np.add.outer(first.astype(np.int32), np.arange(-1, _SPLINE - 1, dtype=np.int32))
        left, square = 1 - inside, inside * inside
        cube = square * inside
        weights: NDArray[np.float32] = np.empty((len(places), _SPLINE), np.float32)
        weights[:, 0] = left * left * left
        weights[:, 1] = 4 - 6 * square + 3 * cube
        weights[:, 2] = 1 + 3 * (inside + square - cube)
        weights[:, 3] = cube
        weights /= 6
        return nodes, weights


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """Fields on the nodes of a grid, to be read anywhere on it."""

    grid: _Grid
    values: NDArray[np.float32]
    """(G * G, fields)."""

    def at(self, points: Points) -> NDArray[np.float32]:
        return self.grid.splines(points) @ self.values


@dataclass(frozen=True, kw_only=True)
class _Kernels:
    """Transforms of the kernels on a grid, divided by those of the two splines; (2G, G + 1)."""

    potential: NDArray[np.complex64]
    """Of q."""
    potential_sum: NDArray[np.float32]
    """Of q, times what Parseval's sum over half of the frequencies needs."""
    forces: tuple[NDArray[np.complex64], NDArray[np.complex64]]
    """Of q^2 d, along each axis."""


@lru_cache(maxsize=2)
def _kernels(nodes: int, spacing: float) -> _Kernels:
    size = 2 * nodes
    offsets = scipy.fft.fftfreq(size, 1 / size) * spacing
    q = 1 / (1 + offsets[:, None] ** 2 + offsets**2)
    spline = (2 + np.cos(2 * np.pi * scipy.fft.fftfreq(size))) / 3
    # Spreading and reading: once each.
    twice = spline[:, None] ** 2 * spline[: nodes + 1] ** 2
    potential = scipy.fft.rfft2(q).real / twice
    # Real transforms keep half of the frequencies; all but the first and the last column stand for two.
    counted = np.full(nodes + 1, 2.0)
    counted[[0, -1]] = 1
    # q^2 d is odd along its axis, so its transform is imaginary.
    force = scipy.fft.rfft2(q**2 * offsets[:, None]).imag / twice, scipy.fft.rfft2(q**2 * offsets).imag / twice
    return _Kernels(
        potential=potential.astype(np.complex64),
        potential_sum=(potential * counted / size**2).astype(np.float32),
        forces=((1j * force[0]).astype(np.complex64), (1j * force[1]).astype(np.complex64)),
    )


def _density(splines: sparse.csr_matrix, nodes: int) -> NDArray[np.float32]:
    counted = np.bincount(splines.indices, weights=splines.data, minlength=nodes**2)
    return counted.astype(np.float32).reshape(nodes, nodes)
