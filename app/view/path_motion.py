# SPDX-License-Identifier: MIT
"""The motion through the keys of a camera path: worked out once per path, then asked for many moments at once.

Two steps lead from a time to a pose. A monotone cubic per segment says how far along the curves of position and
rotation the camera is (and what its field of view is); the curves' own cubics say where that is. At constant
speed a table comes first, from time to the moment of an even motion.
"""

from __future__ import annotations

import numpy as np

from app.view.path_spline import (
    LEAST_GAP,
    Sides,
    centripetal_gaps,
    cubic,
    hermite,
    mean_rates,
    slopes,
    tangents,
    turning_cubics,
)
from app.view.rotations import matrices_from_vectors, rotation_vectors

# Of the table for constant speed: steps a segment, and in all where there are very many segments.
_STEPS, _ALL_STEPS = 32, 40_000


class Motion:
    """A smooth motion through `poses [n,4,4]` with fields of view `fovs [n]` at `times`.

    `times` has n entries, or n + 1 where the motion leads back to the first key; `easings [n]` are of
    `path.EASINGS`. `key_times_s [n]` are when the keys are passed.
    """

    def __init__(
        self,
        times: np.ndarray,
        poses: np.ndarray,
        fovs: np.ndarray,
        easings: np.ndarray,
        tension: float,
        constant_speed: bool,
    ) -> None:
        n, m = len(poses), len(times) - 1
        self._fovs, self._ends, self._cut = fovs, np.arange(1, m + 1) % n, easings[:m] == "hold"
        self._sides = Sides.of(n, self._cut)
        self.key_times_s, self._clock, self._table = times[:n], times, None
        rotations, places, ends = poses[:, :3, :3], poses[:, :3, 3], self._ends
        chords, zooms = places[ends] - places[:m], fovs[ends] - fovs[:m]
        turns = rotation_vectors(rotations[:m].transpose(0, 2, 1) @ rotations[ends])
        lengths, angles = np.linalg.norm(chords, axis=1), np.linalg.norm(turns, axis=1)
        self._gaps = np.stack([centripetal_gaps(lengths), centripetal_gaps(angles)], axis=1)
        moving, turning = self._gaps.T
        rates = tangents(chords, moving, self._sides, tension)
        turn_rates = tangents(turns, turning, self._sides, tension)
        steps = moving[:, None]
        along = hermite(places[:m], places[ends], rates[:m] * steps, rates[ends] * steps)
        around = turning_cubics(turns, turning, turn_rates, ends)
        self._curves = np.concatenate([along, around], axis=2)
        self._middles = rotations[:m] @ matrices_from_vectors(0.5 * turns)
        if constant_speed:
            spread = angles.sum() + np.abs(zooms).sum()
            # A turn or zoom of twice the path's mean rate counts as much as the way.
            self._metre = 0.5 * lengths.sum() / spread if spread > 0.0 and lengths.any() else 1.0
            self._even(times, np.maximum(lengths, self._metre * np.maximum(angles, np.abs(zooms))))
            return
        # A key with even easing is passed at the mean speed of both neighbours: so many knots a second.
        speeds = mean_rates(np.stack([lengths, angles, zooms], axis=1), np.diff(times), self._sides)
        a_knot = np.stack([np.linalg.norm(rates, axis=1), np.linalg.norm(turn_rates, axis=1)], axis=1)
        speeds[:, :2] /= np.maximum(a_knot, 1e-12)  # where it turns back, as fast as may be
        speeds[(easings != "linear") | ~self._sides.both] = np.nan
        self._timing = self._timed(speeds, np.isin(easings, ("ease", "hold")))

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return poses [n,4,4] and fields of view [n] at times [n] between the first and the last."""
        if self._table is None:
            return self._pose(times)
        stamps, cubics = self._table
        i, s = _placed(stamps, times)
        return self._pose(cubic(cubics[i], s)[:, 0])

    def _timed(self, wanted: np.ndarray | None = None, stops: np.ndarray | None = None) -> np.ndarray:
        """Return cubics [m,4,3] over the clock's segments: the share of the curves' ways, and the field of view.

        `wanted [n,3]` are the speeds at keys in knots (nan: what suits the neighbours); at `stops [n]` it is 0.
        """
        h, ends = np.diff(self._clock), self._ends
        m = len(h)
        start, end, size = np.zeros((m, 3)), np.ones((m, 3)), np.ones((m, 3))
        start[:, 2], end[:, 2] = self._fovs[:m], self._fovs[ends]
        size[:, :2] = self._gaps  # shares of the way jump at keys, knots do not
        rates = slopes((end - start) * size / h[:, None], h, self._sides, wanted)
        if stops is not None:
            rates[stops] = 0.0
        scale = h[:, None] / size
        timing = hermite(start, end, rates[:m] * scale, rates[ends] * scale)
        timing[self._cut, 1:] = 0.0
        return timing

    def _even(self, times: np.ndarray, measures: np.ndarray) -> None:
        """Time the motion by its length: `measures [m]` are about those of the segments.

        The length of a step is the way, or the turn or the zoom where that is more, so that a turn on the spot
        takes its time. The clock of an even motion is close to the length already; the table mends the rest.
        """
        cut, m, gaps_s = self._cut, len(self._cut), np.diff(times)
        moving_s = gaps_s[~cut].sum()
        if not measures[~cut].any():  # nothing moves anywhere: the keys keep their times
            self._timing = self._timed()
            return
        self._clock = np.append(0.0, np.cumsum(np.maximum(measures, LEAST_GAP * measures.max())))
        self._timing = self._timed()
        steps = int(np.clip(_ALL_STEPS // m, 2, _STEPS))
        share = np.arange(steps) / steps
        clock = (self._clock[:-1, None] + np.diff(self._clock)[:, None] * share).ravel()
        clock = np.append(clock, self._clock[-1])
        way = self._way(clock[:-1], clock[1:])
        held = np.repeat(cut, steps)
        a_metre_s = moving_s / way[~held].sum()
        h = np.maximum(way * a_metre_s, 1e-9 * moving_s)
        h[held] = np.repeat(gaps_s[cut] / steps, steps)
        stamps = times[0] + np.append(0.0, np.cumsum(h))
        stamps[-1] = times[-1]  # to the last bit, as people ask for this moment
        # The clock's rate is read off the motion itself, a moment before and after; beyond a hold nothing moves.
        moment = 1e-6 * np.diff(clock).min()
        before, after = np.maximum(clock - moment, clock[0]), np.minimum(clock + moment, clock[-1])
        fastest = np.maximum(self._way(before - moment, before), self._way(after, after + moment))
        rates = moment / np.maximum(fastest * a_metre_s, 1e-12 * moving_s)
        n = len(clock) - (m == len(self._fovs))  # where the motion closes, the end is the beginning
        secants = (np.diff(clock) / h)[:, None]
        rates = slopes(secants, h, Sides.of(n, np.zeros(len(h), dtype=bool)), rates[:n, None])
        leave, arrive = rates[: len(h)] * h[:, None], rates[np.arange(1, len(h) + 1) % n] * h[:, None]
        self._table = (stamps, hermite(clock[:-1, None], clock[1:, None], leave, arrive))
        self.key_times_s = stamps[: steps * m + 1 : steps][: len(self._fovs)]

    def _way(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the lengths [n] of short steps from clock to clock: the way, the turn or the zoom."""
        poses, fovs = self._pose(np.append(start, end))
        n = len(start)
        moved = poses[n:, :3] - poses[:n, :3]
        turned = np.linalg.norm(moved[:, :, :3], axis=(1, 2)) / np.sqrt(2.0)
        turned = self._metre * np.maximum(turned, np.abs(fovs[n:] - fovs[:n]))
        return np.maximum(np.linalg.norm(moved[:, :, 3], axis=1), turned)

    def _pose(self, clock: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, s = _placed(self._clock, clock)
        timing = cubic(self._timing[i], s)
        curve = cubic(self._curves[i], np.repeat(timing[:, :2], 3, axis=1))
        poses = np.zeros((len(clock), 4, 4))
        poses[:, :3, :3] = self._middles[i] @ matrices_from_vectors(curve[:, 3:])
        poses[:, :3, 3] = curve[:, :3]
        poses[:, 3, 3] = 1.0
        return poses, timing[:, 2]


def _placed(edges: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the segment between `edges` of each value [n], and the share [n,1] of it that lies behind."""
    i = np.searchsorted(edges[1:-1], values, side="right")
    low = edges[i]
    return i, ((values - low) / (edges[i + 1] - low))[:, None]
