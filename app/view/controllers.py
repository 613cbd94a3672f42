# SPDX-License-Identifier: MIT
"""From mouse and keys to the viewport's camera: orbit, look, pan, dolly, fly, frame, jump. Knows no window.

The viewport reports presses, moves, wheel steps and held keys, then calls `update(dt)` once a frame. Turning
and dollying are eased but lose nothing: what a drag asks for is applied to the last bit. Panning is exact at
once, so that the point under the cursor stays there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from app.view.camera import ViewCamera
from app.view.rotations import (
    aligned,
    axis_angle_matrix,
    matrix_from_quaternion,
    orthonormal,
    quaternion_from_matrix,
    slerp,
)
from engine.cameras import Camera

ORBIT, LOOK, PAN = "left", "right", "middle"

TURN_RAD_PER_PX = 0.005
TURN_DAMPING = 25.0  # 1/s: a drag is caught up with in about 40 ms
DOLLY_DAMPING = 18.0
DOLLY_STEP = 0.1  # of the distance, per wheel notch
FLY_DAMPING = 7.0
FLY_FAST = 4.0
MAX_DT_S = 1 / 30  # a hiccup of the window must not throw the camera across the scene
POLE_LIMIT_RAD = np.radians(89.0)  # a turntable has no yaw at the pole
MIN_DISTANCE = 0.01
TRANSITION_S = 0.3

_FLY_KEYS = {
    "w": (0, 0, -1), "s": (0, 0, 1), "a": (-1, 0, 0), "d": (1, 0, 0), "q": (0, -1, 0), "e": (0, 1, 0)
}  # right, up, back  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Transition:
    start: ViewCamera
    end: ViewCamera
    elapsed_s: float = 0.0

    def camera(self) -> ViewCamera:
        """Return the camera between; the pivot moves straight, so that what is looked at stays in sight."""
        s = min(1.0, self.elapsed_s / TRANSITION_S)
        if s >= 1.0:
            return self.end
        s = s * s * (3.0 - 2.0 * s)
        a, b = self.start, self.end
        qa = quaternion_from_matrix(a.rotation)
        rotation = matrix_from_quaternion(slerp(qa, aligned(quaternion_from_matrix(b.rotation), qa), s))
        distance = (1.0 - s) * a.distance + s * b.distance
        pivot = (1.0 - s) * a.pivot + s * b.pivot
        fov = (1.0 - s) * a.fov_y_rad + s * b.fov_y_rad
        between = replace(b, distance=distance, lens=None, fov_y_rad=fov)
        return between.moved(pivot + distance * rotation[:, 2], rotation)


class CameraController:
    """Owns the viewport's camera and moves it. Call from the window's thread."""

    def __init__(self, home: ViewCamera, fly_speed: float = 0.5) -> None:
        self.fly_speed = fly_speed  # engine units per second
        self.camera = home
        self._home = home
        self._width, self._height = 1, 1
        self._button: str | None = None
        self._grab_depth = home.distance
        self._pending_turn = np.zeros(2)  # yaw, pitch in radians still to be applied
        self._turn_about_pivot = True
        self._pending_dolly = 0.0  # log of the distance factor still to be applied
        self._dolly_anchor = home.pivot
        self._keys: frozenset[str] = frozenset()
        self._velocity = np.zeros(3)
        self._stick_move, self._stick_turn = np.zeros(3), np.zeros(2)
        self._transition: _Transition | None = None
        self._changed = True

    @property
    def dragging(self) -> bool:
        """Whether a mouse button holds the camera."""
        return self._button is not None

    def resize(self, width: int, height: int) -> None:
        """Say how large the viewport is, in the pixels that the mouse is measured in."""
        size = max(1, width), max(1, height)
        if size != (self._width, self._height):
            self._width, self._height = size
            self._changed = True

    def set_home(self, home: ViewCamera, go: bool = True) -> None:
        """Say where `reset` leads to, for a new scene; `go` there at once."""
        self._home = home
        if go:
            self._go(home, smooth=False)

    def look_over(self, camera: ViewCamera) -> ViewCamera:
        """Go to a camera at once, home staying where it is; return it."""
        self._go(camera, smooth=False)
        return camera

    def carry(self, new_from_old: np.ndarray) -> None:
        """Stay at the same place of a scene whose units [4,4] have become others."""
        self._settle()
        scale = float(np.cbrt(np.linalg.det(new_from_old[:3, :3])))
        place = new_from_old[:3, :3] @ self.camera.position + new_from_old[:3, 3]
        self._set(replace(self.camera.moved(place), distance=self.camera.distance * scale))

    # --- the mouse ------------------------------------------------------------------------------------------

    def press(self, button: str, depth_z: float | None = None) -> None:
        """Begin a drag: left orbits, right looks, middle pans. `depth_z` is the scene's under the cursor."""
        self._settle()
        self._button = button
        known = depth_z is not None and np.isfinite(depth_z) and depth_z > 0.0
        self._grab_depth = float(depth_z) if known else self.camera.distance

    def drag(self, dx: float, dy: float) -> None:
        """Move the mouse by pixels (y down) while a button is held."""
        if self._button == PAN:
            fx, fy, _, _ = self.camera.intrinsics(self._width, self._height)
            right, up, _ = self.camera.rotation.T
            shift = self._grab_depth * (-dx / fx * right + dy / fy * up)
            self._set(self.camera.moved(self.camera.position + shift))
        elif self._button in (ORBIT, LOOK):
            self._turn_about_pivot = self._button == ORBIT
            self._pending_turn -= TURN_RAD_PER_PX * np.array([dx, dy])

    def release(self, button: str | None = None) -> None:
        """End the drag; other buttons than the one that holds the camera are ignored."""
        if button is None or button == self._button:
            self._button = None

    def wheel(
        self, notches: float, cursor: tuple[float, float] | None = None, depth_z: float | None = None
    ) -> None:
        """Dolly in (positive) or out by a share of the distance to what the cursor is on, or to the pivot."""
        self._transition = None
        anchor = self.camera.pivot
        if cursor is not None and depth_z is not None and np.isfinite(depth_z) and depth_z > 0.0:
            anchor = self.camera.point_at(*cursor, depth_z, self._width, self._height)
        self._dolly_anchor = anchor
        self._pending_dolly += notches * np.log(1.0 - DOLLY_STEP)

    # --- keys -----------------------------------------------------------------------------------------------

    def hold(self, keys: Collection[str]) -> None:
        """Say which keys are down now: of "w a s d q e" and "shift". Others are ignored."""
        self._keys = frozenset(keys)

    def push(self, move: np.ndarray, turn: np.ndarray) -> None:
        """Say how sticks are pushed now: `move [3]` right, up, back in -1..1 of the flying speed; `turn [2]` left, up, rad/s."""
        self._stick_move, self._stick_turn = move, turn

    def lose_focus(self) -> None:
        """Let go of every key and button: their releases will not be reported any more."""
        self._keys = frozenset()
        self._button = None

    # --- places ---------------------------------------------------------------------------------------------

    def jump(self, capture: Camera, smooth: bool = False) -> None:
        """Go into a capture view, bit for bit its pose and lens. The pivot is put abreast of the home's."""
        forward = capture.world_from_cam[:3, 2]
        distance = max(0.1 * self._home.distance, float((self._home.pivot - capture.position) @ forward))
        self._go(ViewCamera.from_capture(capture, self._home.up, distance), smooth)

    def frame(self, centre: np.ndarray, radius: float, smooth: bool = False) -> None:
        """Look at a ball from the present side, so that it just fits, with a level horizon."""
        fx, fy, _, _ = self.camera.intrinsics(self._width, self._height)
        half_fov = np.arctan(min(0.5 * self._width / fx, 0.5 * self._height / fy))
        position = np.asarray(centre) - radius / np.sin(half_fov) * self.camera.forward
        fov = self.camera.effective_fov_y(self._width, self._height)
        self._go(ViewCamera.looking_at(position, centre, self.camera.up, fov), smooth)

    def reset(self, smooth: bool = False) -> None:
        """Go home."""
        self._go(self._home, smooth)

    def set_fov(self, fov_y_rad: float) -> None:
        """Take a plain lens of a vertical field of view."""
        self._transition = None
        self._set(self.camera.with_fov(fov_y_rad))

    # --- time -----------------------------------------------------------------------------------------------

    def update(self, dt: float) -> bool:
        """Let `dt` seconds pass; return whether the camera differs from the last update's."""
        dt = min(max(dt, 0.0), MAX_DT_S)
        if self._transition is not None and (self._fly_direction() is not None or self._stick_move.any()):
            self._transition = None
        if self._stick_turn.any():
            self._transition, self._turn_about_pivot = None, False
            self._pending_turn += dt * self._stick_turn
        if self._transition is not None:
            self._transition = replace(self._transition, elapsed_s=self._transition.elapsed_s + dt)
            self._set(self._transition.camera())
            if self.camera is self._transition.end:
                self._transition = None
        self._apply_turn(1.0 - np.exp(-TURN_DAMPING * dt))
        self._apply_dolly(1.0 - np.exp(-DOLLY_DAMPING * dt))
        self._fly(dt)
        changed, self._changed = self._changed, False
        return changed

    def _set(self, camera: ViewCamera) -> None:
        self.camera = camera
        self._changed = True

    def _settle(self) -> None:
        """Take the easing's remainder at once and leave any transition, before something new begins."""
        self._transition = None
        self._apply_turn(1.0)
        self._apply_dolly(1.0)

    def _go(self, target: ViewCamera, smooth: bool) -> None:
        self._pending_turn[:] = 0.0
        self._pending_dolly = 0.0
        self._velocity[:] = 0.0
        self._transition = None
        if smooth:
            start = self.camera.with_fov(self.camera.effective_fov_y(self._width, self._height))
            self._transition = _Transition(start, target)
        else:
            self._set(target)

    def _apply_turn(self, share: float) -> None:
        if not self._pending_turn.any():
            return
        share = 1.0 if np.abs(self._pending_turn).max() < 1e-4 else share
        yaw, pitch = share * self._pending_turn
        self._pending_turn = (1.0 - share) * self._pending_turn
        camera, pivot = self.camera, self.camera.pivot
        elevation = np.arcsin(np.clip(camera.forward @ camera.up, -1.0, 1.0))
        # A capture view may look straighter up or down than a drag can: it may come back, not go further.
        low, high = min(-POLE_LIMIT_RAD, elevation), max(POLE_LIMIT_RAD, elevation)
        wanted = elevation + pitch
        if not low <= wanted <= high:
            self._pending_turn[1] = 0.0
        pitch = np.clip(wanted, low, high) - elevation
        level = np.cross(camera.forward, camera.up)  # not the camera's right: a rolled view keeps its roll
        length = np.linalg.norm(level)
        level = level / length if length > 1e-6 else camera.rotation[:, 0]
        turn = axis_angle_matrix(camera.up, yaw) @ axis_angle_matrix(level, pitch)
        rotation = orthonormal(turn @ camera.rotation)
        position = pivot + camera.distance * rotation[:, 2] if self._turn_about_pivot else camera.position
        self._set(camera.moved(position, rotation))

    def _apply_dolly(self, share: float) -> None:
        if self._pending_dolly == 0.0:
            return
        share = 1.0 if abs(self._pending_dolly) < 1e-4 else share
        factor = float(np.exp(share * self._pending_dolly))
        self._pending_dolly *= 1.0 - share
        camera = self.camera
        position = self._dolly_anchor + factor * (camera.position - self._dolly_anchor)
        self._set(replace(camera.moved(position), distance=max(MIN_DISTANCE, camera.distance * factor)))

    def _fly_direction(self) -> np.ndarray | None:
        pushes = [_FLY_KEYS[key] for key in self._keys if key in _FLY_KEYS]
        x, y, z = np.sum(pushes, axis=0) if pushes else (0, 0, 0)
        if x == y == z == 0:
            return None
        camera = self.camera
        direction = x * camera.rotation[:, 0] + z * camera.rotation[:, 2] + y * camera.up
        length = np.linalg.norm(direction)
        return direction / length if length > 1e-6 else None

    def _fly(self, dt: float) -> None:
        direction = self._fly_direction()
        if self._stick_move.any():
            right, up, back = self._stick_move
            axes = self.camera.rotation
            stick = right * axes[:, 0] + up * self.camera.up + back * axes[:, 2]
            direction = stick if direction is None else direction + stick
        if direction is None and not self._velocity.any():
            return
        speed = self.fly_speed * (FLY_FAST if "shift" in self._keys else 1.0)
        target = np.zeros(3) if direction is None else speed * direction
        self._velocity += (1.0 - np.exp(-FLY_DAMPING * dt)) * (target - self._velocity)
        if direction is None and np.linalg.norm(self._velocity) < 0.005 * self.fly_speed:
            self._velocity[:] = 0.0
            return
        self._set(self.camera.moved(self.camera.position + dt * self._velocity))
