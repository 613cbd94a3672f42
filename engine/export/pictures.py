# SPDX-License-Identifier: MIT
"""The pictures that surfaces are made of: colours and how far away things are, from many views; and points from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera, look_at
from engine.datasets.scene import Scene
from engine.errors import UserError
from engine.export.options import FusionOptions
from engine.methods.common import Buffers

OPAQUE, CLEAR = 0.5, 0.9  # with less light left there is a surface, with more there is nothing
MANY = 8  # pictures, from which on points of one picture are left out
_RINGS = (-0.35, 0.15, 0.65)  # heights of an orbit, in radians above the middle

Draw = Callable[[Camera, frozenset[str], float], Buffers]  # with so many rays a pixel side


@dataclass(frozen=True, eq=False)
class Picture:
    """A view: `depth [H,W]` float32 along the camera's axis, infinite where nothing is, 0 where it is not known."""

    camera: Camera
    depth: np.ndarray
    rgb: np.ndarray  # [H,W,3] uint8


def cameras_for(scene: Scene, options: FusionOptions) -> list[Camera]:
    """Return the cameras that are to be drawn, no larger than asked for. Raises UserError without any."""
    views = scene.train.views
    chosen = np.unique(np.linspace(0, len(views) - 1, min(options.views, len(views))).astype(np.int64))
    cameras = [views[i].camera for i in chosen if not views[i].camera.orthographic]
    cameras += _orbit(scene, options.orbit)
    if not cameras:
        raise UserError(
            "Surfaces are made of pictures, and none is to be drawn; ask for capture views or an orbit."
        )
    return [camera.scaled(min(1.0, options.picture / max(camera.width, camera.height))) for camera in cameras]


def drawn(cameras: list[Camera], draw: Draw, depth: str) -> Iterator[Picture]:
    """Yield the pictures of some cameras; `depth` is "median" or "mean".

    One ray a pixel: means of several would lie between what is near and what is behind it.
    """
    name = "depth_median" if depth == "median" else "depth_z"
    for camera in cameras:
        seen = draw(camera, frozenset({name}), 1.0)
        found = getattr(seen, name)
        away = np.where((seen.trans < OPAQUE) & (found > 0.0), found, 0.0)
        away = np.where(seen.trans > CLEAR, np.inf, away).astype(np.float32)
        yield Picture(camera, away, np.rint(np.clip(seen.rgb, 0.0, 1.0) * 255.0).astype(np.uint8))


def places_of(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface points [n,3] float64 of a picture, and their colours uint8 [n,3]."""
    camera, depth = picture.camera, picture.depth
    there = np.isfinite(depth) & (depth > 0.0)
    y, x = np.nonzero(there)
    z = depth[there].astype(np.float64)
    local = np.stack(
        [(x + 0.5 - camera.cx) / camera.fx * z, (y + 0.5 - camera.cy) / camera.fy * z, z], axis=1
    )
    return local @ camera.world_from_cam[:3, :3].T + camera.position, picture.rgb[there]


class PointCloud:
    """Points of many pictures, one for every cell of a box's lattice: the mean of what fell into it.

    Where there are many pictures, points that only one of them shows are left out: what floats is seen by few.
    """

    def __init__(self, half: float, resolution: int) -> None:
        self._half, self._cells = half, resolution
        self._keys: list[np.ndarray] = []
        self._sums: list[np.ndarray] = []  # [n,8]: pixels, place, colour, pictures
        self._pictures = 0

    def add(self, picture: Picture) -> None:
        """Take in a picture."""
        xyz, rgb = places_of(picture)
        cell = np.floor((xyz / self._half + 1.0) * (0.5 * self._cells)).astype(np.int64)
        inside = ((cell >= 0) & (cell < self._cells)).all(axis=1)
        key = cell[inside] @ np.array([self._cells**2, self._cells, 1], dtype=np.int64)
        rows = np.concatenate([np.ones((len(key), 1)), xyz[inside], rgb[inside]], axis=1)
        keys, sums = _summed(key, rows)
        self._pictures += 1
        self._append(keys, np.concatenate([sums, np.ones((len(sums), 1))], axis=1))

    def _append(self, keys: np.ndarray, sums: np.ndarray) -> None:
        self._keys.append(keys)
        self._sums.append(sums)
        if len(self._keys) > 16:  # so that memory follows the points, not the pictures
            self._keys, self._sums = ([part] for part in self._all())

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        return _summed(np.concatenate(self._keys), np.concatenate(self._sums))

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Return places [n,3] in engine units and colours uint8 [n,3]."""
        if not self._keys:
            return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
        _, sums = self._all()
        sums = sums[sums[:, 7] >= (2 if self._pictures >= MANY else 1)]
        means = sums[:, 1:7] / sums[:, :1]
        return means[:, :3], np.rint(means[:, 3:]).astype(np.uint8)

    def cells_of_all(self, pictures: int) -> int:
        """Return about how many cells so many pictures would show, from what these did.

        Those that one picture alone shows are left out of many. If every cell is shown by a picture with one chance p, n of
        them show C (1 - (1 - p)^n) and C p n in all, and C n p (1 - p)^(n - 1) are shown by one alone.
        """
        if not self._keys:
            return 0
        _, sums = self._all()
        n, found, shown = self._pictures, len(sums), float(sums[:, 7].sum())
        chances = np.linspace(1.0 / 256.0, 1.0, 256)
        missed = (1.0 - chances) ** n
        best = np.argmin(np.abs(n * chances / (1.0 - missed) - shown / max(found, 1)))
        p, cells = chances[best], found / (1.0 - missed[best])
        more = max(n, pictures)
        alone = more * p * (1.0 - p) ** (more - 1) if pictures >= MANY else 0.0
        return int(cells * (1.0 - (1.0 - p) ** more - alone))


def half_edge(scene: Scene, foreground: bool) -> float:
    """Return half the edge of the box that is kept, in engine units."""
    return 0.5 if foreground else 0.5 * 2.0**scene.outside_levels


def _summed(keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every key once, ascending, and the sums of its rows."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    if not len(first):
        return keys, rows
    return keys[first], np.add.reduceat(rows, first, axis=0)


def _orbit(scene: Scene, count: int) -> list[Camera]:
    """Return cameras on rings around the box, as far away as the capture's."""
    if count == 0:
        return []
    lens = scene.train.views[0].camera
    away = float(np.median([np.linalg.norm(view.camera.position) for view in scene.train.views]))
    up = scene.up / np.linalg.norm(scene.up)
    side = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    side /= np.linalg.norm(side)
    cameras = []
    for i in range(count):
        turn, height = 2.0 * np.pi * i / count * len(_RINGS), _RINGS[i % len(_RINGS)]
        flat = np.cos(turn) * side + np.sin(turn) * np.cross(up, side)
        position = max(away, 1.0) * (np.cos(height) * flat + np.sin(height) * up)
        cameras.append(lens.moved(look_at(position, np.zeros(3), up)))
    return cameras
