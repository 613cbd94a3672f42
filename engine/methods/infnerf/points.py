# SPDX-License-Identifier: MIT
"""Points on a scene's surfaces, and what one pixel of the nearest photo covers there: what the tree is built from.

The capture's own sparse points where there are any; else points of its depth maps; else the surface of the visual hull of
cut-out photos; else points scattered at random, which ask for what the photos would resolve there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import Points, Scene, Split
from engine.render.resample import box_downsample

HULL_CELLS = 64  # a side of the grid that is carved
N_RANDOM = 1000  # published
_DEPTH_POINTS = 200_000  # of all depth maps together
_FEWEST_VIEWS = 3  # a point seen by fewer may be a wrong match
_STRAY_SHARE = (
    0.05  # of the photos that may show background where there is something: it has the background's colour
)
_NEAREST = 1e-6  # z below this is beside or behind the camera


def scene_points(scene: Scene, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points float64 [P,3] and their radii [P], both in engine units."""
    cameras = [view.camera for view in scene.train.views]
    if scene.points is not None and len(scene.points):
        return _sparse(scene.points, [*cameras, *(view.camera for view in scene.test.views)])
    points, radii = depth_points(scene.train, seed)
    if len(points):
        return points, radii
    if scene.background in ("white", "black") and scene.outside_levels == 0:
        points = hull_points(scene.train, 255 if scene.background == "white" else 0)
        if len(points):
            return points, radii_in_view(points, cameras)
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (N_RANDOM, 3))
    return points, radii_in_view(points, cameras)


def pixel_radius(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Return what one pixel covers at points [P,3]: z/f times the cosine off the axis, z^2 / (f |p|); inf where z <= 0."""
    local = (np.asarray(points, dtype=np.float64) - camera.position) @ camera.world_from_cam[:3, :3]
    focal = np.sqrt(camera.fx * camera.fy)
    if camera.orthographic:
        return np.full(len(local), 1.0 / focal)
    z = local[:, 2]
    distance = np.maximum(np.linalg.norm(local, axis=1), _NEAREST)
    return np.where(z > _NEAREST, z * z / (focal * distance), np.inf)


def observed_radii(
    xyz: np.ndarray, seen_start: np.ndarray, seen_by: np.ndarray, cameras: Sequence[Camera]
) -> np.ndarray:
    """Return each point's smallest radius [P] over the cameras that saw it; inf where none did."""
    radii = np.full(len(xyz), np.inf)
    point_of = np.repeat(np.arange(len(xyz)), np.diff(seen_start))
    order = np.argsort(seen_by, kind="stable")
    bounds = np.searchsorted(seen_by[order], np.arange(len(cameras) + 1))
    for view, camera in enumerate(cameras):
        seen = point_of[order[bounds[view] : bounds[view + 1]]]
        np.minimum.at(radii, seen, pixel_radius(xyz[seen], camera))
    return radii


def radii_in_view(xyz: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Return each point's smallest radius [P] over the cameras that have it in their picture; inf where none has."""
    radii = np.full(len(xyz), np.inf)
    for camera in cameras:
        pixel, z = camera.project(xyz)
        seen = (z > _NEAREST) & np.all((pixel >= 0.0) & (pixel < [camera.width, camera.height]), axis=1)
        radii[seen] = np.minimum(radii[seen], pixel_radius(xyz[seen], camera))
    return radii


def _sparse(points: Points, cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
    """Return a capture's sparse points, without those that too few photos saw."""
    xyz = points.xyz.astype(np.float64)
    if not len(points.seen_by):
        return xyz, radii_in_view(xyz, cameras)
    radii = observed_radii(xyz, points.seen_start, points.seen_by, cameras)
    sure = np.diff(points.seen_start) >= _FEWEST_VIEWS
    return (xyz[sure], radii[sure]) if np.any(sure) else (xyz, radii)


def depth_points(split: Split, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the photos' depth maps and their radii, at most about 200,000; empty where there are no maps."""
    rng, each = np.random.default_rng(seed), max(1, _DEPTH_POINTS // max(1, len(split)))
    points, radii = [np.zeros((0, 3))], [np.zeros(0)]
    for index, view in enumerate(split.views):
        depth = split.images.load_depth(index)
        if depth is None:
            continue
        known = np.flatnonzero(depth.reshape(-1) > 0.0)
        known = np.sort(rng.choice(known, min(each, len(known)), replace=False))
        row, column = np.divmod(known, depth.shape[1])
        z, camera = depth.reshape(-1)[known].astype(np.float64), view.camera.resized(*depth.shape[::-1])
        local = np.stack(
            [(column + 0.5 - camera.cx) / camera.fx * z, (row + 0.5 - camera.cy) / camera.fy * z, z], axis=1
        )
        points.append(local @ camera.world_from_cam[:3, :3].T + camera.position)
        radii.append(pixel_radius(points[-1], view.camera))
    return np.concatenate(points), np.concatenate(radii)


def hull_points(split: Split, background: int, cells: int = HULL_CELLS) -> np.ndarray:
    """Return the centres [P,3] of the surface cells of the visual hull in the foreground cube.

    A cell is carved away when more than a few photos have nothing but background (0..255 in every channel) where it is.
    Photos are shrunk first, so that a cell is about a pixel. Empty when nothing is left, or nothing was carved.
    """
    axis = (np.arange(cells) + 0.5) / cells - 0.5
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    left, carved = np.arange(len(centres)), np.zeros(len(centres), np.int32)
    seen = np.zeros(len(centres), dtype=bool)
    strays = int(_STRAY_SHARE * len(split))
    for index, view in enumerate(split.views):
        shown = _silhouette(split.images.load(index), background, 2 * cells)
        camera = view.camera.resized(shown.shape[1], shown.shape[0])
        pixel, z = camera.project(centres[left])
        column, row = np.floor(pixel).astype(np.int64).T
        on = (z > _NEAREST) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        seen[left[on]] = True
        carved[left[on]] += ~shown[row[on], column[on]]
        left = left[carved[left] <= strays]
    solid = (seen & (carved <= strays)).reshape((cells,) * 3)
    if np.all(carved == 0):
        return np.zeros((0, 3))
    return centres[(solid & ~_eroded(solid)).reshape(-1)]


def _silhouette(image: np.ndarray, background: int, most: int) -> np.ndarray:
    """Return bool [h,w], at most `most` a side: pixels that are not background, and their neighbours."""
    shown = np.any(np.abs(image - background / 255.0) > 0.5 / 255.0, axis=-1)
    factor = min(1.0, most / max(shown.shape))
    height, width = (max(1, round(side * factor)) for side in shown.shape)
    shown = box_downsample(shown[..., None].astype(np.float32), width, height)[..., 0] > 0.0
    wide = np.pad(shown, 1)
    return np.any([wide[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)


def _eroded(solid: np.ndarray) -> np.ndarray:
    """Return where a cell and its six neighbours are solid; outside the grid nothing is."""
    wide = np.pad(solid, 1)
    inner = solid.copy()
    for axis in range(3):
        for shift in (-1, 1):
            inner &= np.roll(wide, shift, axis)[1:-1, 1:-1, 1:-1]
    return inner
