# SPDX-License-Identifier: MIT
"""Sums for many small least-squares fits at once: what rows of a view add to the normal equations of their voxels.

Computes, for every row n of voxel v = voxels[n]: normal[v] += weight b b^T (its lower triangle, K (K + 1) / 2 values,
row after row) and right[v] += weight b c^T, b the basis [K] and c the colour [3]. No voxel comes twice in a call.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_LEAST_PULL = 1e-7  # keeps the matrix of a voxel with fewer rows than coefficients from being singular


@njit(cache=True, nogil=True)
def add_rows(voxels, basis, weight, colour, normal, right):
    """Add rows: voxels int64 [n], basis float32 [n,K], weight float32 [n], colour float32 [n,3] to the voxels' sums.

    normal float32 [V,K(K+1)/2], right float32 [V,K,3].
    """
    terms = basis.shape[1]
    for n in range(voxels.shape[0]):
        v, at = voxels[n], 0
        for k in range(terms):
            heavy = weight[n] * basis[n, k]
            for m in range(k + 1):
                normal[v, at] += heavy * basis[n, m]
                at += 1
            for c in range(3):
                right[v, k, c] += heavy * colour[n, c]


def solved(normal: np.ndarray, right: np.ndarray, ridge: float, chunk: int = 1 << 15) -> np.ndarray:
    """Return the coefficients float32 [V,K,3] of sums that `add_rows` made; 0 where nothing was added.

    All but the first are pulled to 0 by `ridge` times a voxel's whole weight: few rows then give a mean, not a guess.
    """
    terms = right.shape[1]
    low = np.tril_indices(terms)
    pull = np.full(terms, ridge + _LEAST_PULL)
    pull[0] = _LEAST_PULL
    found = np.empty(right.shape, np.float32)
    for first in range(0, len(right), chunk):
        part = slice(first, first + chunk)
        matrix = np.zeros((len(right[part]), terms, terms))
        matrix[:, low[0], low[1]] = normal[part]
        matrix[:, low[1], low[0]] = normal[part]
        whole = np.maximum(matrix[:, 0, 0], 1e-12)
        matrix += whole[:, None, None] * np.diag(pull)
        found[part] = np.linalg.solve(matrix, right[part].astype(np.float64))
    return found
