# SPDX-License-Identifier: MIT
"""Which pinhole pictures make one picture of a film: moments while the shutter is open, two eyes, six sides of a cube.

A `Film` is a sequence of `Shot`s; `engine.export.developing` puts together what was rendered for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.cameras import Camera, look_at
from engine.errors import UserError

PROJECTIONS = ("normal", "side by side", "over-under", "360")
MOST_MOMENTS = 32
FACE_BORDER_PX = 2  # of a cube's side beyond its edge, so that no pixel is read from outside
_FACE_FOCAL = 0.2  # of a side, in widths of the whole: somewhat finer than the whole where it is coarsest
# Columns of each side's axes in the frame of the first: right, down, forward. Front, right, back, left, up, down.
FACES = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
        [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture: `takes[part]` are the cameras of a part, one for each moment; `size` is (width, height) of the whole.

    Colours are the mean over the moments; depth and normals are those of the middle one. Parts are eyes, left first, sides
    of a cube, or views that lie in `columns` beside one another.
    """

    takes: tuple[tuple[Camera, ...], ...]
    size: tuple[int, int]
    projection: str = "normal"
    columns: int = 1

    @classmethod
    def of(cls, camera: Camera) -> Shot:
        """Return the plain picture of a camera."""
        return cls(((camera,),), (camera.width, camera.height))

    @classmethod
    def sheet(cls, cameras: Sequence[Camera]) -> Shot:
        """Return one picture of several cameras of one size, in rows that make it about as wide as high."""
        columns = int(np.ceil(np.sqrt(len(cameras))))
        rows = -(-len(cameras) // columns)
        size = columns * cameras[0].width, rows * cameras[0].height
        return cls(tuple((camera,) for camera in cameras), size, "normal", columns)


@dataclass(frozen=True, eq=False)
class Film(Sequence[Shot]):
    """Cameras at equal intervals of time, and how each picture is taken.

    `moments` pictures are averaged over `shutter` of an interval, the camera moving between them as between neighbours.
    `eye_distance` is in engine units; eyes look in parallel, or with `focus` (engine units, 0: none) so that what is that far
    lies in the plane of the screen. In "360" the horizon is level across `up [3]`, and pictures are twice as wide as high.
    """

    cameras: Sequence[Camera]
    moments: int = 1
    shutter: float = 0.5
    projection: str = "normal"
    eye_distance: float = 0.03
    focus: float = 0.0
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if self.projection not in PROJECTIONS:
            raise UserError(
                f"The projection must be one of {', '.join(PROJECTIONS)}, got {self.projection!r}."
            )
        if not 1 <= self.moments <= MOST_MOMENTS or not 0.0 < self.shutter <= 1.0:
            raise UserError(
                f"Motion blur takes 1 to {MOST_MOMENTS} moments and a shutter above 0 up to 1, "
                f"got {self.moments} and {self.shutter:g}."
            )

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, index: int) -> Shot:  # type: ignore[override]
        moving = self._moments_of(index)
        width, height = moving[0].width, moving[0].height
        if self.projection == "360":
            sides = [cube_sides(camera, self.up, width) for camera in moving]
            return Shot(tuple(zip(*sides, strict=True)), (width, width // 2), "360")
        if self.projection == "normal":
            return Shot((moving,), (width, height))
        pairs = [eyes(camera, self.eye_distance, self.focus) for camera in moving]
        size = (2 * width, height) if self.projection == "side by side" else (width, 2 * height)
        return Shot(tuple(zip(*pairs, strict=True)), size, self.projection)

    def _moments_of(self, index: int) -> tuple[Camera, ...]:
        if self.moments == 1 or len(self.cameras) == 1:
            return (self.cameras[index],)
        offsets = self.shutter * ((np.arange(self.moments) + 0.5) / self.moments - 0.5)
        return tuple(camera_at(self.cameras, index + offset) for offset in offsets)

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of a picture."""
        return self[0].size

    def resized(self, width: int, height: int) -> Film:
        """Return the same film with less of a last row and column, or more of it: all other pixels stay as they are."""
        return replace(self, cameras=[replace(c, width=width, height=height) for c in self.cameras])

    def fingerprint(self) -> str:
        """Return a short text that differs for films that show different pictures."""
        digest = hashlib.sha256()
        for c in self.cameras:
            lens = (c.width, c.height, c.fx, c.fy, c.cx, c.cy, c.orthographic)
            digest.update(repr(tuple(float(value) for value in lens)).encode())
            digest.update(np.ascontiguousarray(c.world_from_cam, dtype=np.float64).tobytes())
        taken = (self.moments, self.shutter, self.projection, self.eye_distance, self.focus, self.up)
        digest.update(repr(tuple(str(value) for value in taken)).encode())
        return digest.hexdigest()[:16]


def camera_at(cameras: Sequence[Camera], place: float) -> Camera:
    """Return the camera at a fractional place in a sequence; beyond its ends it moves on as it moved there."""
    low = int(np.clip(np.floor(place), 0, len(cameras) - 2))
    return between(cameras[low], cameras[low + 1], place - low)


def between(a: Camera, b: Camera, share: float) -> Camera:
    """Return the camera that is at `share` of the way from one to another: straight, turning at constant speed."""
    pose = np.eye(4)
    turn = a.world_from_cam[:3, :3].T @ b.world_from_cam[:3, :3]
    pose[:3, :3] = a.world_from_cam[:3, :3] @ _power(turn, share)
    pose[:3, 3] = (1.0 - share) * a.position + share * b.position
    mixed = {n: (1.0 - share) * getattr(a, n) + share * getattr(b, n) for n in ("fx", "fy", "cx", "cy")}
    return replace(a, world_from_cam=pose, **mixed)


def _power(rotation: np.ndarray, share: float) -> np.ndarray:
    """Return `share` of a rotation [3,3] of less than half a turn, about the same axis."""
    axis = 0.5 * np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine, cosine = float(np.linalg.norm(axis)), 0.5 * (float(np.trace(rotation)) - 1.0)
    if sine < 1e-12:  # no turn, or half a turn about an axis that cannot be told
        return np.eye(3)
    x, y, z = axis / sine
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = share * np.arctan2(sine, cosine)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def eyes(camera: Camera, distance: float, focus: float = 0.0) -> tuple[Camera, Camera]:
    """Return the left and the right eye of a camera in their middle. See `Film` for `focus`."""
    right = camera.world_from_cam[:3, 0]
    found = []
    for side in (-0.5, 0.5):
        pose = camera.world_from_cam.copy()
        pose[:3, 3] += side * distance * right
        shift = side * distance * camera.fx / focus if focus > 0.0 else 0.0
        found.append(replace(camera, world_from_cam=pose, cx=camera.cx + shift))
    return found[0], found[1]


def cube_sides(camera: Camera, up: Sequence[float], width: int) -> tuple[Camera, ...]:
    """Return the six cameras whose pictures make a sphere of `width` x `width / 2` pixels; the first looks ahead, level."""
    up = np.asarray(up, dtype=np.float64)
    ahead = camera.forward - (camera.forward @ up) / (up @ up) * up
    if np.linalg.norm(ahead) < 1e-6:  # straight up or down: the picture's upper edge is ahead
        ahead = camera.world_from_cam[:3, 1] * (1.0 if camera.forward @ up > 0.0 else -1.0)
        ahead = ahead - (ahead @ up) / (up @ up) * up
    level = look_at(camera.position, camera.position + ahead, up)
    focal = side_focal(width)
    n = 2 * (int(np.ceil(focal)) + FACE_BORDER_PX)
    sides = []
    for axes in FACES:
        pose = level.copy()
        pose[:3, :3] = level[:3, :3] @ axes
        sides.append(Camera(n, n, focal, focal, 0.5 * n, 0.5 * n, pose))
    return tuple(sides)


def side_focal(width: int) -> float:
    """Return the focal length in pixels of a cube's sides for a sphere of a width."""
    return _FACE_FOCAL * width
