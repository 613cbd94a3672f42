# SPDX-License-Identifier: MIT
"""Camera paths of nerfstudio: keyframes for its editor and every frame for its renderer, OpenGL axes, its own frame.

{"default_fov": 50.0, "default_transition_sec": 2.0, "keyframes": [{"matrix": [16 numbers, rows], "fov": 50.0,
 "aspect": 1.78, "override_transition_enabled": true, "override_transition_sec": 1.5}, ...],
 "camera_type": "perspective", "render_height": 720, "render_width": 1280, "fps": 30, "seconds": 4.0,
 "is_cycle": false, "smoothness_value": 0.0, "camera_path": [{"camera_to_world": [16], "fov": 50.0, "aspect": 1.78}]}

A key's transition time leads *to* it; that of the first key is the way back of a cycle. Fields of view are vertical
degrees. The renderer goes by the frames, fps = frames / seconds; the editor by the keyframes.
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
    pose,
)
from app.view.path_record import from_recording
from engine.conventions import move_pose, opencv_from_opengl, opengl_from_opencv
from engine.errors import UserError

FORMAT = "nerfstudio"
TRANSITION_S = 2.0  # nerfstudio's own, where a file has none
MAX_FRAMES = 100_000
FRAMES_TOLERANCE = 1e-3  # of the way: how near keys that are made of frames follow them


def recognises(content: dict[str, Any]) -> bool:
    """Return whether this is a camera path of nerfstudio, with keyframes or with frames only."""
    return any(isinstance(content.get(name), list) for name in ("keyframes", "camera_path"))


def from_json(file: str, content: dict[str, Any], frame: PathFrame) -> FilePath:
    """Return the path that a file holds: its keyframes, or keys that follow its frames."""
    notes: list[str] = []
    kind = content.get("camera_type", "perspective")
    if kind != "perspective":
        notes.append(f"The cameras of the file are of type {kind!r:.30}; perspective ones are made of them.")
    if content.get("crop") is not None:
        notes.append("The file crops the scene; that was left out.")
    seconds = number(file, content, "seconds", 0.0)
    style = PathStyle(tension=float(np.clip(number(file, content, "smoothness_value", 0.0), 0.0, 1.0)))
    if content.get("keyframes"):
        path = _from_keyframes(file, content, style, frame)
    else:
        path = _from_frames(file, content, seconds, frame, notes)
    frames = content.get("camera_path")
    fps = number(file, content, "fps", 0.0)
    if isinstance(frames, list) and frames and seconds > 0.0:
        fps = len(frames) / seconds
    width, height = (number(file, content, f"render_{side}", 0.0) for side in ("width", "height"))
    size = (int(width), int(height)) if min(width, height) >= 1.0 else None
    if any(entry.get("override_time_enabled") for entry in content.get("keyframes") or ()):
        notes.append("The keys of the file have scene times; there is one time only, so they were left out.")
    return FilePath(path, FORMAT, tuple(notes), size, fps if fps > 0.0 else None)


def to_json(
    path: CameraPath, frame: PathFrame, size: tuple[int, int], fps: float
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a file of the path holds, and what it does not."""
    width, height = size
    times, notes = path.key_times_s, []
    if any(key.easing != "auto" for key in path.keys):
        notes.append(
            "nerfstudio has no easing of keys: the frames of the file have it, its keyframes do not."
        )
    if path.style.constant_speed:
        notes.append(
            "nerfstudio has no constant speed: its keyframes have the times at which they are passed."
        )
    gaps = np.diff(times).tolist()
    usual = float(np.median(gaps)) if gaps else TRANSITION_S
    leading = [path.end_s - times[-1] if path.closed else None, *gaps]
    n = int(fps * path.duration_s + 1e-6)
    if n > MAX_FRAMES:
        raise UserError(f"A file of nerfstudio holds at most {MAX_FRAMES:,} frames, and the path has {n:,}.")
    n = max(1, n)
    poses, fovs = path.sample(path.start_s + np.arange(n) / n * path.duration_s)
    aspect = width / height
    frames = [
        {"camera_to_world": _matrix(place, frame), "fov": float(np.degrees(fov)), "aspect": aspect}
        for place, fov in zip(poses, fovs)
    ]
    content = {
        "default_fov": float(np.degrees(np.median([key.fov_y_rad for key in path.keys]))),
        "default_transition_sec": usual,
        "keyframes": [_keyframe(key, to, aspect, frame) for key, to in zip(path.keys, leading)],
        "camera_type": "perspective",
        "render_height": height,
        "render_width": width,
        "fps": fps,
        "seconds": path.duration_s if path.duration_s > 0.0 else 1.0 / fps,
        "is_cycle": path.closed,
        "smoothness_value": path.style.tension,
        "camera_path": frames,
    }
    return content, tuple(notes)


def _from_keyframes(file: str, content: dict[str, Any], style: PathStyle, frame: PathFrame) -> CameraPath:
    entries = listed(file, content, "keyframes")
    usual_s = above_zero(
        file, "default_transition_sec", number(file, content, "default_transition_sec", TRANSITION_S)
    )
    usual_fov = content.get("default_fov")
    keys, leading, time_s = [], [], 0.0
    for i, entry in enumerate(entries):
        where = f"{file}: key {i + 1}"
        leading.append(usual_s)
        if flag(where, entry, "override_transition_enabled"):
            name = "override_transition_sec"
            leading[-1] = above_zero(where, name, number(where, entry, name))
        time_s += leading[-1] if i > 0 else 0.0
        fov = fov_rad(where, number(where, {"fov": usual_fov} | entry, "fov"), "fov")
        keys.append(Key(time_s, _pose(where, entry, "matrix", frame), fov))
    if flag(file, content, "is_cycle"):
        style = PathStyle(style.tension, True, leading[0])
    return CameraPath(keys, style)


def _from_frames(
    file: str, content: dict[str, Any], seconds: float, frame: PathFrame, notes: list[str]
) -> CameraPath:
    entries = listed(file, content, "camera_path")
    above_zero(file, "seconds", seconds)
    samples = []
    for i, entry in enumerate(entries):
        where = f"{file}: frame {i + 1}"
        fov = fov_rad(where, number(where, entry, "fov", content.get("default_fov")), "fov")
        place = _pose(where, entry, "camera_to_world", frame)
        samples.append(Key(seconds * i / len(entries), place, fov))
    places = np.array([sample.position for sample in samples])
    way = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    path = from_recording(samples, FRAMES_TOLERANCE * way)
    notes.append(
        f"The file has no keyframes: {len(path.keys):,} keys were made of its {len(samples):,} frames."
    )
    return path


def _pose(where: str, entry: dict[str, Any], name: str, frame: PathFrame) -> np.ndarray:
    matrix = pose(where, name, numbers(where, entry, name, (16,)).reshape(4, 4))
    return opencv_from_opengl(move_pose(np.linalg.inv(frame.nerfstudio_from_data), matrix))


def _matrix(world_from_cam: np.ndarray, frame: PathFrame) -> list[float]:
    return move_pose(frame.nerfstudio_from_data, opengl_from_opencv(world_from_cam)).ravel().tolist()


def _keyframe(key: Key, leading_s: float | None, aspect: float, frame: PathFrame) -> dict[str, Any]:
    return {
        "matrix": _matrix(key.world_from_cam, frame),
        "fov": float(np.degrees(key.fov_y_rad)),
        "aspect": aspect,
        "override_transition_enabled": leading_s is not None,
        "override_transition_sec": leading_s,
    }
