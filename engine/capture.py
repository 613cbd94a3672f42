# SPDX-License-Identifier: MIT
"""What is odd about a capture, told before anybody waits for training: cameras far away, upside down or looking elsewhere,
photos much brighter, darker or softer than their neighbours.

Every rule compares a view with the others by medians, so that a few bad views cannot hide themselves, and asks for both
an unusual and a large difference: what is flagged should be worth a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.datasets.shots import natural_key

UNUSUAL = 6.0  # robust standard deviations; a normal distribution has one such view in half a billion
SIGMA_PER_MAD = 1.4826
FAR_FLOOR = 0.15  # of the median distance: cameras on an exact circle have no spread at all
UPSIDE_DOWN = -0.3  # camera up times scene up; a level camera that looks straight down has 0
AGREEMENT = 0.8  # of the cameras must see the foreground before one that does not is odd
NEAREST, SAME_DIRECTION = 4, 0.5  # cameras beside one, and the cosine up to which they look alike
CUBE_RADIUS = 0.87  # of the ball around the foreground cube
EXPOSURE_FLOOR_EV, LEAST_EXPOSURE_EV = 0.1, 0.7
BLUR_FLOOR, LEAST_BLUR = 0.12, 1.3  # as log2: 1.3 is edges 2.5 times softer
REACH = 2  # neighbours on each side in capture order
_SAME_COLOUR = 2.0 / 255.0  # of the background, to rounding and compression
_SAMPLES = 60_000  # pixels of a photo that are looked at, about


@dataclass(frozen=True)
class Flag:
    """Something odd about a view. `kind` is "far", "upside down", "away", "exposure" or "blur"; `text` a sentence on it."""

    view: int
    kind: str
    text: str


def measure_photo(image: np.ndarray) -> tuple[float, float]:
    """Return (log2 of the mean linear brightness, log2 of the sharpness) of a photo [H,W,3] in [0,1].

    Sharpness is the mean step between neighbours in a row over the contrast, so exposure does not matter to it.
    """
    stride = max(1, image.shape[0] * image.shape[1] // _SAMPLES)
    green = np.asarray(image[::stride, :, 1], dtype=np.float32)
    brightness = float(np.mean(green**2.2))
    steps = float(np.abs(np.diff(green, axis=1)).mean()) if green.shape[1] > 1 else 0.0
    return np.log2(brightness + 1e-4), np.log2((steps + 1e-4) / (float(green.std()) + 1e-3))


def filled_share(image: np.ndarray, background: str) -> float:
    """Return the share of a photo [H,W,3] in [0,1] that is not plainly the background, "white" or "black"."""
    if background not in ("white", "black"):
        return 1.0
    stride = max(1, image.shape[0] * image.shape[1] // _SAMPLES)
    rows = np.abs(image[::stride] - (1.0 if background == "white" else 0.0))
    return float(np.mean(rows.max(axis=-1) > _SAME_COLOUR))


def pose_flags(cameras: Sequence[Camera], up: np.ndarray) -> list[Flag]:
    """Return what is odd about the poses of views in engine units; `up [3]` is the scene's."""
    if len(cameras) < 4:  # of three, nobody can say which one is odd
        return []
    poses = np.array([camera.world_from_cam for camera in cameras])
    return [*_far(poses), *_upside_down(poses, up), *_looking_away(poses, cameras)]


def photo_flags(names: Sequence[str], brightness: np.ndarray, sharpness: np.ndarray) -> list[Flag]:
    """Return what is odd about photos, from `measure_photo` of each [C]; NaN is not measured."""
    order = np.array(sorted(range(len(names)), key=lambda i: natural_key(names[i])), dtype=np.int64)
    flags = []
    for view, ev in _jumps(brightness, order, EXPOSURE_FLOOR_EV, LEAST_EXPOSURE_EV):
        word = "brighter" if ev > 0 else "darker"
        text = f"The photo is {2.0 ** abs(ev):.1f} times {word} than its neighbours; its exposure may have jumped."
        flags.append(Flag(view, "exposure", text))
    for view, jump in _jumps(sharpness, order, BLUR_FLOOR, LEAST_BLUR):
        if jump < 0:
            text = f"The photo's edges are {2.0**-jump:.1f} times softer than its neighbours'; it may be blurred."
            flags.append(Flag(view, "blur", text))
    return flags


def _far(poses: np.ndarray) -> list[Flag]:
    centres = poses[:, :3, 3]
    distance = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    middle = float(np.median(distance))
    sigma = max(SIGMA_PER_MAD * float(np.median(np.abs(distance - middle))), FAR_FLOOR * middle)
    flags = []
    for view in np.flatnonzero(distance > middle + UNUSUAL * sigma):
        times = distance[view] / max(middle, 1e-12)
        text = f"The camera stands {times:.1f} times as far out as the others; its pose may be wrong."
        flags.append(Flag(int(view), "far", text))
    return flags


def _upside_down(poses: np.ndarray, up: np.ndarray) -> list[Flag]:
    agreement = -poses[:, :3, 1] @ np.asarray(up, dtype=np.float64)
    if np.mean(agreement > 0.0) < AGREEMENT:
        return []
    text = "The camera is upside down against the others; its pose may be mirrored or the photo turned."
    return [Flag(int(view), "upside down", text) for view in np.flatnonzero(agreement < UPSIDE_DOWN)]


def _looking_away(poses: np.ndarray, cameras: Sequence[Camera]) -> list[Flag]:
    """A view looks away if the ball around the cube is not in the cone of its picture while it is in most others', and
    if the cameras beside it look elsewhere too: along a wall, all look past the middle alike."""
    distance = np.linalg.norm(poses[:, :3, 3], axis=1)
    cosine = -np.einsum("ci,ci->c", poses[:, :3, 3], poses[:, :3, 2]) / np.maximum(distance, 1e-12)
    ball = np.arcsin(np.clip(CUBE_RADIUS / np.maximum(distance, 1e-12), 0.0, 1.0))
    half = [np.arctan(0.5 * np.hypot(c.width / c.fx, c.height / c.fy)) for c in cameras]
    sees = (distance < CUBE_RADIUS) | (np.arccos(np.clip(cosine, -1.0, 1.0)) < ball + np.array(half))
    if sees.mean() < AGREEMENT:
        return []
    text = "The camera looks away from what the others look at; its pose may be wrong."
    return [Flag(int(view), "away", text) for view in np.flatnonzero(~sees) if _stands_alone(poses, view)]


def _stands_alone(poses: np.ndarray, view: int) -> bool:
    """Return whether a camera looks in another direction than the cameras nearest to it."""
    distance = np.linalg.norm(poses[:, :3, 3] - poses[view, :3, 3], axis=1)
    near = np.argsort(distance, kind="stable")
    near = near[near != view][:NEAREST]
    return float(np.median(poses[near, :3, 2] @ poses[view, :3, 2])) < SAME_DIRECTION


def _jumps(values: np.ndarray, order: np.ndarray, floor: float, least: float) -> list[tuple[int, float]]:
    """Return (view, difference) of the values that leave those of their neighbours in `order` by far."""
    along = np.asarray(values, dtype=np.float64)[order]
    if np.isfinite(along).sum() < 2 * REACH + 1:
        return []
    apart = np.full(len(along), np.nan)
    for i in np.flatnonzero(np.isfinite(along)):
        low = max(0, min(i - REACH, len(along) - 2 * REACH - 1))
        near = np.delete(along[low : low + 2 * REACH + 1], i - low)
        if np.isfinite(near).any():
            apart[i] = along[i] - np.nanmedian(near)
    sigma = max(SIGMA_PER_MAD * float(np.nanmedian(np.abs(apart))), floor)
    odd = np.flatnonzero(np.abs(np.nan_to_num(apart)) > max(UNUSUAL * sigma, least))
    return [(int(order[i]), float(apart[i])) for i in odd]
