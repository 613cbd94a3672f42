# SPDX-License-Identifier: MIT
"""Gradients of features that wait for Adam's step: the tables' gradients then never lie in memory as a whole.

A step touches most cache lines of the tables of the nodes it sees. Gradients of their size would be written, read and cleared
once a step; kept as gradients of samples until the step, they are a tenth of that, and a level of a slot is added up and
stepped while it is in the second-level cache.
"""

from __future__ import annotations

import numpy as np

# Columns of a pass, int64: where its places [3, room] and its features' gradients [L, M, 2] begin, room, and M.
PLACES, FEATURES, ROOM, SAMPLES, N_PASS = range(5)


class Waiting:
    """The passes since the last step, in buffers that grow and stay."""

    def __init__(self, slots: int) -> None:
        self._places, self._features = np.zeros(1, np.float32), np.zeros(1, np.float32)
        self._slots = slots
        self._passes: list[tuple[int, int, int, int]] = []
        self._spans: list[np.ndarray] = []

    def add(
        self, slots: np.ndarray, offsets: np.ndarray, places: np.ndarray, levels: int, room: int, m: int
    ) -> np.ndarray:
        """Note a pass of m samples, groups as `node_field.Groups` has them; return where its features' gradients go, flat."""
        place_at = feature_at = 0
        if self._passes:
            last = self._passes[-1]
            place_at, feature_at = last[PLACES] + 3 * last[ROOM], last[FEATURES] + 2 * levels * last[SAMPLES]
        self._places = _grown(self._places, place_at, 3 * room)
        self._features = _grown(self._features, feature_at, 2 * levels * m)
        self._places[place_at : place_at + 3 * room] = places[: 3 * room]
        span = np.zeros((self._slots, 2), dtype=np.int64)
        span[slots, 0], span[slots, 1] = offsets[:-1], offsets[1:]
        self._passes.append((place_at, feature_at, room, m))
        self._spans.append(span)
        return self._features[feature_at : feature_at + 2 * levels * m]

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return passes [P, N_PASS], spans [P,S,2], places and features' gradients, and forget them."""
        passes = np.array(self._passes, dtype=np.int64).reshape(-1, N_PASS)
        spans = np.stack(self._spans) if self._spans else np.zeros((0, self._slots, 2), dtype=np.int64)
        self._passes, self._spans = [], []
        return passes, spans, self._places, self._features

    def nbytes(self) -> int:
        """Return the bytes held."""
        return self._places.nbytes + self._features.nbytes


def _grown(held: np.ndarray, used: int, more: int) -> np.ndarray:
    """Return the array, or a longer one that begins alike, with room for `more` values behind the used ones."""
    if len(held) >= used + more:
        return held
    longer = np.empty((used + more) * 3 // 2, dtype=np.float32)
    longer[:used] = held[:used]
    return longer
