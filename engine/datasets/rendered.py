# SPDX-License-Identifier: MIT
"""Scenes that the project renders itself: views shared out among threads, kept between starts, put into a `Scene`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from engine.cameras import Camera
from engine.conventions import move_pose
from engine.datasets.box import boxed
from engine.datasets.demo_cache import read_array, write_arrays
from engine.datasets.normalise import engine_from_data
from engine.datasets.options import SceneOptions
from engine.datasets.scene import ImageSource, Points, Scene, Split, View
from engine.render.resample import area_resized

Progress = Callable[[str, int, int], None]
RenderOne = Callable[
    [Camera, np.ndarray, np.ndarray], object
]  # fills rgba [H,W,4] uint8, depth [H,W] float32
Pictures = tuple[
    np.ndarray, np.ndarray
]  # [C,H,W,4] uint8 (sRGB times coverage, coverage); z-depth [C,H,W] float32


class RenderedImages(ImageSource):
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
class RenderedDepth:
    """True z-depth at the pixel centres of the full-size views, read when asked for (0: nothing is there).

    In the units that the pictures were rendered in: the scene's own, before any choice of a foreground cube.
    """

    read: Callable[[], np.ndarray]
    first: int
    count: int

    def load(self) -> np.ndarray:
        """Return the depth of all views of this split, float32 [C,H,W]."""
        return self.read()[self.first : self.first + self.count]


@dataclass(frozen=True)
class Stage:
    """What was rendered and where it stands: its word, the foreground cube in its units, its sparse points."""

    name: str
    centre: np.ndarray  # [3]
    edge: float
    points: Points | None = None


def render_views(
    cameras: Sequence[Camera], one: RenderOne, stage: str, progress: Progress | None
) -> Pictures:
    """Return the pictures and depth of cameras of one size, shared out among as many threads as Numba uses."""
    shape = (len(cameras), cameras[0].height, cameras[0].width)
    rgba, depth = np.empty((*shape, 4), np.uint8), np.empty(shape, np.float32)
    if progress:
        progress(stage, 0, len(cameras))
    pool = ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS, thread_name_prefix="render")
    try:
        futures = [pool.submit(one, camera, rgba[i], depth[i]) for i, camera in enumerate(cameras)]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress:
                progress(stage, done, len(cameras))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return rgba, depth


def cached_views(
    name: str, cameras: Sequence[Camera], file: Path, render: Callable[[], Pictures]
) -> tuple[np.ndarray, Callable[[], np.ndarray], str]:
    """Return the pictures, a function that reads the depth, and a warning or ""; render where no file has them."""
    shape = (len(cameras), cameras[0].height, cameras[0].width)
    rgba = read_array(file, "rgba", (*shape, 4), np.uint8)
    if rgba is None:
        rgba, depth = render()
        warning = write_arrays(file, {"rgba": rgba, "depth_z": depth}, name)
        if warning:
            return rgba, lambda: depth, warning

    def read_depth() -> np.ndarray:
        kept = read_array(file, "depth_z", shape, np.float32)
        return render()[1] if kept is None else kept

    return rgba, read_depth, ""


def rendered_scene(
    stage: Stage,
    cameras: Sequence[Camera],  # in the stage's units, training views first
    n_train: int,
    views: tuple[np.ndarray, Callable[[], np.ndarray], str],  # of `cached_views`
    options: SceneOptions,
) -> Scene:
    """Return the scene of rendered views. `extras["depth_train"]` and `["depth_test"]` are `RenderedDepth`."""
    rgba, read_depth, warning = views
    background = "white" if options.background == "auto" else options.background
    matrix = engine_from_data(stage.centre, stage.edge * options.scene_scale)
    digits = max(2, len(str(n_train - 1)))
    shown, images = [], []
    for i, (camera, picture) in enumerate(zip(cameras, rgba, strict=True)):
        name = f"train_{i:0{digits}d}" if i < n_train else f"test_{i - n_train:0{digits}d}"
        width, height = _shown_size(camera, options)
        moved = camera.moved(move_pose(matrix, camera.world_from_cam))
        shown.append(View(name, moved.resized(width, height)))
        small = area_resized(_composited(picture, background), width, height)
        small.flags.writeable = False
        images.append(small)
    points = stage.points
    if points is not None:
        moved_xyz = (points.xyz @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
        points = Points(moved_xyz, points.rgb, points.error_px, points.seen_start, points.seen_by)
    scene = Scene(
        name=stage.name,
        path=stage.name,
        kind=stage.name,
        train=Split(tuple(shown[:n_train]), RenderedImages(images[:n_train])),
        test=Split(tuple(shown[n_train:]), RenderedImages(images[n_train:])),
        background=background,
        outside_levels=max(options.outside_levels, 0),
        data_from_engine=np.linalg.inv(matrix),
        up=np.array([0.0, 0.0, 1.0]),
        warnings=(warning,) if warning else (),
        points=points,
        extras={
            "depth_train": RenderedDepth(read_depth, 0, n_train),
            "depth_test": RenderedDepth(read_depth, n_train, len(cameras) - n_train),
        },
    )
    return boxed(scene, options)


def _composited(rgba: np.ndarray, background: str) -> np.ndarray:
    """Return a picture [H,W,3] uint8 over white or black (what a learned background starts from is white)."""
    if background == "black":
        return np.ascontiguousarray(rgba[..., :3])
    # Both parts are rounded on their own, so the sum may be one too many.
    over = rgba[..., :3].astype(np.uint16) + (255 - rgba[..., 3:].astype(np.uint16))
    return np.minimum(over, 255).astype(np.uint8)


def _shown_size(camera: Camera, options: SceneOptions) -> tuple[int, int]:
    """Return width and height in pixels after `downscale` and `max_size`."""
    longest = max(camera.width, camera.height)
    factor = max(float(options.downscale), longest / options.max_size if options.max_size else 1.0)
    return max(1, round(camera.width / factor)), max(1, round(camera.height / factor))
