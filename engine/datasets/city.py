# SPDX-License-Identifier: MIT
"""The built-in city: hundreds of blocks on a square kilometre, seen from the street and from far above.

Made for fields with level of detail: its cameras stand at all heights from 2.5 m to 1,100 m, so that a finest detail
of centimetres and a view of the whole kilometre belong to one scene. Our own ray caster (`city_render.py`) makes the
pictures at the first start, later ones read them from the cache, as for the demo. The foreground cube is 1,024 m wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.caches import cache_folder
from engine.cameras import Camera
from engine.datasets.city_plan import city_cameras, city_plan
from engine.datasets.options import SceneOptions
from engine.datasets.rendered import (
    Pictures,
    Progress,
    Stage,
    cached_views,
    render_views,
    rendered_scene,
)
from engine.datasets.scene import Points, Scene

SIZE_PX = (160, 120)
EDGE_M = 1024.0
# The ground lies a little above the cube's middle: every finer cell then has it inside, never along its side.
CENTRE = np.array([0.0, 0.0, -8.0])
_VERSION = 1  # counts changes of the picture: raise it whenever a view would look different
_STAGE = "Making the city"
_POINTS_A_VIEW = (12, 9)
_LEAST_VIEWS = 3  # that see a point, else it is left out, as in a reconstruction from photos
_SAME_DEPTH = 0.02  # relative: a point that a view shows no farther off than this is seen


def load_city(options: SceneOptions | None = None, progress: Progress | None = None) -> Scene:
    """Return the city: 260 training views and 24 held-out ones at 160 x 120 pixels, with sparse points."""
    return build_city(SIZE_PX, 1.0, options, progress)


def build_city(
    size: tuple[int, int],
    share: float,
    options: SceneOptions | None = None,
    progress: Progress | None = None,
) -> Scene:
    """Return the city with a share of its cameras and another picture size; `load_city` has the real ones."""
    options = SceneOptions() if options is None else options
    cameras, n_train = city_cameras(*size, share)
    file = cache_folder() / f"city-v{_VERSION}-{n_train}-{len(cameras)}-{size[0]}x{size[1]}px.npz"
    views = cached_views("city", cameras, file, lambda: render_city(cameras, progress))
    rgba, read_depth, _ = views
    points = sparse_points(cameras[:n_train], rgba[:n_train], read_depth()[:n_train])
    return rendered_scene(Stage("city", CENTRE, EDGE_M, points), cameras, n_train, views, options)


def render_city(cameras: Sequence[Camera], progress: Progress | None = None) -> Pictures:
    """Return pictures [C,H,W,4] uint8 (sRGB times coverage, coverage) and z-depth [C,H,W] float32 in metres."""
    from engine.datasets.city_render import render_view

    plan = city_plan()

    def one(camera: Camera, rgba: np.ndarray, depth: np.ndarray) -> None:
        pose, focal = camera.world_from_cam, float(camera.fx)
        render_view(plan.boxes, plan.paint, plan.storey, plan.bay, plan.first, pose, focal, rgba, depth)

    return render_views(cameras, one, _STAGE, progress)


def sparse_points(cameras: Sequence[Camera], rgba: np.ndarray, depth: np.ndarray) -> Points:
    """Return what a reconstruction from these views would find: places on surfaces, and which of the views see each.

    Each view gives a coarse, jittered grid of its pixels; whether another one sees such a place its depth tells.
    """
    found = [_places(c, rgba[i], depth[i], i) for i, c in enumerate(cameras)]
    xyz, rgb = (np.concatenate(parts) for parts in zip(*found, strict=True))
    point_of, view_of = [], []
    for view, camera in enumerate(cameras):
        seen = np.flatnonzero(_sees(camera, depth[view], xyz))
        point_of.append(seen)
        view_of.append(np.full(len(seen), view))
    owner, by = np.concatenate(point_of), np.concatenate(view_of)
    count = np.bincount(owner, minlength=len(xyz))
    kept = count >= _LEAST_VIEWS
    order = np.argsort(owner, kind="stable")  # views stay in ascending order within a point
    seen_by = by[order][kept[owner[order]]].astype(np.int32)
    start = np.concatenate([[0], np.cumsum(count[kept])])
    return Points(xyz[kept], rgb[kept], np.zeros(int(kept.sum()), np.float32), start, seen_by)


def _places(camera: Camera, rgba: np.ndarray, depth: np.ndarray, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Return places [n,3] in metres and their colours [n,3] uint8 at jittered pixels of a view that show something."""
    columns, rows = _POINTS_A_VIEW
    u = np.random.default_rng([view, 7]).random((2, rows, columns))
    i = ((np.arange(rows)[:, None] + u[0]) * (camera.height / rows)).astype(np.int64)
    j = ((np.arange(columns)[None, :] + u[1]) * (camera.width / columns)).astype(np.int64)
    whole = (depth[i, j] > 0.0) & (rgba[i, j, 3] == 255)
    i, j = i[whole], j[whole]
    local = np.stack(
        [(j + 0.5 - camera.cx) / camera.fx, (i + 0.5 - camera.cy) / camera.fy, np.ones(len(i))], axis=1
    )
    local *= depth[i, j].astype(np.float64)[:, None]
    return local @ camera.world_from_cam[:3, :3].T + camera.position, rgba[i, j, :3]


def _sees(camera: Camera, depth: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Return [P] whether a view shows places [P,3], by its own depth at the pixels where they fall."""
    pixel, z = camera.project(xyz)
    i, j = np.floor(pixel[:, 1]), np.floor(pixel[:, 0])
    inside = (z > 0.0) & (i >= 0) & (i < camera.height) & (j >= 0) & (j < camera.width)
    shown = np.zeros(len(xyz))
    shown[inside] = depth[i[inside].astype(np.int64), j[inside].astype(np.int64)]
    return inside & (np.abs(shown - z) < _SAME_DEPTH * z)
