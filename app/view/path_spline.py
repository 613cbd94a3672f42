# SPDX-License-Identifier: MIT
"""The arithmetic of smooth motion through keys, over whole arrays: knots, tangents, slopes, cubics.

The letters: `n` keys, `m` segments between them (n - 1, or n where the motion closes), `k` numbers per key.
Segment i leads from key i to key i + 1; a *cut* segment is one that nothing moves along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.view.rotations import inverse_right_jacobians

LEAST_GAP = 1e-3  # of the longest one: keys in one place still need a gap between their knots


@dataclass(frozen=True, eq=False)
class Sides:
    """The segments beside each key: their indices [n], and whether motion goes along them [n]."""

    left: np.ndarray
    right: np.ndarray
    has_left: np.ndarray
    has_right: np.ndarray

    @classmethod
    def of(cls, n: int, cut: np.ndarray) -> Sides:
        """Return the sides of `n` keys with segments `cut [m]`; where m = n, the motion closes."""
        m, keys = len(cut), np.arange(n)
        left, right = (keys - 1) % m, keys % m
        inside_left, inside_right = (keys > 0) | (m == n), keys < m
        return cls(left, right, inside_left & ~cut[left], inside_right & ~cut[right])

    @property
    def both(self) -> np.ndarray:
        """Whether motion leads through the key [n]."""
        return self.has_left & self.has_right


def centripetal_gaps(lengths: np.ndarray) -> np.ndarray:
    """Return the gaps [m] between knots: the square roots of the lengths, which keeps curves free of loops."""
    gaps = np.sqrt(lengths)
    return np.maximum(gaps, LEAST_GAP * gaps.max(initial=0.0) or 1.0)


def tangents(chords: np.ndarray, gaps: np.ndarray, sides: Sides, tension: float) -> np.ndarray:
    """Return the rates of change [n,k] at the keys, per unit of knot, of a Catmull-Rom spline with tension.

    Where motion begins or ends the second derivative is zero. `chords [m,k]` are differences of neighbours.
    """
    rates = chords / gaps[:, None]
    before, after = rates[sides.left], rates[sides.right]
    w = (gaps[sides.left] / (gaps[sides.left] + gaps[sides.right]))[:, None]
    both = sides.both[:, None]
    inner = np.where(both, (1.0 - w) * before + w * after, 0.0)
    n = len(inner)
    for only, rate, step in (
        (sides.has_left & ~sides.has_right, before, -1),
        (sides.has_right & ~sides.has_left, after, 1),
    ):
        at = np.flatnonzero(only)
        other = (at + step) % n
        natural = 1.5 * rate[at] - 0.5 * inner[other]
        inner[at] = np.where(both[other], natural, rate[at])
    return (1.0 - tension) * inner


def slopes(secants: np.ndarray, h: np.ndarray, sides: Sides, wanted: np.ndarray | None = None) -> np.ndarray:
    """Return slopes [n,k] of cubics that rise and fall only where the points do.

    They are weighted harmonic means of the neighbouring `secants [m,k]` over steps `h [m]` (Fritsch and
    Butland), zero at a turning point. Where `wanted [n,k]` is a number, that is the slope instead, as far as
    it may be: at most thrice the lesser secant.
    """
    left, right = secants[sides.left], secants[sides.right]
    h0, h1 = h[sides.left][:, None], h[sides.right][:, None]
    turning = np.sign(left) * np.sign(right) <= 0.0
    w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (w0 + w1) / (w0 / left + w1 / right)
    one_sided = np.where(sides.has_left[:, None], left, np.where(sides.has_right[:, None], right, 0.0))
    both = sides.both[:, None]
    found = np.where(both, np.where(turning, 0.0, mean), one_sided)
    if wanted is None:
        return found
    least = np.where(both, np.minimum(np.abs(left), np.abs(right)), np.abs(one_sided))
    allowed = np.clip(wanted, -3.0 * least, 3.0 * least)
    return np.where(np.isnan(wanted) | (both & turning), found, allowed)


def mean_rates(rises: np.ndarray, h: np.ndarray, sides: Sides) -> np.ndarray:
    """Return the mean rates [n,k] over both segments beside each point, which rise by `rises [m,k]` in `h [m]`."""
    return (rises[sides.left] + rises[sides.right]) / (h[sides.left] + h[sides.right])[:, None]


def hermite(start: np.ndarray, end: np.ndarray, leave: np.ndarray, arrive: np.ndarray) -> np.ndarray:
    """Return coefficients [m,4,k], lowest first, of cubics over 0..1 with given ends and rates of change there."""
    rise = end - start
    return np.stack([start, leave, 3.0 * rise - 2.0 * leave - arrive, leave + arrive - 2.0 * rise], axis=1)


def cubic(coefficients: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return the values [n,k] of cubics [n,4,k] at `s [n,k]` or [n,1]."""
    c = coefficients
    return c[:, 0] + s * (c[:, 1] + s * (c[:, 2] + s * c[:, 3]))


def turning_cubics(turns: np.ndarray, gaps: np.ndarray, rates: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return cubics [m,4,3] of rotation vectors seen from half-way along each segment.

    `turns [m,3]` lead from key to key, in the key's own axes; `rates [n,3]` are angular velocities there, per
    unit of knot; `ends [m]` are the keys that segments lead to. A rotation vector c changes at the rate
    J^-1(c) w when the body turns at w, so the motion leaves and arrives at exactly the rates of the keys.
    """
    half = 0.5 * turns
    leave = inverse_right_jacobians(-half) @ (rates[: len(turns)] * gaps[:, None])[:, :, None]
    arrive = inverse_right_jacobians(half) @ (rates[ends] * gaps[:, None])[:, :, None]
    return hermite(-half, half, leave[:, :, 0], arrive[:, :, 0])
