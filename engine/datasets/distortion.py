# SPDX-License-Identifier: MIT
"""Lens distortion, and the straight photo behind a bent one.

Model (OpenCV): with x, y on the plane z = 1, r^2 = x^2 + y^2 and
    f = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6),
    x' = x f + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y f + p1 (r^2 + 2 y^2) + 2 p2 x y
A fisheye has no tangential part and f = a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8) / r with a = atan r.

The straight photo keeps the focal lengths, so the middle is neither blurred nor enlarged. Where the largest box whose
border lies inside the bent photo keeps most of the photo, that box is the straight photo: no pixel of it is invented.
Where it would lose more than a tenth (strong barrels, fisheyes), the straight photo is the box around all the photo
shows, at most 110 degrees of a fisheye and twice the pixels a side, and `covered` says which of its pixels are real;
the rest is masked out of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.datasets.shots import Lens

_NEWTON_STEPS = 20  # quadratic from the first guess: five are enough where there is a solution
_WIDEST = 1.54  # radians from the axis, 88 degrees: beyond, the plane z = 1 is of no use
_PROFILE = 4096  # angles at which the radial part is tabulated
_CROP_LOSS = 0.1  # of the photo: what cropping to the inner box may cost before the border is masked instead
_FISHEYE_HALF = np.tan(
    np.deg2rad(55.0)
)  # a pinhole stretches by 3 there: beyond it shows little and costs much
_LARGEST = 2.0  # straight pixels per bent pixel, each side
_LEAST_SHARE = (
    0.25  # of the photo that a model explains: less means that its coefficients are not of this photo
)
_LEAST_SIDE = 1.0 / 3.0  # straight pixels per bent pixel, each side: likewise
_BORDER_PX = (
    0.1  # of the bent photo: the inner box is found from samples of the border, between which it may bulge
)
_ROWS = 64  # rows remapped at a time: temporaries stay in the cache and small


def distort(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lens moves points of the plane z = 1."""
    r2 = x * x + y * y
    radial = _radial(lens, r2)[0]
    xd = x * radial + 2.0 * lens.p1 * x * y + lens.p2 * (r2 + 2.0 * x * x)
    yd = y * radial + lens.p1 * (r2 + 2.0 * y * y) + 2.0 * lens.p2 * x * y
    return xd, yd


def jacobian(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx'/dx, dx'/dy (= dy'/dx) and dy'/dy of `distort`."""
    radial, half_slope = _radial(lens, x * x + y * y)
    slope = 2.0 * half_slope
    a = radial + slope * x * x + 2.0 * lens.p1 * y + 6.0 * lens.p2 * x
    b = slope * x * y + 2.0 * lens.p1 * x + 2.0 * lens.p2 * y
    d = radial + slope * y * y + 6.0 * lens.p1 * y + 2.0 * lens.p2 * x
    return a, b, d


def undistort(lens: Lens, xd: np.ndarray, yd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points that `distort` moves to (xd, yd), by Newton's method; NaN where there is none.

    The first guess inverts the radial part by its table, so Newton stays on the branch through the centre.
    """
    profile = _profile(lens)
    rd = np.hypot(xd, yd)
    start = np.interp(rd, profile[1], profile[0]) / np.maximum(rd, 1e-12)
    x, y = xd * np.where(rd > 1e-12, start, 1.0), yd * np.where(rd > 1e-12, start, 1.0)
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            fx, fy = distort(lens, x, y)
            a, b, d = jacobian(lens, x, y)
            det = a * d - b * b
            ex, ey = fx - xd, fy - yd
            x, y = x - (d * ex - b * ey) / det, y - (a * ey - b * ex) / det
            if not (np.hypot(ex, ey) > 1e-13).any():
                break
        fx, fy = distort(lens, x, y)
        good = (np.hypot(fx - xd, fy - yd) < 1e-7) & _unfolded(lens, x, y)
    return np.where(good, x, np.nan), np.where(good, y, np.nan)


def straight_lens(lens: Lens) -> Lens:
    """Return the pinhole of the straight photo; ValueError where the coefficients cannot be right."""
    if not lens.distorted:
        return lens
    u, v = _axes(lens, 65)
    with np.errstate(all="ignore"):
        x, y = undistort(lens, *np.meshgrid(u, v))
    seen = np.isfinite(x)
    if seen.mean() < _LEAST_SHARE:
        raise ValueError("the distortion folds over itself inside the photo")
    outer = _outer_box(lens, x[seen], y[seen])
    left, right, top, bottom = _inner_box(lens) or outer
    kept = seen & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    if (
        kept.mean() < 1.0 - _CROP_LOSS
        or left < outer[0]
        or right > outer[1]
        or top < outer[2]
        or bottom > outer[3]
    ):
        left, right, top, bottom = outer
    width = int(np.floor(lens.fx * (right - left))) + 1
    height = int(np.floor(lens.fy * (bottom - top))) + 1
    if not lens.fisheye and (width < _LEAST_SIDE * lens.width or height < _LEAST_SIDE * lens.height):
        raise ValueError("less than a third of the photo would be left")
    return Lens(width, height, lens.fx, lens.fy, 0.5 - lens.fx * left, 0.5 - lens.fy * top)


def covered(bent: Lens, straight: Lens) -> np.ndarray:
    """Return bool [H,W]: the pixels of the straight photo, perhaps shrunk, that lie wholly inside the bent one.

    At the bent photo's own focal length a pixel is inside when its centre lies between centres of bent pixels, so that
    nothing is extrapolated; a larger one is when the outermost centres in it are.
    """
    x = _sample_places(straight.width, straight.cx, straight.fx, bent.fx)
    y = _sample_places(straight.height, straight.cy, straight.fy, bent.fy)
    good = np.empty((straight.height, straight.width), dtype=bool)
    for start in range(0, straight.height, _ROWS):
        rows = y[start : start + _ROWS]
        at_x, at_y = np.meshgrid(x.ravel(), rows.ravel())
        with np.errstate(all="ignore"):
            xd, yd = distort(bent, at_x, at_y)
            u, v = xd * bent.fx + bent.cx, yd * bent.fy + bent.cy
            inside = (
                _unfolded(bent, at_x, at_y)
                & (np.abs(u - 0.5 * bent.width) <= 0.5 * (bent.width - 1) + _BORDER_PX)
                & (np.abs(v - 0.5 * bent.height) <= 0.5 * (bent.height - 1) + _BORDER_PX)
            )
        good[start : start + _ROWS] = inside.reshape(*rows.shape, *x.shape).all(axis=(1, 3))
    return good


def _sample_places(count: int, centre: float, focal: float, bent_focal: float) -> np.ndarray:
    """Return [count, 1 or 2] on z = 1: the outermost centres that pixels of the bent focal length have in each pixel."""
    edge = 0.5 * min(1.0, focal / bent_focal)
    offsets = np.array([0.5] if edge == 0.5 else [edge, 1.0 - edge])
    return (np.arange(count)[:, None] + offsets - centre) / focal


def _radial(lens: Lens, r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the radial factor f at r^2, and its derivative by r^2."""
    if not lens.fisheye:
        above = 1.0 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
        above_slope = lens.k1 + r2 * (2.0 * lens.k2 + r2 * 3.0 * lens.k3)
        if not (lens.k4 or lens.k5 or lens.k6):
            return above, above_slope
        below = 1.0 + r2 * (lens.k4 + r2 * (lens.k5 + r2 * lens.k6))
        below_slope = lens.k4 + r2 * (2.0 * lens.k5 + r2 * 3.0 * lens.k6)
        return above / below, (above_slope * below - above * below_slope) / (below * below)
    near = r2 < 1e-7  # the quotients below lose their digits there; the series is exact to r^4
    safe = np.where(near, 1.0, r2)
    r = np.sqrt(safe)
    angle = np.arctan(r)
    a2 = angle * angle
    bent = angle * (1.0 + a2 * (lens.k1 + a2 * (lens.k2 + a2 * (lens.k3 + a2 * lens.k4))))
    bent_slope = 1.0 + a2 * (3.0 * lens.k1 + a2 * (5.0 * lens.k2 + a2 * (7.0 * lens.k3 + a2 * 9.0 * lens.k4)))
    factor = bent / r
    slope = 0.5 * (bent_slope / (1.0 + safe) - factor) / safe
    first = lens.k1 - 1.0 / 3.0
    return np.where(near, 1.0 + first * r2, factor), np.where(near, first, slope)


@lru_cache(maxsize=64)
def _profile(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """Return radii on z = 1 and where the radial part moves them, both rising, up to where it folds or 88 degrees."""
    r = np.tan(np.linspace(0.0, _WIDEST, _PROFILE))
    with np.errstate(all="ignore"):
        moved = r * _radial(lens, r * r)[0]
        folds = ~(np.diff(moved) > 0.0)
    end = int(np.argmax(folds)) + 1 if folds.any() else len(r)
    return r[:end], moved[:end]


def _unfolded(lens: Lens, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return whether points of z = 1 lie where the lens maps one to one, before its first fold."""
    a, b, d = jacobian(lens, x, y)
    return (np.hypot(x, y) <= _profile(lens)[0][-1]) & (a * d - b * b > 0.0)


def _axes(lens: Lens, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x' [count] and y' [count] from the first to the last pixel centre of the bent photo."""
    u = (np.linspace(0.5, lens.width - 0.5, count) - lens.cx) / lens.fx
    v = (np.linspace(0.5, lens.height - 0.5, count) - lens.cy) / lens.fy
    return u, v


def _inner_box(lens: Lens) -> tuple[float, float, float, float] | None:
    """Return left, right, top, bottom on z = 1 that the bent photo's outermost pixel centres allow, if any."""
    u, v = _axes(lens, 129)
    sides = [
        (np.full_like(v, u[0]), v),
        (np.full_like(v, u[-1]), v),
        (u, np.full_like(u, v[0])),
        (u, np.full_like(u, v[-1])),
    ]
    straight = [undistort(lens, *side) for side in sides]
    box = (straight[0][0].max(), straight[1][0].min(), straight[2][1].max(), straight[3][1].min())
    if np.isnan(box).any() or box[0] >= box[1] or box[2] >= box[3]:
        return None
    return tuple(float(edge) for edge in box)


def _outer_box(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, right, top, bottom of a box around points of z = 1, within the limits on width and angle."""
    edges = []
    for values, size, focal, centre in (
        (x, lens.width, lens.fx, lens.cx),
        (y, lens.height, lens.fy, lens.cy),
    ):
        middle = (0.5 * size - centre) / focal
        reach = 0.5 * _LARGEST * size / focal
        low, high = max(values.min(), middle - reach), min(values.max(), middle + reach)
        if lens.fisheye:
            low, high = max(low, -_FISHEYE_HALF), min(high, _FISHEYE_HALF)
        edges += [float(low), float(high)]
    return tuple(edges)


@dataclass(frozen=True, eq=False)
class RemapTable:
    """Where each pixel of a target looks into a source: the upper left of four pixels, and bilinear weights.

    `corner_idx [H,W]` into the flattened source `[h*w,3]` of width `source_width`, `fx fy [H,W]` in [0,1].
    """

    corner_idx: np.ndarray
    fx: np.ndarray
    fy: np.ndarray
    source_width: int

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the uint8 target [H,W,3] of a uint8 source [h,w,3]."""
        flat = image.reshape(-1, 3)
        target = np.empty((*self.corner_idx.shape, 3), dtype=np.uint8)
        for start in range(0, len(target), _ROWS):
            rows = slice(start, start + _ROWS)
            idx, fx, fy = self.corner_idx[rows], self.fx[rows, :, None], self.fy[rows, :, None]
            upper = _mix(flat.take(idx, axis=0), flat.take(idx + 1, axis=0), fx)
            idx = idx + self.source_width
            lower = _mix(flat.take(idx, axis=0), flat.take(idx + 1, axis=0), fx)
            target[rows] = _mix(upper, lower, fy) + np.float32(0.5)
        return target


def remap_table(bent: Lens, straight: Lens) -> RemapTable:
    """Return the table that makes a photo of `straight`, a pinhole, from one of `bent`."""
    x = (np.arange(straight.width) + 0.5 - straight.cx) / straight.fx
    y = (np.arange(straight.height) + 0.5 - straight.cy) / straight.fy
    with np.errstate(
        all="ignore"
    ):  # beyond the fold of a rational model there may be a pole; `covered` leaves it out
        xd, yd = map(np.nan_to_num, distort(bent, *np.meshgrid(x, y)))
    u = np.clip(xd * bent.fx + bent.cx - 0.5, 0.0, bent.width - 1.0)
    v = np.clip(yd * bent.fy + bent.cy - 0.5, 0.0, bent.height - 1.0)
    column = np.minimum(u.astype(np.int32), bent.width - 2)
    row = np.minimum(v.astype(np.int32), bent.height - 2)
    return RemapTable(
        row * bent.width + column, (u - column).astype(np.float32), (v - row).astype(np.float32), bent.width
    )


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return a + (b - a) share in float32."""
    a = a.astype(np.float32, copy=False)
    return a + (b.astype(np.float32, copy=False) - a) * share
