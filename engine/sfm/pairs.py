# SPDX-License-Identifier: MIT
"""Which photos are compared: all with all, or those that follow one another and those that look alike.

Likeness needs no vocabulary from elsewhere: the photos' own descriptors are gathered around some centres, and a
photo is described by where its descriptors lie about them (a VLAD, "vector of locally aggregated descriptors").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FOLLOWING = 10  # photos after one that it is compared with, and then ones at distances 16, 32, 64
FURTHER = (16, 32, 64)
ALIKE = 20  # photos that look most like one
CENTRES = 48
SAMPLE = 30_000  # descriptors the centres are found from
ROUNDS = 12  # of k-means; the centres need not be perfect
PER_PHOTO = 1500  # descriptors of a photo that are looked at


def all_pairs(count: int) -> list[tuple[int, int]]:
    """Return every pair of photos, near ones in the list first."""
    return [(i, i + gap) for gap in range(1, count) for i in range(count - gap)]


def nearby_pairs(descriptors: Callable[[int], np.ndarray], count: int) -> list[tuple[int, int]]:
    """Return the pairs of photos that follow one another or look alike; `descriptors(i) [D,128]` uint8."""
    found: dict[tuple[int, int], None] = {}
    for gap in (*range(1, FOLLOWING + 1), *FURTHER):
        found.update(((i, i + gap), None) for i in range(count - gap))
    vectors = describe([_thinned(descriptors(i)) for i in range(count)])
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, : min(ALIKE, count - 1)]
    for i, others in enumerate(nearest):
        found.update(((min(i, int(j)), max(i, int(j))), None) for j in others)
    return list(found)


def describe(descriptors: Sequence[np.ndarray]) -> np.ndarray:
    """Return a unit vector [C, CENTRES * 128] for each photo's descriptors [D,128]; zero where it has none."""
    floats = [_rooted(each) for each in descriptors]
    everything = np.concatenate(floats)
    if len(everything) < CENTRES:
        return np.zeros((len(descriptors), 1), np.float32)
    centres = _centres(everything[:: max(1, len(everything) // SAMPLE)])
    vectors = np.zeros((len(floats), CENTRES, everything.shape[1]), np.float32)
    for vector, each in zip(vectors, floats):
        nearest = _nearest(each, centres)
        counts = np.bincount(nearest, minlength=CENTRES)[:, None]
        vector[:] = _sums(each, nearest) - counts * centres
        vector /= np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-9)
    vectors = vectors.reshape(len(floats), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _thinned(descriptors: np.ndarray) -> np.ndarray:
    return descriptors[:: max(1, len(descriptors) // PER_PHOTO)]


def _rooted(descriptors: np.ndarray) -> np.ndarray:
    """Return the descriptors' square roots at unit length, which compares histograms better than they do."""
    roots = np.sqrt(descriptors.astype(np.float32))
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-9)


def _centres(points: np.ndarray) -> np.ndarray:
    """Return CENTRES k-means centres of points [P,D]; the start is fixed, so the same photos give the same pairs."""
    chosen = np.random.default_rng(0).choice(len(points), CENTRES, replace=False)
    centres = points[chosen].copy()
    for _ in range(ROUNDS):
        nearest = _nearest(points, centres)
        counts = np.bincount(nearest, minlength=CENTRES)[:, None]
        centres = np.where(counts > 0, _sums(points, nearest) / np.maximum(counts, 1), centres)
    return centres


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin((centres**2).sum(axis=1) - 2.0 * points @ centres.T, axis=1)


def _sums(points: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the sum [CENTRES,D] of the points of each centre."""
    return (np.arange(CENTRES)[:, None] == nearest).astype(np.float32) @ points
