# SPDX-License-Identifier: MIT
"""A view's error map as heat over a picture, taken from where that view stands or from anywhere near.

Every pixel of the picture is looked up in the view through the depth that was rendered there; from the view's own place that is
exact at any depth. Where the view does not look, or knows nothing yet, the picture stays as it is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cameras import Camera
from engine.render.colour_maps import colour_table
from engine.render.visualise import Legend, step_above

FAINTEST, STRONGEST = 0.1, 0.85  # share of the heat's colour at no error and at the legend's end
_LEAST_TOP, _PERCENT = 0.02, 99.0  # as the error mode's
_FAR = 4.0  # depth that counts where nothing is, engine units


def nearest_view(cameras: list[Camera], camera: Camera) -> int:
    """Return the one of some cameras that stands and looks most like another: distance plus 1 - cosine of the angle between."""
    places = np.array([c.position for c in cameras])
    ahead = np.array([c.forward for c in cameras])
    return int(np.argmin(np.linalg.norm(places - camera.position, axis=1) + 1.0 - ahead @ camera.forward))


def lay_over(
    rgba: np.ndarray,  # [h,w,4] uint8
    depth_z: np.ndarray,  # [h,w] float32, 0 or infinite where nothing is
    camera: Camera,  # of the picture
    errors: np.ndarray,  # [rows, columns] float32 squared errors of the view's blocks, NaN: unknown
    block: int,  # pixels a side
    taken: Camera,  # of the view
    colour_map: str,
    top: float | None = None,  # what reaches the end of the colours; None: by the errors
) -> tuple[np.ndarray, Legend] | None:
    """Return the picture with the root mean squared errors over it, and their legend; None if nothing is known of the view."""
    known = errors[np.isfinite(errors)]
    if known.size == 0:
        return None
    if top is None:
        top = step_above(float(np.sqrt(np.percentile(known, _PERCENT))), _LEAST_TOP, 1.0)
    seen_from = taken.cam_from_world @ camera.world_from_cam
    lenses = np.array([[c.fx, c.fy, c.cx, c.cy] for c in (camera, taken)])
    heated = rgba.copy()
    _heat(
        np.sqrt(errors), block, lenses, seen_from, taken.width, taken.height, camera.orthographic,
        np.ascontiguousarray(depth_z, dtype=np.float32), np.float32(1.0 / top), colour_table(colour_map), heated,
    )  # fmt: skip
    return heated, (0.0, top, "error of the photo")


@njit(cache=True, nogil=True)
def _heat(errors, block, lenses, seen_from, width, height, orthographic, depth_z, scale, table, rgba):
    """Blend the colours of errors into rgba."""
    fx, fy, cx, cy = lenses[0]
    gx, gy, hx, hy = lenses[1]
    for row in range(rgba.shape[0]):
        for column in range(rgba.shape[1]):
            z = np.float64(depth_z[row, column])
            if not 0.0 < z < np.inf:
                z = _FAR
            reach = 1.0 if orthographic else z
            u, v = (column + 0.5 - cx) / fx * reach, (row + 0.5 - cy) / fy * reach
            x = seen_from[0, 0] * u + seen_from[0, 1] * v + seen_from[0, 2] * z + seen_from[0, 3]
            y = seen_from[1, 0] * u + seen_from[1, 1] * v + seen_from[1, 2] * z + seen_from[1, 3]
            w = seen_from[2, 0] * u + seen_from[2, 1] * v + seen_from[2, 2] * z + seen_from[2, 3]
            if w <= 1e-6:
                continue
            px, py = x / w * gx + hx, y / w * gy + hy
            if not (0.0 <= px < width and 0.0 <= py < height):
                continue
            error = errors[int(py) // block, int(px) // block]
            if not error >= 0.0:
                continue
            share = min(error * scale, 1.0)
            mix = FAINTEST + (STRONGEST - FAINTEST) * share
            entry = int(share * 255.0 + 0.5)
            for channel in range(3):
                mixed = rgba[row, column, channel] * (1.0 - mix) + table[entry, channel] * mix
                rgba[row, column, channel] = np.uint8(mixed + 0.5)
