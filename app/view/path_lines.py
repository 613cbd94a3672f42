# SPDX-License-Identifier: MIT
"""The camera path as lines for the overlay: the way with its speed, the keys' frusta, a selected key's gizmo.

Segments are [n,2,3] float32 in the world (engine units), colours [n,4] float32.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from app.view.frusta import AXIS_COLOURS, LINES_PER_FRUSTUM, frustum_segments
from app.view.path import CameraPath
from app.view.path_gizmo import HANDLES, KeyGizmo, key_cameras
from engine.cameras import Camera

Colour = tuple[float, float, float]
Lines = tuple[np.ndarray, np.ndarray]  # segments [n,2,3], colours [n,4]
STEPS_PER_KEY, MOST_STEPS = 24, 4000
# From slow to fast: legible on light and dark, and to the colour-blind.
SLOW, MIDDLE, FAST = (0.27, 0.45, 0.95), (0.78, 0.36, 0.78), (0.98, 0.58, 0.12)
# None of them is a colour of the capture's frusta, and none is lost before a white background.
PLAIN, KEY, SELECTED, PLAYHEAD = (0.78, 0.36, 0.78), (0.67, 0.42, 0.92), (1.0, 0.16, 0.62), (0.94, 0.41, 0.38)
_BRIGHT = (1.0, 0.72, 0.05)  # of the handle under the mouse: seen on white and on black
_HEAD = 0.14  # of an arrow's length: its head


def path_lines(path: CameraPath, by_speed: bool = True, opacity: float = 0.9) -> Lines:
    """Return the way of the camera, from slow (blue) over the mean (white) to fast (orange) where `by_speed`.

    A key that holds cuts: no line leads over that.
    """
    n = min(MOST_STEPS, STEPS_PER_KEY * max(1, len(path.keys) - 1 + path.closed))
    if path.duration_s <= 0.0:
        return _none()
    times = np.linspace(path.start_s, path.end_s, n + 1)
    times = np.union1d(times, path.key_times_s)  # corners, too
    poses, _ = path.sample(times)
    places = poses[:, :3, 3]
    if path.closed:
        places[-1] = places[0]
    segments = np.stack([places[:-1], places[1:]], axis=1)
    lengths, steps_s = np.linalg.norm(places[1:] - places[:-1], axis=1), np.diff(times)
    drawn = ~_held(path, times)
    colours = np.tile(np.array([*PLAIN, opacity], dtype=np.float32), (len(segments), 1))
    if by_speed:
        colours[:, :3] = speed_colours(lengths / steps_s, lengths.sum() / steps_s.sum())
    return segments[drawn].astype(np.float32), colours[drawn]


def speed_colours(speeds: np.ndarray, usual: float) -> np.ndarray:
    """Return colours [n,3] of speeds [n]: `usual` is white, a quarter of it blue, four times orange."""
    octaves = np.log2(np.maximum(speeds, 1e-12) / max(usual, 1e-12))
    share = np.clip(0.5 + 0.25 * octaves, 0.0, 1.0)
    ramp = np.array([SLOW, MIDDLE, FAST])
    return np.stack([np.interp(share, [0.0, 0.5, 1.0], column) for column in ramp.T], axis=1)


def key_lines(path: CameraPath, aspect: float, size: float, selected: Collection[int] = ()) -> Lines:
    """Return the frusta of the keys, `size` deep; the selected ones are bright."""
    segments = frustum_segments(key_cameras(path, aspect), size)
    colours = np.tile(np.array([*KEY, 0.85], dtype=np.float32), (len(path.keys), 1))
    colours[list(selected)] = (*SELECTED, 1.0)
    return segments, np.repeat(colours, LINES_PER_FRUSTUM, axis=0)


def playhead_lines(path: CameraPath, time_s: float, aspect: float, size: float) -> Lines:
    """Return the frustum of the camera at a time."""
    key = path.at(time_s)
    camera = Camera.from_fov(max(1, round(1000 * aspect)), 1000, key.fov_y_rad, key.world_from_cam)
    segments = frustum_segments([camera], size)
    return segments, np.tile(np.array([*PLAYHEAD, 1.0], dtype=np.float32), (len(segments), 1))


def gizmo_lines(gizmo: KeyGizmo, active: str | None = None) -> Lines:
    """Return the arrows and rings of a key's gizmo in the colours of the axes; the `active` handle is bright."""
    parts, colours = [], []
    for i, (axis, tip, ring) in enumerate(zip(gizmo.axes, gizmo.tips(), gizmo.rings())):
        side = np.roll(gizmo.axes, -1, axis=0)[i]
        foot = tip - _HEAD * gizmo.size * axis
        barbs = [foot + sign * 0.4 * _HEAD * gizmo.size * side for sign in (-1.0, 1.0)]
        arrow = np.array([[gizmo.centre, tip], *([barb, tip] for barb in barbs)])
        circle = np.stack([ring[:-1], ring[1:]], axis=1)
        for handle, lines in ((HANDLES[1 + i], arrow), (HANDLES[4 + i], circle)):
            bright = handle == active or (active == "move" and lines is arrow)
            parts.append(lines)
            colours.append(np.tile([*(_BRIGHT if bright else AXIS_COLOURS[i]), 1.0], (len(lines), 1)))
    return np.concatenate(parts).astype(np.float32), np.concatenate(colours).astype(np.float32)


def _held(path: CameraPath, times: np.ndarray) -> np.ndarray:
    """Return whether the path holds between neighbouring times [n - 1]."""
    key = np.searchsorted(path.key_times_s, 0.5 * (times[1:] + times[:-1])) - 1
    holds = np.array([key.easing == "hold" for key in path.keys])
    return holds[key]


def _none() -> Lines:
    return np.zeros((0, 2, 3), dtype=np.float32), np.zeros((0, 4), dtype=np.float32)
