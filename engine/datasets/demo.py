# SPDX-License-Identifier: MIT
"""The built-in demo scene: a still life on a round table, seen by 60 cameras and 10 held-out ones.

Our own ray caster (`demo_render.py`) makes the pictures and their exact depth at the first start, which takes seconds;
later starts read them from the cache (`demo_cache.py`). Everything lies in the foreground cube, so engine units are
the scene's own.
"""

from __future__ import annotations

import math

import numpy as np

from engine.caches import cache_folder
from engine.cameras import Camera, look_at
from engine.datasets.options import SceneOptions
from engine.datasets.rendered import Progress, Stage, cached_views, render_views, rendered_scene
from engine.datasets.scene import Scene

N_TRAIN, N_TEST, SIZE_PX = 60, 10, 256
FOV_RAD = math.radians(45.0)
_VERSION = 2  # counts changes of the picture: raise it whenever a view would look different
_GOLDEN_RAD = math.pi * (3.0 - math.sqrt(5.0))  # turns that never line up: even cover of a dome
_CLOSE_SHARE = 0.23  # of the cameras stand near, so that textures are seen sharply
_STAGE = "Making the demo scene"


def load_demo(options: SceneOptions | None = None, progress: Progress | None = None) -> Scene:
    """Return the demo scene: 60 training views and 10 held-out ones at 256 x 256 pixels.

    `extras["depth_train"]` and `["depth_test"]` are `RenderedDepth`. Raises nothing but what the disk's owner must know:
    a cache that cannot be written only becomes a warning.
    """
    return build_demo(N_TRAIN, N_TEST, SIZE_PX, options, progress)


def build_demo(
    n_train: int,
    n_test: int,
    size: int,
    options: SceneOptions | None = None,
    progress: Progress | None = None,
) -> Scene:
    """Return the demo with other counts and another picture size; `load_demo` has the real ones."""
    options = SceneOptions() if options is None else options
    cameras = demo_cameras(n_train, size, False) + demo_cameras(n_test, size, True)
    file = cache_folder() / f"demo-v{_VERSION}-{n_train}-{n_test}-{size}px.npz"
    views = cached_views("demo", cameras, file, lambda: render_demo(cameras, progress))
    return rendered_scene(Stage("demo", np.zeros(3), 1.0), cameras, n_train, views, options)


def demo_cameras(n: int, size: int, held_out: bool) -> list[Camera]:
    """Return `n` cameras on a dome around the table, some of them near; held-out ones stand between the others."""
    n_close = round(_CLOSE_SHARE * n)
    cameras = []
    for i in range(n):
        close = i >= n - n_close
        rank = (i - (n - n_close) + 0.5) / max(n_close, 1) if close else (i + 0.5) / max(n - n_close, 1)
        azimuth = i * _GOLDEN_RAD + (1.1 if held_out else 0.0)
        low, high = (math.radians(14), math.radians(48)) if close else (math.radians(7), math.radians(76))
        elevation = math.asin(math.sin(low) + rank * (math.sin(high) - math.sin(low)))
        distance = 0.80 + 0.07 * math.sin(2.3 * i) if close else 1.30 + 0.07 * math.sin(3.1 * i)
        # Near cameras look at different things, not all at the middle.
        aside = 0.10 if close else 0.0
        target = np.array([aside * math.cos(2.0 * i), aside * math.sin(2.0 * i), -0.10 if close else -0.05])
        flat = math.cos(elevation)
        towards = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
        pose = look_at(target + distance * towards, target, np.array([0.0, 0.0, 1.0]))
        cameras.append(Camera.from_fov(size, size, FOV_RAD, pose))
    return cameras


def render_demo(cameras: list[Camera], progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures [C,H,W,4] uint8 (sRGB times coverage, coverage) and z-depth [C,H,W] float32 of square views.

    Views are shared out among as many threads as Numba uses.
    """
    from engine.datasets.demo_render import render_view
    from engine.datasets.demo_shapes import free_distances

    grid = free_distances()

    def one(camera: Camera, rgba: np.ndarray, depth: np.ndarray) -> None:
        render_view(grid, camera.world_from_cam, float(camera.fx), rgba, depth)

    return render_views(cameras, one, _STAGE, progress)
