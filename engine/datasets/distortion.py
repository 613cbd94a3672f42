# SPDX-License-Identifier: MIT
"""Lens distortion, and the straight photo behind a bent one.

Model (OpenCV): with x, y on the plane z = 1 and r^2 = x^2 + y^2,
    x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y (1 + k1 r^2 + k2 r^4 + k3 r^6) + p1 (r^2 + 2 y^2) + 2 p2 x y

The straight photo keeps the focal lengths, so the middle is neither blurred nor enlarged; it is cropped or
grown to the largest box whose border still lies inside the bent photo: no pixel is invented, none is black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.datasets.shots import Lens

_NEWTON_STEPS = (
    20  # quadratic from the first guess; five are enough for phone lenses, fold-overs never converge
)
_LEAST_SHARE = 0.25  # of the width or height: less left over means the coefficients are not of this photo
_ROWS = 64  # rows remapped at a time: temporaries stay in the cache and small


def distort(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lens moves points of the plane z = 1."""
    r2 = x * x + y * y
    radial = 1.0 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
    xd = x * radial + 2.0 * lens.p1 * x * y + lens.p2 * (r2 + 2.0 * x * x)
    yd = y * radial + lens.p1 * (r2 + 2.0 * y * y) + 2.0 * lens.p2 * x * y
    return xd, yd


def jacobian(lens: Lens, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx'/dx, dx'/dy (= dy'/dx) and dy'/dy of `distort`."""
    r2 = x * x + y * y
    radial = 1.0 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
    slope = 2.0 * (lens.k1 + r2 * (2.0 * lens.k2 + r2 * 3.0 * lens.k3))
    a = radial + slope * x * x + 2.0 * lens.p1 * y + 6.0 * lens.p2 * x
    b = slope * x * y + 2.0 * lens.p1 * x + 2.0 * lens.p2 * y
    d = radial + slope * y * y + 6.0 * lens.p1 * y + 2.0 * lens.p2 * x
    return a, b, d


def undistort(lens: Lens, xd: np.ndarray, yd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points that `distort` moves to (xd, yd), by Newton's method; NaN where there is none."""
    x, y = xd.copy(), yd.copy()
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            fx, fy = distort(lens, x, y)
            a, b, d = jacobian(lens, x, y)
            det = a * d - b * b
            ex, ey = fx - xd, fy - yd
            x, y = x - (d * ex - b * ey) / det, y - (a * ey - b * ex) / det
        fx, fy = distort(lens, x, y)
        a, b, d = jacobian(lens, x, y)
        good = (np.hypot(fx - xd, fy - yd) < 1e-7) & (a * d - b * b > 0.0)
    return np.where(good, x, np.nan), np.where(good, y, np.nan)


def straight_lens(lens: Lens) -> Lens:
    """Return the pinhole of the straight photo; ValueError where the coefficients cannot be right."""
    if not lens.distorted:
        return lens
    left, right, top, bottom = _inner_box(lens)
    width = int(np.floor(lens.fx * (right - left))) + 1 if right > left else 0
    height = int(np.floor(lens.fy * (bottom - top))) + 1 if bottom > top else 0
    if width < _LEAST_SHARE * lens.width or height < _LEAST_SHARE * lens.height:
        raise ValueError("less than a quarter of the photo would be left")
    if width > 4 * lens.width or height > 4 * lens.height:
        raise ValueError("the straight photo would be over four times as large")
    straight = Lens(width, height, lens.fx, lens.fy, 0.5 - lens.fx * left, 0.5 - lens.fy * top)
    grid_x, grid_y = np.meshgrid(np.linspace(left, right, 65), np.linspace(top, bottom, 65))
    a, b, d = jacobian(lens, grid_x, grid_y)
    if (a * d - b * b <= 0.0).any() or (a <= 0.0).any():
        raise ValueError("the distortion folds over itself inside the photo")
    return straight


def _inner_box(lens: Lens) -> tuple[float, float, float, float]:
    """Return left, right, top, bottom on z = 1 that the bent photo's outermost pixel centres allow."""
    u = (np.linspace(0.5, lens.width - 0.5, 129) - lens.cx) / lens.fx
    v = (np.linspace(0.5, lens.height - 0.5, 129) - lens.cy) / lens.fy
    sides = [
        (np.full_like(v, u[0]), v),
        (np.full_like(v, u[-1]), v),
        (u, np.full_like(u, v[0])),
        (u, np.full_like(u, v[-1])),
    ]
    straight = [undistort(lens, *side) for side in sides]
    box = (straight[0][0].max(), straight[1][0].min(), straight[2][1].max(), straight[3][1].min())
    if np.isnan(box).any():
        raise ValueError("the distortion folds over itself inside the photo")
    return tuple(float(edge) for edge in box)


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
    xd, yd = distort(bent, *np.meshgrid(x, y))
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
