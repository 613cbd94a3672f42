# SPDX-License-Identifier: MIT
"""Camera paths of instant-ngp: keys with quaternions (x, y, z, w), OpenCV axes, its own frame.

{"loop": false, "duration_seconds": 5.0, "spline_order": 3, "path": [{"R": [x, y, z, w], "T": [x, y, z],
 "fov": degrees, "scale": 1.5, "slice": 0.0, "aperture_size": 0.0, "timestamp": 1.0}, ...]}

The timestamp of key i says when the segment *after* it ends, so key 0 stands at 0 and key i at the timestamp of
key i - 1; the last one counts in a loop only. The whole is then stretched to "duration_seconds". The field of view
is taken as vertical, instant-ngp's default. Older files say "dof" for the aperture, which is not needed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.view.path import CameraPath, Key, PathStyle
from app.view.path_formats.checks import (
    FilePath,
    PathFrame,
    above_zero,
    flag,
    fov_rad,
    listed,
    number,
    numbers,
)
from app.view.rotations import matrix_from_quaternion, quaternion_from_matrix
from engine.conventions import move_pose
from engine.errors import UserError

FORMAT = "instant-ngp"
SMOOTH, STRAIGHT = 3, 1  # spline orders: cubic B-spline, straight lines
_SECONDS_A_KEY = 1.0  # where the file says neither when nor how long


def recognises(content: dict[str, Any]) -> bool:
    """Return whether this is a camera path of instant-ngp."""
    return isinstance(content.get("path"), list)


def from_json(file: str, content: dict[str, Any], frame: PathFrame) -> FilePath:
    """Return the path that a file holds; its keys are kept as keys."""
    entries, notes = listed(file, content, "path"), []
    order = number(file, content, "spline_order", SMOOTH)
    if order not in (0, 1, 2, 3):
        raise UserError(f"{file} must have a 'spline_order' of 0, 1, 2 or 3, got {order:g}.")
    if order >= 2:
        notes.append(
            "instant-ngp smooths this path, which passes near its keys there; here it goes through every one."
        )
    elif order == 0:
        notes.append("instant-ngp jumps from key to key of this path; here it moves smoothly.")
    loop = flag(file, content, "loop")
    times, end = _times(file, content, entries, loop, notes)
    keys = [_key(file, i, entry, times[i], frame) for i, entry in enumerate(entries)]
    style = PathStyle(loop=loop, loop_s=end - times[-1]) if loop and len(keys) > 1 else PathStyle()
    notes.append(
        f"Read with scale {frame.ngp_scale:g} and offset {', '.join(f'{x:g}' for x in frame.ngp_offset)} of the "
        "dataset in instant-ngp; the file does not say."
    )
    return FilePath(CameraPath(keys, style), FORMAT, tuple(notes))


def to_json(
    path: CameraPath, frame: PathFrame, samples_per_s: float | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a file of the path holds, and what it does not.

    With `samples_per_s` the motion is written as that many keys a second with straight lines between them, so that
    instant-ngp follows it exactly; otherwise the keys are, and instant-ngp passes near them.
    """
    notes, times, keys = [], path.key_times_s - path.start_s, path.keys
    order = SMOOTH
    if samples_per_s is not None and path.duration_s > 0.0:
        n = max(2, round(path.duration_s * samples_per_s) + 1)
        times = np.linspace(0.0, path.duration_s, n)[: n - 1 if path.closed else n]
        poses, fovs = path.sample(times + path.start_s)
        keys, order = [Key(0.0, pose, float(fov)) for pose, fov in zip(poses, fovs)], STRAIGHT
    else:
        notes.append("instant-ngp smooths its paths: it will pass near the keys, not through them.")
        if any(key.easing != "auto" for key in keys):
            notes.append("instant-ngp has no easing of keys; it was left out.")
        if path.style.tension > 0.0:
            notes.append("instant-ngp has no tension; it was left out.")
    after = np.append(times[1:], path.duration_s)  # when the segment after each key ends
    if not path.closed:
        after[-1] = times[-1] + (times[-1] - times[-2] if len(times) > 1 else _SECONDS_A_KEY)
    entries = [_entry(key, stamp, frame) for key, stamp in zip(keys, after)]
    seconds = path.duration_s if path.duration_s > 0.0 else _SECONDS_A_KEY
    head = {"loop": path.closed, "time": 0.0, "duration_seconds": seconds, "spline_order": order}
    return head | {"path": entries}, tuple(notes)


def _times(
    file: str, content: dict[str, Any], entries: list[dict[str, Any]], loop: bool, notes: list[str]
) -> tuple[np.ndarray, float]:
    """Return the times of the keys [n] in seconds, and when the segment after the last one ends."""
    stamps = np.array([number(f"{file}: key {i + 1}", e, "timestamp", 0.0) for i, e in enumerate(entries)])
    n = len(stamps)
    whole = number(file, content, "duration_seconds", 0.0)
    if whole < 0.0:
        above_zero(file, "duration_seconds", whole)
    if np.any(np.diff(np.append(0.0, stamps)) <= 0.0):
        stamps = _SECONDS_A_KEY * np.arange(1.0, n + 1.0)
        if n > 1:
            notes.append("The timestamps do not rise, so that the keys stand evenly, as in instant-ngp.")
    times = np.append(0.0, stamps[:-1])
    end = stamps[-1] if loop else times[-1]
    factor = whole / end if whole > 0.0 and end > 0.0 else 1.0
    return times * factor, float(stamps[-1] * factor)


def _key(file: str, index: int, entry: dict[str, Any], time_s: float, frame: PathFrame) -> Key:
    where = f"{file}: key {index + 1}"
    x, y, z, w = numbers(where, entry, "R", (4,))
    length = float(np.linalg.norm([x, y, z, w]))
    if length < 1e-6:
        raise UserError(
            f"{where} must have a rotation 'R' that is no zero quaternion, got {entry['R']!r:.60}."
        )
    pose = np.eye(4)
    pose[:3, :3] = matrix_from_quaternion(np.array([w, x, y, z]))
    pose[:3, 3] = numbers(where, entry, "T", (3,))
    fov = fov_rad(where, number(where, entry, "fov"), "fov")
    return Key(float(time_s), move_pose(np.linalg.inv(frame.ngp_from_data), pose), fov)


def _entry(key: Key, stamp: float, frame: PathFrame) -> dict[str, Any]:
    pose = move_pose(frame.ngp_from_data, key.world_from_cam)
    w, x, y, z = quaternion_from_matrix(pose[:3, :3]).tolist()
    return {
        "R": [x, y, z, w],
        "T": pose[:3, 3].tolist(),
        "fov": float(np.degrees(key.fov_y_rad)),
        "scale": 1.0,
        "slice": 0.0,
        "aperture_size": 0.0,
        "timestamp": float(stamp),
    }
