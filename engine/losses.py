# SPDX-License-Identifier: MIT
"""Image losses with their gradients, as Numba kernels.

Computes: mean SSIM (Wang et al. 2004, windows as in `metrics.ssim`, but no clamping) and its exact gradient.
With G the window, m = G*x, n = G*y, p = G*(xx + yy), q = G*(xy), each window's value is

    S = A1 A2 / (B1 B2)
    A1 = 2 m n + C1,  A2 = 2 (q - m n) + C2,  B1 = m m + n n + C1,  B2 = p - m m - n n + C2

and, G' being the transposed blur,  dS/dx = G'(dS/dm) + 2 x G'(dS/dp) + y G'(dS/dq).

Order of work: one sweep down the image. Each row is blurred along x into a ring of 11 rows; once the ring
is full, it is blurred along y, turned into S and its derivatives, blurred back along x into a second ring,
and one gradient row comes out. So everything but the images stays in the second-level cache. Colours stay
interleaved: a step along x is three floats.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.metrics import SSIM_C1, SSIM_C2, ssim_weights

_C1 = np.float32(SSIM_C1)
_C2 = np.float32(SSIM_C2)
_HALF = np.float32(0.5)


def ssim_and_gradient(image: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean SSIM of two images [H,W,3] and its gradient [H,W,3] float32 in the first."""
    if image.shape != target.shape or image.ndim != 3 or image.size == 0:
        got = f"{image.shape} and {target.shape}"
        raise ValueError(f"ssim_and_gradient(): two images [H,W,3] of one size are needed, got {got}.")
    height, width, channels = image.shape
    x = np.ascontiguousarray(image, dtype=np.float32).reshape(height, width * channels)
    y = np.ascontiguousarray(target, dtype=np.float32).reshape(height, width * channels)
    v_image = np.empty_like(x)
    down, along = ssim_weights(height).astype(np.float32), ssim_weights(width).astype(np.float32)
    total = _ssim_sweep(x, y, down, along, channels, v_image)
    windows = (height - len(down) + 1) * (width - len(along) + 1) * channels
    return total / windows, v_image.reshape(image.shape)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _ssim_sweep(x, y, down, along, stride, v_image):  # type: ignore[no-untyped-def]
    """Fill `v_image [H,N]` and return the sum of S over `x, y [H,N]` float32, N = width * stride."""
    height, n = x.shape
    taps = down.shape[0]
    n_out = n - (along.shape[0] - 1) * stride
    rows_out = height - taps + 1
    scale = np.float32(1.0 / (rows_out * n_out))
    line = np.empty((4, n), np.float32)  # a row of x, y, xx + yy, xy
    ring = np.empty((taps, 4, n_out), np.float32)  # those, blurred along x
    means = np.empty((4, n_out), np.float32)
    slopes = np.empty((3, n_out), np.float32)  # dS/dm, dS/dp, dS/dq
    back = np.zeros((taps, 3, n), np.float32)  # those, blurred back along x
    gathered = np.empty((3, n), np.float32)
    total = 0.0
    for i in range(height):
        _products(x[i], y[i], line)
        for f in range(4):
            _gather_along(line[f], along, stride, ring[i % taps, f])
        r = i - taps + 1
        if r >= 0:
            for f in range(4):
                _weighted_row(ring, f, r, r + taps, down, 0, means[f])
            total += _window_row(means, scale, slopes)
            for f in range(3):
                _scatter_along(slopes[f], along, stride, back[r % taps, f])
            _gradient_row(back, down, r, rows_out, gathered, x[r], y[r], v_image[r])
    for i in range(rows_out, height):
        _gradient_row(back, down, i, rows_out, gathered, x[i], y[i], v_image[i])
    return total


@njit(cache=True, nogil=True, fastmath={"contract"})
def _products(x, y, line):  # type: ignore[no-untyped-def]
    for j in range(x.shape[0]):
        line[0, j] = x[j]
        line[1, j] = y[j]
        line[2, j] = x[j] * x[j] + y[j] * y[j]
        line[3, j] = x[j] * y[j]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _gather_along(source, along, stride, out):  # type: ignore[no-untyped-def]
    """out[j] = sum_k along[k] source[j + k stride]."""
    out[:] = np.float32(0.0)
    for k in range(along.shape[0]):
        _add_scaled(source[k * stride :], along[k], out)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _scatter_along(source, along, stride, out):  # type: ignore[no-untyped-def]
    """The transpose of `_gather_along`: out[j + k stride] += along[k] source[j]."""
    out[:] = np.float32(0.0)
    n = source.shape[0]
    for k in range(along.shape[0]):
        _add_scaled(source, along[k], out[k * stride : k * stride + n])


@njit(cache=True, nogil=True, fastmath={"contract"})
def _weighted_row(ring, field, first, end, weights, shift, out):  # type: ignore[no-untyped-def]
    """out = sum over rows r in first..end of weights[r - first + shift] ring[r mod taps, field]."""
    out[:] = np.float32(0.0)
    for r in range(first, end):
        _add_scaled(ring[r % ring.shape[0], field], weights[r - first + shift], out)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_scaled(source, weight, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] += weight * source[j]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _window_row(means, scale, slopes):  # type: ignore[no-untyped-def]
    """Turn a row of blurred m, n, p, q into dS/dm, dS/dp, dS/dq times `scale`; return the row's sum of S."""
    total = 0.0
    for j in range(means.shape[1]):
        m, n = means[0, j], means[1, j]
        half_a1 = m * n + _HALF * _C1
        half_a2 = means[3, j] - m * n + _HALF * _C2
        squares = m * m + n * n
        over_b1 = np.float32(1.0) / (squares + _C1)
        over_b2 = np.float32(1.0) / (means[2, j] - squares + _C2)
        over_b = np.float32(4.0) * over_b1 * over_b2
        s = half_a1 * half_a2 * over_b
        slopes[0, j] = scale * (
            n * (half_a2 - half_a1) * over_b + np.float32(2.0) * m * s * (over_b2 - over_b1)
        )
        slopes[1, j] = -scale * s * over_b2
        slopes[2, j] = scale * half_a1 * over_b
        total += s
    return total


@njit(cache=True, nogil=True, fastmath={"contract"})
def _gradient_row(back, down, i, rows_out, gathered, x, y, out):  # type: ignore[no-untyped-def]
    """Gradient row i: the windows that start at rows i - 10 .. i all contain it."""
    taps = down.shape[0]
    first = max(0, i - taps + 1)
    end = min(i + 1, rows_out)
    # The window from row r on sees row i with weight down[i - r] = down[taps - 1 - i + r]: it is symmetric.
    for f in range(3):
        _weighted_row(back, f, first, end, down, taps - 1 - i + first, gathered[f])
    for j in range(x.shape[0]):
        out[j] = gathered[0, j] + np.float32(2.0) * x[j] * gathered[1, j] + y[j] * gathered[2, j]
