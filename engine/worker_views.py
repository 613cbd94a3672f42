# SPDX-License-Identifier: MIT
"""A view request becomes a frame. No state, no threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import Scene
from engine.messages import DeviceFrame, Frame, ViewRequest
from engine.methods.common import NO_COLOUR, Buffers, Method, StructureStats
from engine.methods.inspection import inspection_of
from engine.region import Shown
from engine.render.error_overlay import lay_over, nearest_view
from engine.render.visualise import COLOURLESS, Legend, picture, resized_photo, wanted_buffers

if TYPE_CHECKING:
    import torch

_SAME_POSE = 1e-6  # engine units; a camera that was set to a view's pose is there to rounding


def render_frame(
    method: Method,
    scene: Scene,
    request: ViewRequest,
    clock: Callable[[], float],
    scale: tuple[float, float, str] | None = None,
) -> Frame:
    """Render what a viewport asked for, at `scale` times its resolution; a `scale` of colours is another frame's legend."""
    begin = clock()
    camera = request.camera.scaled(request.scale)
    plain = request.mode == "colour" and not request.error_map
    if request.on_device and plain and method.card and hasattr(method, "render_on_card"):
        return _frame_on_card(method, request, camera, begin, clock)
    want = wanted_buffers(request.mode) | {"depth_z"}  # the overlays need the depth in every mode
    want |= {NO_COLOUR} if request.mode in COLOURLESS else set()
    buffers = method.render(camera, want, background=request.background, **choice(method, request.shown))
    photo = None
    if request.mode == "error":
        photo = photo_through(scene, request.view_index, camera, buffers)
        if request.error_top is not None and scale is None:
            scale = (0.0, request.error_top, "mean error")
    finest = _finest_level(method.structure()) if request.mode == "level" else 16
    rgba, legend = picture(
        buffers, request.mode, request.colour_map, photo=photo, max_level=finest, scale=scale
    )
    depth = np.where(buffers.depth_z > 0.0, buffers.depth_z, np.float32(np.inf))
    heat_of = None
    if request.error_map:
        rgba, legend, heat_of = _heated(method, scene, request, camera, rgba, depth, legend)
    milliseconds = 1000.0 * (clock() - begin)
    return Frame(request.serial, request, rgba, depth, method.step, milliseconds, legend, heat_of=heat_of)


def choice(method: Method, shown: Shown) -> dict[str, Shown]:
    """Return what `Method.render` is to be told of which voxels are shown, by name: nothing where that is all of them.

    A method hears only of what it can do; the window has said so of the rest.
    """
    if shown.everything:
        return {}
    can = inspection_of(method).can
    possible = Shown(
        shown.levels if "levels" in can else (),
        shown.crop if "crop" in can else None,
        shown.crop_outside,
        shown.slice if "slice" in can else None,
    )
    return {} if possible.everything else {"shown": possible}


def _heated(
    method: Method,
    scene: Scene,
    request: ViewRequest,
    camera: Camera,
    rgba: np.ndarray,
    depth_z: np.ndarray,
    legend: Legend | None,
) -> tuple[np.ndarray, Legend | None, int | None]:
    """Return (picture, legend, view) with the error map of a training view over it: unchanged where there is none to show."""
    errors = getattr(method, "errors", None)
    if errors is None:
        return rgba, legend, None
    index, cameras = request.view_index, [view.camera for view in scene.train.views]
    if index is None or index >= len(cameras):
        index = nearest_view(cameras, camera)
    laid = lay_over(
        rgba,
        depth_z,
        camera,
        errors.of(index),
        errors.block,
        cameras[index],
        request.colour_map,
        request.error_top,
    )
    return (rgba, legend, None) if laid is None else (*laid, index)


def _frame_on_card(
    method: Method, request: ViewRequest, camera: Camera, begin: float, clock: Callable[[], float]
) -> Frame:
    rgba, depth_z = method.render_on_card(camera, request.background, **choice(method, request.shown))
    frame = device_frame(rgba, depth_z)
    frame.wait()  # whoever decides how fine the next picture may be must know what this one took
    size = camera.height, camera.width
    nothing = np.broadcast_to(np.uint8(0), (*size, 4)), np.broadcast_to(np.float32(0.0), size)
    milliseconds = 1000.0 * (clock() - begin)
    return Frame(request.serial, request, *nothing, method.step, milliseconds, on_device=frame)


def device_frame(rgba: torch.Tensor, depth_z: torch.Tensor) -> DeviceFrame:
    """Return a picture that stays on its card: rgba [h,w,4] uint8 and depth_z [h,w] float32, just put on torch's stream."""
    import torch

    ready = torch.cuda.Event()
    ready.record()

    def read_on(stream: int) -> None:
        reader = torch.cuda.ExternalStream(stream, device=rgba.device)
        reader.wait_event(ready)
        rgba.record_stream(reader)  # or torch would give the memory to the next picture too early
        depth_z.record_stream(reader)

    def download() -> tuple[np.ndarray, np.ndarray]:
        ready.synchronize()
        return rgba.cpu().numpy(), depth_z.cpu().numpy()

    height, width = depth_z.shape
    addresses = rgba.data_ptr(), depth_z.data_ptr()
    return DeviceFrame(width, height, *addresses, rgba.device.index, read_on, download, ready.synchronize)


def photo_through(scene: Scene, index: int | None, camera: Camera, buffers: Buffers) -> np.ndarray | None:
    """Return a capture view's photo as `camera` would see it [H,W,3], None unless it stands where the photo was taken.

    `index` counts training views first, then held-out ones. From the same point, two pinhole pictures differ by a
    scale and a shift. Around the photo the render itself is put, so that nothing counts as an error there.
    """
    if index is None or not 0 <= index < len(scene.train) + len(scene.test):
        return None
    split, i = (scene.train, index) if index < len(scene.train) else (scene.test, index - len(scene.train))
    taken = split.views[i].camera
    if not np.allclose(taken.world_from_cam, camera.world_from_cam, atol=_SAME_POSE):
        return None
    photo = np.asarray(split.images.load(i))
    zoom = camera.fx / taken.fx
    if zoom < 1.0:  # average areas first, else a small picture would compare with single pixels
        photo = resized_photo(photo, max(1, round(taken.height * zoom)), max(1, round(taken.width * zoom)))
    height, width = photo.shape[:2]
    x = ((np.arange(camera.width) + 0.5 - camera.cx) / camera.fx * taken.fx + taken.cx) * width / taken.width
    y = (
        ((np.arange(camera.height) + 0.5 - camera.cy) / camera.fy * taken.fy + taken.cy)
        * height
        / taken.height
    )
    seen = _sampled(photo.astype(np.float32, copy=False), x - 0.5, y - 0.5)
    inside = ((y >= 0.0) & (y <= height))[:, None] & ((x >= 0.0) & (x <= width))[None, :]
    return np.where(inside[..., None], seen, buffers.rgb)


def _sampled(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return bilinear samples [len(y),len(x),3] of an image on a grid of pixel indices, clamped at the border."""
    for axis, at in ((0, y), (1, x)):
        at = np.clip(at, 0.0, image.shape[axis] - 1.0)
        low = np.minimum(at.astype(np.int64), max(image.shape[axis] - 2, 0))
        high = np.minimum(low + 1, image.shape[axis] - 1)
        part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        image = np.take(image, low, axis=axis) * (1.0 - part) + np.take(image, high, axis=axis) * part
    return image


def _finest_level(structure: StructureStats) -> int:
    return max((level for level, count in enumerate(structure.per_level) if count), default=16)
