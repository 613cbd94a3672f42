# SPDX-License-Identifier: MIT
"""The picture pass: a rendered frame of any resolution, and a photo beside or over it, onto the viewport's target.

A target is a texture with a framebuffer: Dear PyGui's own texture (nothing is copied), or one of ours that is read
back afterwards.
"""

from __future__ import annotations

import moderngl
import numpy as np

from app.gl.context import is_software
from app.gl.programs import load_program

FULL = (0.0, 0.0, 1.0, 1.0)


class Target:
    """What the viewport is drawn into: `width x height` pixels at the top left of a texture that may be larger."""

    def __init__(self, ctx: moderngl.Context, texture: moderngl.Texture, owned: bool) -> None:
        self._ctx = ctx
        self._texture = texture
        self._owned = owned
        self.framebuffer = ctx.framebuffer([texture])
        self.size = texture.size

    @classmethod
    def around(cls, ctx: moderngl.Context, name: int, size: tuple[int, int]) -> Target:
        """Return a target that is somebody else's RGBA8 texture of that name."""
        return cls(ctx, ctx.external_texture(name, size, 4, 0, "f1"), owned=False)

    @classmethod
    def new(cls, ctx: moderngl.Context, size: tuple[int, int]) -> Target:
        """Return a target of our own, RGBA8."""
        return cls(ctx, ctx.texture(size, 4, dtype="f1"), owned=True)

    def read(self, width: int, height: int) -> np.ndarray:
        """Return the pixels of the top left corner as [height,width,4] uint8, top row first."""
        data = self.framebuffer.read(viewport=(0, 0, width, height), components=4, alignment=1)
        return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 4)

    def release(self) -> None:
        """Free what is ours; a texture of somebody else stays."""
        self.framebuffer.release()
        if self._owned:
            self._texture.release()


class PicturePass:
    """Holds the textures of the newest frame and of one photo, and draws them."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self._ctx = ctx
        self._program = load_program(ctx, "present")
        self._triangle = ctx.vertex_array(self._program, [])
        self._smooth = not is_software(ctx)  # nine texture reads a pixel are too dear for a CPU
        self._frame = self._new_texture((1, 1), 4, "f1")
        self.depth = self._new_texture((1, 1), 1, "f4")
        self._photo: moderngl.Texture | None = None
        self.clear()

    def _new_texture(self, size: tuple[int, int], components: int, dtype: str) -> moderngl.Texture:
        texture = self._ctx.texture(size, components, dtype=dtype, alignment=1)
        texture.repeat_x = texture.repeat_y = False
        texture.filter = (
            (moderngl.NEAREST, moderngl.NEAREST) if dtype == "f4" else (moderngl.LINEAR, moderngl.LINEAR)
        )
        return texture

    def _upload(self, texture: moderngl.Texture, pixels: np.ndarray, dtype: str) -> moderngl.Texture:
        height, width = pixels.shape[:2]
        components = 1 if pixels.ndim == 2 else pixels.shape[2]
        if texture.size != (width, height) or texture.components != components:
            texture.release()
            texture = self._new_texture((width, height), components, dtype)
        texture.write(np.ascontiguousarray(pixels))
        return texture

    def clear(self, rgb: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Show one colour, infinitely far away."""
        self.set_frame(np.array([[[*rgb, 255]]], np.uint8), np.full((1, 1), np.inf, np.float32))

    def set_frame(self, rgba: np.ndarray, depth_z: np.ndarray) -> None:
        """Take a frame: `rgba [h,w,4]` uint8 and `depth_z [h,w]` float32, inf where nothing is."""
        self._frame = self._upload(self._frame, rgba, "f1")
        self.depth = self._upload(self.depth, depth_z.astype(np.float32, copy=False), "f4")

    def set_photo(self, rgb: np.ndarray | None) -> None:
        """Take a photo [h,w,3] uint8, or none."""
        if rgb is None:
            if self._photo is not None:
                self._photo.release()
                self._photo = None
            return
        if self._photo is None:
            self._photo = self._new_texture((rgb.shape[1], rgb.shape[0]), 3, "f1")
        self._photo = self._upload(self._photo, rgb, "f1")

    def draw(
        self,
        target: Target,
        width: int,
        height: int,
        photo_rect: tuple[float, float, float, float] = FULL,
        photo_until: float = 0.0,
    ) -> None:
        """Fill the target's top left `width x height` pixels.

        The photo lies in `photo_rect` (x, y, width, height as shares of the viewport) and is shown left of the
        vertical line at `photo_until`, a share of the viewport's width.
        """
        target.framebuffer.use()
        self._ctx.viewport = (0, 0, width, height)
        self._ctx.scissor = None
        self._ctx.disable(moderngl.BLEND | moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        frame_size = self._frame.size
        enlarged = frame_size[0] < width and frame_size != (1, 1)
        self._program["u_smooth"] = bool(self._smooth and enlarged)
        self._program["u_photo_rect"] = photo_rect
        self._program["u_photo_until"] = photo_until if self._photo is not None else -1.0
        self._program["u_frame"], self._program["u_photo"] = 0, 1
        self._frame.use(0)
        (self._photo or self._frame).use(1)
        self._triangle.render(moderngl.TRIANGLES, vertices=3)

    def release(self) -> None:
        """Free the textures and the program."""
        for thing in (self._frame, self.depth, self._photo, self._triangle, self._program):
            if thing is not None:
                thing.release()


def restore_screen(ctx: moderngl.Context) -> None:
    """Bind the window's own framebuffer again, which Dear PyGui expects."""
    ctx.detect_framebuffer(0).use()
