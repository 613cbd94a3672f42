# SPDX-License-Identifier: MIT
"""How the viewport's pixels get into Dear PyGui: drawn straight into its texture, or copied.

A surface has a Dear PyGui texture `tag`, of which the part up to `uv_max` is the viewport. `resize` says how large the
viewport is; after the next window frame (`after_frame`) the surface is `ready`; `paint` then draws. The texture is larger
than the viewport, in steps, so that dragging the window's edge does not make a new one for every pixel.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

import dearpygui.dearpygui as dpg
import moderngl
import numpy as np

from app.gl import context as gl
from app.gl.device_frames import DeviceFrames, device_frames_for
from app.gl.present import Target, restore_screen

log = logging.getLogger(__name__)

STEP_PX = 128
ODD = (7, 5)  # added to the texture's size: nobody else has textures of such a size
SIGNATURE = (23, 87, 151, 255)  # its first pixel tells it from another texture of the same size

Draw = Callable[[Target, int, int], None]


class SurfaceError(Exception):
    """This way of presenting does not work here; the message is the reason."""


class Surface(ABC):
    """What all ways have in common: a texture that is large enough."""

    kind = ""

    def __init__(self) -> None:
        self.tag: int | str | None = None
        self.size = (1, 1)  # of the viewport
        self.capacity = (1, 1)  # of the texture
        self._registry = dpg.add_texture_registry()

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether the viewport can be filled at the present size."""

    @property
    def uv_max(self) -> tuple[float, float]:
        """The corner of the viewport in the texture."""
        return self.size[0] / self.capacity[0], self.size[1] / self.capacity[1]

    def resize(self, width: int, height: int) -> None:
        """Say how large the viewport is, in pixels."""
        self.size = (max(1, width), max(1, height))
        if not self._fits(self.size) or self.tag is None:
            self._allocate(tuple(-(-n // STEP_PX) * STEP_PX + odd for n, odd in zip(self.size, ODD)))

    def _fits(self, size: tuple[int, int]) -> bool:
        (w, h), (cw, ch) = size, self.capacity
        return w <= cw and h <= ch and cw <= 2 * w + 2 * STEP_PX and ch <= 2 * h + 2 * STEP_PX

    @abstractmethod
    def _allocate(self, capacity: tuple[int, int]) -> None:
        """Begin to make a texture of that size, in place of the one of before."""

    def after_frame(self) -> bool:
        """Be told that Dear PyGui drew a frame; return whether the surface has just become ready."""
        return False

    @abstractmethod
    def read(self) -> np.ndarray:
        """Return what is shown, [height,width,4] uint8."""

    def release(self) -> None:
        """Free everything."""
        with contextlib.suppress(SystemError):
            dpg.delete_item(self._registry)


class DrawnSurface(Surface):
    """A surface that OpenGL of ours draws into."""

    def __init__(self, ctx: moderngl.Context) -> None:
        super().__init__()
        self.ctx = ctx
        self.software = gl.is_software(ctx)
        self.device_frames: DeviceFrames | None = (
            None  # shared with the card; only where nothing is read back
        )
        self._target: Target | None = None

    @property
    def ready(self) -> bool:
        """Whether `paint` can draw at the present size."""
        return self._target is not None and self._fits(self.size)

    @abstractmethod
    def paint(self, draw: Draw) -> None:
        """Let `draw` fill the viewport and put the result before people's eyes."""

    def read(self) -> np.ndarray:
        """Return what was painted last, [height,width,4] uint8."""
        if self._target is None:
            raise SurfaceError("nothing was painted yet")
        pixels = self._target.read(*self.size)
        self.hand_back()
        return pixels

    @abstractmethod
    def hand_back(self) -> None:
        """Leave OpenGL as Dear PyGui expects it."""

    def release(self) -> None:
        """Free everything."""
        if self._target is not None:
            self._target.release()
            self._target = None
        super().release()


class TextureSurface(DrawnSurface):
    """Draws into Dear PyGui's own texture: no copy. Only where Dear PyGui draws with OpenGL.

    Make it after the first window frame, on the window's thread.
    """

    kind = "texture"

    def __init__(self) -> None:
        super().__init__(gl.adopt_current())
        self._names = gl.TextureNames()
        self._pending: tuple[int | str, tuple[int, int], set[int]] | None = None

    def _allocate(self, capacity: tuple[int, int]) -> None:
        if self._pending is not None:
            if self._pending[1] == capacity:
                return
            dpg.delete_item(self._pending[0])
        before = set(self._names.of_size(*capacity))
        pixels = np.zeros((capacity[1], capacity[0], 4), dtype=np.float32)
        pixels[0, 0] = np.array(SIGNATURE) / 255.0
        tag = dpg.add_static_texture(*capacity, pixels.ravel(), parent=self._registry)
        self._pending = (tag, capacity, before)

    def after_frame(self) -> bool:
        """Find the new texture, which Dear PyGui makes while it draws a frame."""
        if self._pending is None:
            return False
        tag, capacity, before = self._pending
        self._pending = None
        name = self._find(capacity, before)
        if self._target is not None:
            self._target.release()
        old, self.tag, self.capacity = self.tag, tag, capacity
        self._target = Target.around(self.ctx, name, capacity)
        self.hand_back()
        if old is not None:
            dpg.delete_item(old)
        return True

    def _find(self, capacity: tuple[int, int], before: set[int]) -> int:
        live = self._names.of_size(*capacity)
        candidates = [
            name for name in live if name not in before
        ] or live  # a freed name may be given out again
        for name in candidates:
            target = Target.around(self.ctx, name, capacity)
            first = tuple(int(v) for v in target.read(1, 1)[0, 0])
            target.release()
            if first == SIGNATURE:
                return name
        raise SurfaceError("the window's texture is not an OpenGL texture that can be found")

    def paint(self, draw: Draw) -> None:
        """Let `draw` fill the viewport in Dear PyGui's texture."""
        if self._target is not None:
            try:
                draw(self._target, *self.size)
            finally:
                self.hand_back()

    def hand_back(self) -> None:
        """Leave OpenGL as Dear PyGui expects it."""
        restore_screen(self.ctx)


class CopySurface(DrawnSurface):
    """Draws into a texture of our own and copies the pixels to Dear PyGui. Works wherever there is any OpenGL."""

    kind = "copy"

    def __init__(self) -> None:
        self._hidden: gl.HiddenContext | None = None
        try:
            ctx = gl.adopt_current()
        except gl.GLError:
            self._hidden = gl.HiddenContext()
            ctx = self._hidden.ctx
        super().__init__(ctx)
        self._pixels = np.zeros((1, 1, 4), dtype=np.float32)

    def _allocate(self, capacity: tuple[int, int]) -> None:
        if self._target is not None:
            self._target.release()
        self._target = Target.new(self.ctx, capacity)
        self.hand_back()
        self._pixels = np.zeros((capacity[1], capacity[0], 4), dtype=np.float32)
        self._pixels[..., 3] = 1.0
        old = self.tag
        self.tag = dpg.add_raw_texture(
            *capacity, self._pixels.ravel(), format=dpg.mvFormat_Float_rgba, parent=self._registry
        )
        self.capacity = capacity
        if old is not None:
            dpg.delete_item(old)

    def paint(self, draw: Draw) -> None:
        """Let `draw` fill the viewport, then copy it."""
        if self._target is None:
            return
        width, height = self.size
        try:
            draw(self._target, width, height)
            pixels = self._target.read(width, height)
        finally:
            self.hand_back()
        np.multiply(pixels, np.float32(1 / 255), out=self._pixels[:height, :width])
        dpg.set_value(self.tag, self._pixels.ravel())

    def hand_back(self) -> None:
        """Leave OpenGL as Dear PyGui expects it; a hidden window's own is of no concern to it."""
        if self._hidden is None:
            restore_screen(self.ctx)

    def release(self) -> None:
        """Free everything, the hidden window included."""
        super().release()
        if self._hidden is not None:
            self._hidden.close()


class PlainSurface(Surface):
    """Shows frames without any OpenGL of ours: enlarged pixel by pixel, with neither lines nor photos over them."""

    kind = "plain copy"

    def __init__(self) -> None:
        super().__init__()
        self._pixels = np.zeros((1, 1, 4), dtype=np.float32)

    @property
    def ready(self) -> bool:
        """Whether a frame can be shown at the present size."""
        return self.tag is not None

    def _allocate(self, capacity: tuple[int, int]) -> None:
        self._pixels = np.zeros((capacity[1], capacity[0], 4), dtype=np.float32)
        old, self.capacity = self.tag, capacity
        self.tag = dpg.add_raw_texture(
            *capacity, self._pixels.ravel(), format=dpg.mvFormat_Float_rgba, parent=self._registry
        )
        if old is not None:
            dpg.delete_item(old)

    def show(self, rgba: np.ndarray) -> None:
        """Fill the viewport with a frame [h,w,4] uint8 of any size."""
        width, height = self.size
        rows = np.arange(height) * rgba.shape[0] // height
        columns = np.arange(width) * rgba.shape[1] // width
        self._pixels[:height, :width] = rgba[rows[:, None], columns] * np.float32(1 / 255)
        dpg.set_value(self.tag, self._pixels.ravel())

    def read(self) -> np.ndarray:
        """Return what was shown last, [height,width,4] uint8."""
        width, height = self.size
        return (self._pixels[:height, :width] * 255.0 + 0.5).astype(np.uint8)


def open_surface(preference: str = "auto", interop: str = "cuda") -> tuple[Surface, str]:
    """Return a surface and why it is not the best, the shared texture ("": it is). "copy" asks for copies.

    `interop` names who would bring a card's frames into the texture.
    """
    reason = "asked for"
    if preference != "copy":
        try:
            surface = TextureSurface()
            surface.device_frames = device_frames_for(surface.ctx, preference, interop)
            return surface, ""
        except gl.GLError as error:
            log.warning("no shared texture reason=%s", error)
            reason = str(error)
    try:
        return CopySurface(), reason
    except gl.GLError as error:
        log.warning("no OpenGL reason=%s", error)
        return PlainSurface(), f"{error}; lines and photos cannot be drawn over them"
