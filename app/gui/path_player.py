# SPDX-License-Identifier: MIT
"""The camera on its path: looking from a moment of it, playing it in real time, writing down how somebody flies.

Whoever takes the camera, with the mouse, a key or a jump, ends the playing: the camera is then another than the one that
was set last. Knows no widgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from app.session import Session
from app.view.camera import ViewCamera
from app.view.controllers import CameraController
from app.view.path import Key
from engine.cameras import Camera
from engine.conventions import opencv_from_opengl

MAX_DT_S = 0.25  # a hiccup of the window holds the path up, it does not skip a part of it
RECORD_EVERY_S = 1 / 20
MAX_SAMPLES = 20 * 60 * 5  # five minutes

Size = tuple[int, int]


def frame_in(size: Size, aspect: float | None) -> tuple[float, float, float, float]:
    """Return x, y, width and height of the largest frame of an aspect in the middle of a viewport; None: all of it."""
    width, height = size
    if aspect is None:
        return 0.0, 0.0, float(width), float(height)
    w, h = min(float(width), height * aspect), min(float(height), width / aspect)
    return 0.5 * (width - w), 0.5 * (height - h), w, h


class PathPlayer:
    """Moves the viewport's camera along `session.path`. `update` once a turn."""

    def __init__(self, session: Session, controller: CameraController, size: Callable[[], Size]) -> None:
        self._session, self._controller, self._size = session, controller, size
        self._set_camera: ViewCamera | None = None
        self._samples: list[Key] = []
        self._recorded_s = 0.0
        self._aspect: float | None = None

    @property
    def aspect(self) -> float | None:
        """Width by height of the export, while the viewport previews it."""
        export = self._session.export
        return export.width / max(1, export.height_px) if self._session.timeline.preview else None

    @property
    def on_path(self) -> bool:
        """Whether the camera is where the path put it last."""
        return self._set_camera is not None and self._controller.camera is self._set_camera

    def view(self) -> tuple[np.ndarray, float]:
        """Return pose (OpenCV axes) and vertical field of view of what is framed now."""
        camera, size = self._controller.camera, self._size()
        focal = camera.intrinsics(*size)[1]
        height = frame_in(size, self.aspect)[3]
        return opencv_from_opengl(camera.world_from_cam), float(2.0 * np.arctan(0.5 * height / focal))

    def look(self, time_s: float) -> None:
        """Move playhead and camera to a moment of the path."""
        session, path = self._session, self._session.path
        if path is None:
            return
        session.playhead_s = float(np.clip(time_s, path.start_s, path.end_s))
        key = path.at(session.playhead_s)
        export, (width, height) = session.export, self._size()
        if session.timeline.preview:
            width, height = export.width, export.height_px
        lens = Camera.from_fov(max(1, width), max(1, height), key.fov_y_rad, key.world_from_cam)
        self._controller.jump(lens)
        self._set_camera, self._aspect = self._controller.camera, self.aspect

    def play(self) -> None:
        """Start at the playhead, or from the beginning if it stands at the end."""
        session, path = self._session, self._session.path
        if path is None:
            return
        at_end = session.playhead_s >= path.end_s - 1e-6 or session.playhead_s < path.start_s
        session.timeline.playing, session.timeline.recording = True, False
        self.look(path.start_s if at_end else session.playhead_s)

    def pause(self) -> None:
        """Stay where the camera is."""
        self._session.timeline.playing = False

    def update(self, dt: float) -> bool:
        """Let time pass; return whether the playhead moved or playing ended."""
        state, path = self._session.timeline, self._session.path
        if state.recording:
            self._record(dt)
        if self.on_path and self._aspect != self.aspect:
            self.look(self._session.playhead_s)  # the frame is another one
        if not state.playing or path is None:
            return False
        if not self.on_path or self._controller.dragging:
            state.playing = False
            return True
        time_s = self._session.playhead_s + min(max(dt, 0.0), MAX_DT_S)
        if path.closed:
            time_s = path.start_s + (time_s - path.start_s) % path.duration_s
        elif time_s >= path.end_s:
            time_s, state.playing = path.end_s, False
        self.look(time_s)
        return True

    # --- recording --------------------------------------------------------------------------------------------

    def begin_recording(self) -> None:
        """Write the camera's way down from now on."""
        self._session.timeline.recording, self._session.timeline.playing = True, False
        self._samples, self._recorded_s = [Key(0.0, *self.view())], 0.0

    def end_recording(self) -> list[Key]:
        """Return what was written down; the time before the first move and after the last one is left out."""
        self._session.timeline.recording = False
        samples, self._samples = self._samples, []
        moved = [i for i in range(1, len(samples)) if not _same(samples[i], samples[i - 1])]
        if not moved:
            return samples[:1]
        samples = samples[moved[0] - 1 : moved[-1] + 1]
        return [replace(sample, time_s=sample.time_s - samples[0].time_s) for sample in samples]

    def _record(self, dt: float) -> None:
        self._recorded_s += dt
        if self._recorded_s - self._samples[-1].time_s >= RECORD_EVERY_S and len(self._samples) < MAX_SAMPLES:
            self._samples.append(Key(self._recorded_s, *self.view()))


def _same(a: Key, b: Key) -> bool:
    return a.fov_y_rad == b.fov_y_rad and np.array_equal(a.world_from_cam, b.world_from_cam)
