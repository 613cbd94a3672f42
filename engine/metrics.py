# SPDX-License-Identifier: MIT
"""How close a rendered image is to a photo: PSNR and SSIM as the papers report them.

Images are [H,W,3] sRGB in [0,1]; both measures clamp to that range first, as a screen would. A mask [H,W] is true, or not
zero, where a pixel counts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SSIM_WINDOW = 11  # pixels a side, Wang et al. 2004
SSIM_SIGMA = 1.5
SSIM_C1 = 0.01**2  # steadies the ratio of means where both are dark
SSIM_C2 = 0.03**2  # steadies the ratio of variances where both are flat
_LEAST_MSE = 1e-10  # an exact match counts as 100 dB, so that means over images stay finite


def psnr(image: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio of two images [H,W,3] in dB, at most 100, over the pixels of the mask."""
    _check_pair("psnr", image, target, mask)
    difference = np.clip(image, 0.0, 1.0).astype(np.float64) - np.clip(target, 0.0, 1.0)
    if mask is not None:
        difference = difference[mask != 0]
    return float(-10.0 * np.log10(max(float(np.mean(difference * difference)), _LEAST_MSE)))


def ssim(image: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the structural similarity of two images [H,W,3], 1 for equal ones.

    11x11 Gaussian windows (sigma 1.5) that lie wholly inside the image; mean over windows and channels.
    An image with fewer than 11 pixels a side gets a window of its own size along that side. With a mask, windows whose
    pixels all count are averaged; where there is none, those that hold any that counts.
    """
    _check_pair("ssim", image, target, mask)
    x = np.clip(image, 0.0, 1.0).astype(np.float64)
    y = np.clip(target, 0.0, 1.0).astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2.0 * mean_x * mean_y + SSIM_C1) / (mean_x * mean_x + mean_y * mean_y + SSIM_C1)
    structure = (2.0 * covariance + SSIM_C2) / (variances + SSIM_C2)
    similarity = luminance * structure
    if mask is None:
        return float(np.mean(similarity))
    share = _blur((mask != 0)[..., None].astype(np.float64))[..., 0]
    whole = share > 1.0 - 1e-9
    return float(np.mean(similarity[whole if whole.any() else share > 0.0]))


def ssim_weights(n: int) -> np.ndarray:
    """Return the window's weights along an axis of `n` pixels: at most 11 float64 numbers that sum to 1."""
    count = min(SSIM_WINDOW, n)
    offset = np.arange(count) - 0.5 * (count - 1)
    weights = np.exp(-0.5 * (offset / SSIM_SIGMA) ** 2)
    return weights / weights.sum()


def _blur(field: np.ndarray) -> np.ndarray:
    """Return the Gaussian mean [H-10,W-10,C] of every whole window of a field [H,W,C]."""
    height, width, channels = field.shape
    rows = np.ascontiguousarray(field).reshape(height, width * channels)
    down, along = ssim_weights(height), ssim_weights(width)
    out = np.empty((height - len(down) + 1, (width - len(along) + 1) * channels))
    _blur_rows(rows, down, along, channels, out)
    return out.reshape(len(out), -1, channels)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blur_rows(rows, down, along, channels, out):  # type: ignore[no-untyped-def]
    """Fill `out [h,n]` with the means of `rows [H,N]`, first down, then along a row, whose pixels are `channels` apart."""
    line = np.empty(rows.shape[1])
    for i in range(out.shape[0]):
        line[:] = 0.0
        for k in range(down.shape[0]):
            for j in range(line.shape[0]):
                line[j] += down[k] * rows[i + k, j]
        for j in range(out.shape[1]):
            out[i, j] = 0.0
        for k in range(along.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] += along[k] * line[j + k * channels]


def _check_pair(caller: str, image: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> None:
    if image.shape != target.shape or image.ndim != 3 or image.size == 0:
        raise ValueError(
            f"{caller}(): two images [H,W,3] of one size are needed, got {image.shape} and {target.shape}."
        )
    if mask is not None and (mask.shape != image.shape[:2] or not mask.any()):
        raise ValueError(
            f"{caller}(): a mask of {image.shape[:2]} with pixels that count is needed, got {mask.shape}, "
            f"{np.count_nonzero(mask)} of them counting."
        )
