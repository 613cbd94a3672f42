# SPDX-License-Identifier: MIT
"""The sparse voxel grid of Plenoxels: a dense table of links into compact rows, where it lies, and how rays are marched.

Value i along an axis belongs to grid coordinate i; the grid covers [-0.5, R - 0.5] per axis, so that R cells of one voxel
fill the box center +- radius. Between the values everything is trilinear; an empty voxel reads as 0 in every channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.sh import n_coefficients

ROW_LANES = 16  # rows of coefficients are padded to whole vectors of this many floats
EMPTY = -1


def row_stride(degree: int) -> int:
    """Return S, the floats of a row: 3 B coefficients, one more (gradients keep the density's there), and padding."""
    return -(-(3 * n_coefficients(degree) + 1) // ROW_LANES) * ROW_LANES


@dataclass(frozen=True)
class MarchOptions:
    """How rays are marched. Step in grid units; near and far in engine units along the (unit) ray."""

    step: float = 0.5
    sigma_thresh: float = 1e-8  # densities up to this are not live
    stop_thresh: float = 1e-7  # a ray ends behind the sample that takes its transmittance below
    near: float = 0.0
    far: float = 1e9


@dataclass(frozen=True)
class LossTerms:
    """What is added to the mean squared error, and the brightness behind the grid. 0 leaves a term out."""

    background: float = 1.0
    beta: float = 0.0  # times mean over rays of log T + log(1 - T)
    cauchy: float = 0.0  # times sum over live samples of log(1 + 2 sigma^2)
    l1: float = 0.0  # times sum over live samples of sigma


@dataclass(eq=False)
class Grid:
    """A sparse grid of X x Y x Z voxels, N of them with a row.

    `links` int32 [X,Y,Z]: the row, or -(1 + k) for an empty voxel with nothing but empty voxels within k steps (all of the
    (2 k + 1)^3 around it); any negative number means empty, k may be less than the truth and never more.
    `density` float32 [N]: raw, per engine unit, any sign. `sh` float32 [N,S], S = `row_stride(degree)`: 3 B coefficients,
    channel major (R_0 .. R_B-1, G_0 ..), then padding that stays 0; see `coefficients`.
    `center`, `radius` float64 [3]: the box in engine units, half its side per axis.
    Links are replaced, never changed in place: kernels keep what they derive from them in `derived`.
    """

    links: np.ndarray
    density: np.ndarray
    sh: np.ndarray
    degree: int
    center: np.ndarray
    radius: np.ndarray
    derived: tuple[np.ndarray, np.ndarray] | None = field(init=False, repr=False, default=None)

    @property
    def resolution(self) -> tuple[int, int, int]:
        """The voxels per axis, X Y Z."""
        x, y, z = self.links.shape
        return x, y, z

    @property
    def n_voxels(self) -> int:
        """N, the voxels that have a row."""
        return len(self.density)

    @property
    def n_basis(self) -> int:
        """B, the SH coefficients of a channel."""
        return n_coefficients(self.degree)

    @property
    def coefficients(self) -> np.ndarray:
        """The SH coefficients [N,3,B] without padding: a view, writing to it writes to the grid."""
        rows = self.sh[:, : 3 * self.n_basis]
        return rows.reshape(self.n_voxels, 3, self.n_basis)  # splitting an axis copies nothing

    @property
    def scale(self) -> np.ndarray:
        """Grid units per engine unit, float64 [3]."""
        return 0.5 * np.asarray(self.resolution) / self.radius

    @property
    def offset(self) -> np.ndarray:
        """Grid coordinates of the world's origin, float64 [3]."""
        return 0.5 * (1.0 - self.center / self.radius) * np.asarray(self.resolution) - 0.5

    def grid_from_world(self, points: np.ndarray) -> np.ndarray:
        """Return grid coordinates of world points [...,3]."""
        return points * self.scale + self.offset

    def world_from_grid(self, points: np.ndarray) -> np.ndarray:
        """Return world points of grid coordinates [...,3]."""
        return (points - self.offset) / self.scale

    def nbytes(self) -> int:
        """Return the bytes held."""
        return self.links.nbytes + self.density.nbytes + self.sh.nbytes
