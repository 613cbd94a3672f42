# SPDX-License-Identifier: MIT
"""Edits of a camera path, as pure functions: a path in, another path out, None where no key is left.

Keys are named by their place in `path.keys`. Times are those of the keys; only where a function says *playing
time* it means the moment that the timeline shows, which differs where a path runs at constant speed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from app.view.path import CameraPath, Key
from app.view.rotations import (
    aligned,
    matrix_from_quaternion,
    quaternion_from_matrix,
    slerp,
)
from engine.conventions import move_pose, similarity
from engine.errors import UserError

DEFAULT_GAP_S = 2.0
LEAST_GAP_S = 0.02  # between two keys that are moved
GAPS_BY_DISTANCE_S = (0.25, 20.0)


def insert_key(path: CameraPath | None, key: Key) -> CameraPath:
    """Return the path with a key more, whose `time_s` is a playing time; a key that stands there is replaced."""
    if path is None:
        return CameraPath([key])
    time_s = own_time(path, key.time_s)
    near = [other for other in path.keys if abs(other.time_s - time_s) < 0.5 * LEAST_GAP_S]
    others = [other for other in path.keys if abs(other.time_s - time_s) >= 0.5 * LEAST_GAP_S]
    longer = path.with_keys([*others, replace(key, time_s=near[0].time_s if near else time_s)])
    if path.closed and path.keys[-1].time_s < time_s < path.end_s:  # on the way back, which is as long in all
        return longer.with_style(loop_s=max(path.end_s - longer.keys[-1].time_s, LEAST_GAP_S))
    return longer


def append_view(
    path: CameraPath | None, world_from_cam: np.ndarray, fov_y_rad: float, gap_s: float | None = None
) -> CameraPath:
    """Return the path with a key after the last one.

    Without `gap_s` the new key comes as long after the last as its distance takes at the path's mean speed,
    or DEFAULT_GAP_S later where there is no speed to go by.
    """
    if path is None:
        return CameraPath([Key(0.0, world_from_cam, fov_y_rad)])
    if gap_s is None:
        gap_s = _gap_by_distance(path, world_from_cam)
    return path.with_keys([*path.keys, Key(path.keys[-1].time_s + gap_s, world_from_cam, fov_y_rad)])


def delete(path: CameraPath, indices: Iterable[int]) -> CameraPath | None:
    """Return the path without some keys."""
    gone = set(indices)
    left = [key for i, key in enumerate(path.keys) if i not in gone]
    return path.with_keys(left) if left else None


def duplicate(path: CameraPath, indices: Iterable[int]) -> CameraPath:
    """Return the path with copies of some keys behind the last of them; what comes after moves on to make room."""
    chosen = sorted(set(indices))
    if not chosen:
        return path
    first, last = path.keys[chosen[0]].time_s, path.keys[chosen[-1]].time_s
    return _put_behind(
        path, [path.keys[i] for i in chosen], chosen[-1], last + gap_after(path, chosen[-1]) - first
    )


def retime(path: CameraPath, indices: Iterable[int], delta_s: float, ripple: bool = False) -> CameraPath:
    """Return the path with keys moved in time, as far as their neighbours let them: the order stays.

    With `ripple`, all keys after the first moved one move along.
    """
    chosen = set(indices)
    if not chosen:
        return path
    if ripple:
        chosen = set(range(min(chosen), len(path.keys)))
    times = [key.time_s for key in path.keys]
    for i in chosen:
        if i > 0 and i - 1 not in chosen:
            delta_s = max(delta_s, min(0.0, times[i - 1] + LEAST_GAP_S - times[i]))
        if i + 1 < len(times) and i + 1 not in chosen:
            delta_s = min(delta_s, max(0.0, times[i + 1] - LEAST_GAP_S - times[i]))
    keys = [replace(k, time_s=k.time_s + delta_s) if i in chosen else k for i, k in enumerate(path.keys)]
    return path.with_keys(keys)


def set_pose(path: CameraPath, index: int, world_from_cam: np.ndarray) -> CameraPath:
    """Return the path with a key elsewhere."""
    return _changed(path, [index], world_from_cam=np.asarray(world_from_cam, dtype=np.float64))


def set_fov(path: CameraPath, indices: Iterable[int], fov_y_rad: float) -> CameraPath:
    """Return the path with another vertical field of view at some keys."""
    return _changed(path, indices, fov_y_rad=float(fov_y_rad))


def set_easing(path: CameraPath, indices: Iterable[int], easing: str) -> CameraPath:
    """Return the path with another easing, of `path.EASINGS`, at some keys."""
    return _changed(path, indices, easing=easing)


def set_style(path: CameraPath, **changes: object) -> CameraPath:
    """Return the path with another tension, loop, loop_s or constant_speed."""
    return path.with_style(**changes)


def split(path: CameraPath, time_s: float) -> CameraPath:
    """Return the path with a key more, where the camera is at a playing time between two keys."""
    if not path.start_s < time_s < path.end_s:
        raise UserError(
            f"A key can be put in between {path.start_s:g} s and {path.end_s:g} s, where the path runs, "
            f"not at {time_s:g} s."
        )
    here = path.at(time_s)
    return path if any(here is key for key in path.keys) else insert_key(path, replace(here, time_s=time_s))


def reverse(path: CameraPath) -> CameraPath:
    """Return the path played backward, in the same time. A key that holds, holds where it is left then."""
    keys, ends = path.keys, path.keys[0].time_s + path.keys[-1].time_s
    n = len(keys)
    mirrored = []
    for i, key in enumerate(keys):
        before = keys[i - 1].easing if i > 0 or path.closed else "auto"
        easing = "hold" if before == "hold" else "auto" if key.easing == "hold" else key.easing
        mirrored.append(replace(key, time_s=ends - key.time_s, easing=easing if n > 1 else key.easing))
    return path.with_keys(mirrored)


def scale_time(path: CameraPath, duration_s: float) -> CameraPath:
    """Return the path in another time from beginning to end; a loop's way back is part of that."""
    if not 0.0 < duration_s < np.inf:
        raise UserError(f"A path must take more than 0 s, got {duration_s:g}.")
    if path.duration_s <= 0.0:
        return path
    factor, start = duration_s / path.duration_s, path.start_s
    keys = [replace(key, time_s=start + factor * (key.time_s - start)) for key in path.keys]
    return CameraPath(keys, replace(path.style, loop_s=path.style.loop_s * factor))


def paste(path: CameraPath | None, copied: CameraPath, at_s: float) -> CameraPath:
    """Return the path with the keys of another one, the first at a playing time; later keys move on to make room.

    Into no path the copied one goes whole, with its style.
    """
    if path is None:
        return retime(copied, range(len(copied.keys)), at_s - copied.start_s)
    at_s = own_time(path, at_s)
    behind = sum(key.time_s < at_s - 0.5 * LEAST_GAP_S for key in path.keys) - 1
    return _put_behind(path, list(copied.keys), behind, at_s - copied.start_s)


def transformed(path: CameraPath, target_from_source: np.ndarray) -> CameraPath:
    """Return the whole path under a similarity [4,4]: moved, turned, scaled; its axes stay unit vectors."""
    poses = move_pose(target_from_source, np.array([key.world_from_cam for key in path.keys]))
    return path.with_keys([replace(key, world_from_cam=pose) for key, pose in zip(path.keys, poses)])


def moved(path: CameraPath, offset: np.ndarray) -> CameraPath:
    """Return the whole path elsewhere, by `offset [3]`."""
    return transformed(path, similarity(1.0, offset))


def scaled(path: CameraPath, factor: float, pivot: np.ndarray | None = None) -> CameraPath:
    """Return the whole path larger or smaller about `pivot [3]`, the middle of its keys if none is given."""
    if not 0.0 < factor < np.inf:
        raise UserError(f"A path can be scaled by a number above 0, got {factor:g}.")
    pivot = middle(path) if pivot is None else np.asarray(pivot, dtype=np.float64)
    return transformed(path, similarity(factor, pivot * (1.0 - factor)))


def smoothed(path: CameraPath, amount: float = 0.5, indices: Iterable[int] | None = None) -> CameraPath:
    """Return the path with its keys moved towards where their neighbours alone would put them.

    The ends of an open path stay. `amount` 0..1 is the share of the way; `indices` are all keys if not given.
    """
    chosen = range(len(path.keys)) if indices is None else set(indices)
    n, times = len(path.keys), [key.time_s for key in path.keys]
    keys = list(path.keys)
    for i in chosen:
        if n < 3 or not (path.closed or 0 < i < n - 1):
            continue
        before, key, after = path.keys[i - 1], path.keys[i], path.keys[(i + 1) % n]
        gaps = times[i] - times[i - 1], times[(i + 1) % n] - times[i]
        left, right = (gap if gap > 0.0 else path.style.loop_s for gap in gaps)
        between = _mixed(before, after, left / (left + right))
        keys[i] = replace(_mixed(key, between, amount), time_s=key.time_s, easing=key.easing)
    return path.with_keys(keys)


def middle(path: CameraPath) -> np.ndarray:
    """Return the middle [3] of the box round all keys."""
    places = np.array([key.position for key in path.keys])
    return 0.5 * (places.min(axis=0) + places.max(axis=0))


def own_time(path: CameraPath, playing_s: float) -> float:
    """Return the time among the keys' own that belongs to a playing time; they differ at constant speed only."""
    playing = path.key_times_s
    own = np.array([key.time_s for key in path.keys])
    if path.closed:
        playing, own = np.append(playing, path.end_s), np.append(own, path.end_s)
    if playing[0] <= playing_s <= playing[-1]:
        return float(np.interp(playing_s, playing, own))
    return float(playing_s)  # both begin and end together


def gap_after(path: CameraPath, index: int) -> float:
    """Return the seconds from a key to the next one, after the last one those from the one before, else the default."""
    times = [key.time_s for key in path.keys]
    if len(times) == 1:
        return DEFAULT_GAP_S
    return times[index + 1] - times[index] if index + 1 < len(times) else times[index] - times[index - 1]


def _changed(path: CameraPath, indices: Iterable[int], **values: object) -> CameraPath:
    chosen = set(indices)
    return path.with_keys([replace(k, **values) if i in chosen else k for i, k in enumerate(path.keys)])


def _put_behind(path: CameraPath, copies: list[Key], index: int, shift_s: float) -> CameraPath:
    """Return the path with `copies`, moved by `shift_s`, behind key `index`; later keys move on if they must."""
    new = [replace(key, time_s=key.time_s + shift_s) for key in copies]
    before, after = path.keys[: index + 1], path.keys[index + 1 :]
    room = new[-1].time_s + (gap_after(path, index) if index >= 0 else DEFAULT_GAP_S)
    on = max(0.0, room - after[0].time_s) if after else 0.0
    return path.with_keys([*before, *new, *(replace(key, time_s=key.time_s + on) for key in after)])


def _gap_by_distance(path: CameraPath, world_from_cam: np.ndarray) -> float:
    places = np.array([key.position for key in path.keys])
    way = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    seconds = path.keys[-1].time_s - path.keys[0].time_s
    distance = np.linalg.norm(world_from_cam[:3, 3] - places[-1])
    if way <= 0.0 or distance <= 0.0:
        return DEFAULT_GAP_S
    return float(np.clip(distance * seconds / way, *GAPS_BY_DISTANCE_S))


def _mixed(a: Key, b: Key, share: float) -> Key:
    """Return the view at `share` of the way from one key to another."""
    pose = np.eye(4)
    pose[:3, 3] = (1.0 - share) * a.position + share * b.position
    first, second = (quaternion_from_matrix(key.world_from_cam[:3, :3]) for key in (a, b))
    pose[:3, :3] = matrix_from_quaternion(slerp(first, aligned(second, first), share))
    return replace(a, world_from_cam=pose, fov_y_rad=(1.0 - share) * a.fov_y_rad + share * b.fov_y_rad)
