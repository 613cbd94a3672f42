# SPDX-License-Identifier: MIT
"""The built-in demo scene: a still life on a round table, seen by 60 cameras and 10 held-out ones.

Our own ray caster (`demo_render.py`) makes the pictures and their exact depth at the first start, which takes seconds;
later starts read them from the cache (`demo_cache.py`). Everything lies in the foreground cube, so engine units are
the scene's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from engine.caches import cache_folder
from engine.cameras import Camera, look_at
from engine.conventions import move_pose, similarity
from engine.datasets.box import boxed
from engine.datasets.demo_cache import read_array, write_arrays
from engine.datasets.options import SceneOptions
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.render.resample import area_resized

Progress = Callable[[str, int, int], None]

N_TRAIN, N_TEST, SIZE_PX = 60, 10, 256
FOV_RAD = math.radians(45.0)
_VERSION = 2  # counts changes of the picture: raise it whenever a view would look different
_GOLDEN_RAD = math.pi * (3.0 - math.sqrt(5.0))  # turns that never line up: even cover of a dome
_CLOSE_SHARE = 0.23  # of the cameras stand near, so that textures are seen sharply
_STAGE = "Making the demo scene"


class DemoImages(ImageSource):
    """The `ImageSource` of rendered views, all of them in memory as 8-bit colours."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self._images = images

    def load(self, index: int) -> np.ndarray:
        """Return view `index` as float32 [H,W,3] in [0,1]; the caller may change it."""
        return np.multiply(self._images[index], np.float32(1.0 / 255.0), dtype=np.float32)

    def load_uint8(self, index: int) -> np.ndarray:
        """Return view `index` as read-only uint8 [H,W,3], without a copy."""
        return self._images[index]

    def nbytes(self) -> int:
        """Return the bytes of all views."""
        return sum(image.nbytes for image in self._images)


@dataclass(frozen=True)
class DemoDepth:
    """True z-depth at the pixel centres of the full-size views, read when asked for (0: nothing is there)."""

    read: Callable[[], np.ndarray]
    first: int
    count: int

    def load(self) -> np.ndarray:
        """Return the depth of all views of this split, float32 [C,H,W] in engine units of an unscaled demo."""
        return self.read()[self.first : self.first + self.count]


def load_demo(options: SceneOptions | None = None, progress: Progress | None = None) -> Scene:
    """Return the demo scene: 60 training views and 10 held-out ones at 256 x 256 pixels.

    `extras["depth_train"]` and `["depth_test"]` are `DemoDepth`. Raises nothing but what the disk's owner must know:
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
    rgba, read_depth, warning = _cached_views(cameras, size, file, progress)
    background = "white" if options.background == "auto" else options.background
    images = [_composited(view, background) for view in rgba]
    pixels = _shown_size(size, options)
    views, shown = [], []
    scale = similarity(1.0 / options.scene_scale, np.zeros(3))
    for i, (camera, image) in enumerate(zip(cameras, images)):
        name = f"train_{i:02d}" if i < n_train else f"test_{i - n_train:02d}"
        moved = camera.moved(move_pose(scale, camera.world_from_cam))
        views.append(View(name, moved.resized(pixels, pixels)))
        small = area_resized(image, pixels, pixels)
        small.flags.writeable = False
        shown.append(small)
    scene = Scene(
        name="demo",
        path="demo",
        kind="demo",
        train=Split(tuple(views[:n_train]), DemoImages(shown[:n_train])),
        test=Split(tuple(views[n_train:]), DemoImages(shown[n_train:])),
        background=background,
        outside_levels=max(options.outside_levels, 0),
        data_from_engine=np.linalg.inv(scale),
        up=np.array([0.0, 0.0, 1.0]),
        warnings=(warning,) if warning else (),
        extras={
            "depth_train": DemoDepth(read_depth, 0, n_train),
            "depth_test": DemoDepth(read_depth, n_train, n_test),
        },
    )
    return boxed(scene, options)


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

    size = cameras[0].width
    rgba = np.empty((len(cameras), size, size, 4), np.uint8)
    depth = np.empty((len(cameras), size, size), np.float32)
    if progress:
        progress(_STAGE, 0, len(cameras))
    grid = free_distances()
    pool = ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS, thread_name_prefix="demo")
    try:
        futures = [
            pool.submit(render_view, grid, camera.world_from_cam, float(camera.fx), rgba[i], depth[i])
            for i, camera in enumerate(cameras)
        ]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress:
                progress(_STAGE, done, len(cameras))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return rgba, depth


def _cached_views(
    cameras: list[Camera], size: int, file: Path, progress: Progress | None
) -> tuple[np.ndarray, Callable[[], np.ndarray], str]:
    """Return the pictures, a function that reads the depth, and a warning or ""."""
    shape = (len(cameras), size, size)
    rgba = read_array(file, "rgba", (*shape, 4), np.uint8)
    if rgba is None:
        rgba, depth = render_demo(cameras, progress)
        warning = write_arrays(file, {"rgba": rgba, "depth_z": depth})
        if warning:
            return rgba, lambda: depth, warning

    def read_depth() -> np.ndarray:
        kept = read_array(file, "depth_z", shape, np.float32)
        return render_demo(cameras)[1] if kept is None else kept

    return rgba, read_depth, ""


def _composited(rgba: np.ndarray, background: str) -> np.ndarray:
    """Return a picture [H,W,3] uint8 over white or black (what a learned background starts from is white)."""
    if background == "black":
        return np.ascontiguousarray(rgba[..., :3])
    # Both parts are rounded on their own, so the sum may be one too many.
    over = rgba[..., :3].astype(np.uint16) + (255 - rgba[..., 3:].astype(np.uint16))
    return np.minimum(over, 255).astype(np.uint8)


def _shown_size(size: int, options: SceneOptions) -> int:
    """Return the edge in pixels after `downscale` and `max_size`."""
    factor = max(float(options.downscale), size / options.max_size if options.max_size else 1.0)
    return max(1, round(size / factor))
