# SPDX-License-Identifier: MIT
"""The picture pass: a rendered frame of any resolution, and a photo beside or over it, onto the viewport's target.

A target is a texture with a framebuffer: Dear PyGui's own texture (nothing is copied), or one of ours that is read
back afterwards.
"""

from __future__ import annotations

import moderngl
import numpy as np

from app.gl.context import is_software
from app.gl.device_frames import DeviceFrames
from app.gl.programs import load_program
from engine.messages import DeviceFrame

FULL = (0.0, 0.0, 1.0, 1.0)


class Target:
    """What the viewport is drawn into: `width x height` pixels at the top left of a texture that may be larger.

    It is shown pixel by pixel, so nothing is gained by interpolating: without it a CPU draws the window in 0.9 of the time.
    """

    def __init__(self, ctx: moderngl.Context, texture: moderngl.Texture, owned: bool) -> None:
        self._ctx = ctx
        self._texture = texture
        texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
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

    def write(self, rgba: np.ndarray) -> None:
        """Put a picture [h,w,4] uint8 into the top left corner."""
        height, width = rgba.shape[:2]
        self._texture.write(np.ascontiguousarray(rgba), viewport=(0, 0, width, height), alignment=1)

    def release(self) -> None:
        """Free what is ours; a texture of somebody else stays."""
        self.framebuffer.release()
        if self._owned:
            self._texture.release()


class PicturePass:
    """Holds the newest frame and one photo, and draws them. What is not drawn is not uploaded."""

    def __init__(self, ctx: moderngl.Context, device_frames: DeviceFrames | None = None) -> None:
        self._ctx = ctx
        self._device_frames = device_frames
        self._on_card = False  # the frame was never in the computer's memory
        self._smooth = not is_software(ctx)  # nine texture reads a pixel are too dear for a CPU
        self._programs: dict[tuple[str, ...], tuple[moderngl.Program, moderngl.VertexArray]] = {}
        self._rgba = np.zeros((1, 1, 4), np.uint8)
        self._depth_z = np.zeros((1, 1), np.float32)
        self._frame = self._new_texture((1, 1), 4, "f1")
        self._depth = self._new_texture((1, 1), 1, "f4")
        self._frame_stale = self._depth_stale = True
        self._photo: moderngl.Texture | None = None
        self.clear()

    def _new_texture(self, size: tuple[int, int], components: int, dtype: str) -> moderngl.Texture:
        texture = self._ctx.texture(size, components, dtype=dtype, alignment=1)
        texture.repeat_x = texture.repeat_y = False
        kind = moderngl.NEAREST if dtype == "f4" else moderngl.LINEAR
        texture.filter = (kind, kind)
        return texture

    def _upload(self, texture: moderngl.Texture, pixels: np.ndarray, dtype: str) -> moderngl.Texture:
        height, width = pixels.shape[:2]
        components = 1 if pixels.ndim == 2 else pixels.shape[2]
        texture = self._sized(texture, (width, height), components, dtype)
        texture.write(np.ascontiguousarray(pixels))
        return texture

    def _sized(
        self, texture: moderngl.Texture, size: tuple[int, int], components: int, dtype: str
    ) -> moderngl.Texture:
        """Return the texture, or another in its place if it has not this size."""
        if texture.size == size and texture.components == components:
            return texture
        self._free(texture)
        return self._new_texture(size, components, dtype)

    def _free(self, texture: moderngl.Texture) -> None:
        if self._device_frames is not None:
            self._device_frames.forget(texture.glo)
        texture.release()

    def clear(self, rgb: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Show one colour, infinitely far away."""
        self.set_frame(np.array([[[*rgb, 255]]], np.uint8), np.full((1, 1), np.inf, np.float32))

    def set_frame(self, rgba: np.ndarray, depth_z: np.ndarray) -> None:
        """Take a frame: `rgba [h,w,4]` uint8, opaque, and `depth_z [h,w]` float32, inf where nothing is."""
        self._rgba, self._depth_z = rgba, depth_z
        self._frame_stale = self._depth_stale = True
        self._on_card = False

    def set_device_frame(self, frame: DeviceFrame) -> bool:
        """Take a frame from the card's memory; False: that does not work here, and nothing has changed."""
        if self._device_frames is None or not self._device_frames.wanted:
            return False
        size = (frame.width, frame.height)
        self._frame = self._sized(self._frame, size, 4, "f1")
        self._depth = self._sized(self._depth, size, 1, "f4")
        if not self._device_frames.show(frame, self._frame.glo, self._depth.glo):
            self._frame_stale = self._depth_stale = not self._on_card
            return False
        self._frame_stale = self._depth_stale = False
        self._on_card = True
        return True

    @property
    def depth(self) -> moderngl.Texture:
        """The frame's depth as a texture."""
        if self._depth_stale:
            self._depth_stale = False
            self._depth = self._upload(self._depth, self._depth_z.astype(np.float32, copy=False), "f4")
        return self._depth

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
        with_photo = self._photo is not None and photo_until > 0.0
        frame_height, frame_width = self._frame.size[::-1] if self._on_card else self._rgba.shape[:2]
        if not (with_photo or self._on_card) and (frame_width, frame_height) == (width, height):
            target.write(self._rgba)  # pixel for pixel: nothing has to be drawn
            return
        if self._frame_stale:
            self._frame_stale = False
            self._frame = self._upload(self._frame, self._rgba, "f1")
        enlarged = self._smooth and 1 < frame_width < width
        program, triangle = self._program(("SMOOTH",) * enlarged + ("PHOTO",) * with_photo)
        target.framebuffer.use()
        self._ctx.viewport = (0, 0, width, height)
        self._ctx.scissor = None
        self._ctx.disable(moderngl.BLEND | moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        program["u_frame"] = 0
        self._frame.use(0)
        if with_photo:
            program["u_photo"], program["u_photo_rect"], program["u_photo_until"] = 1, photo_rect, photo_until
            self._photo.use(1)
        triangle.render(moderngl.TRIANGLES, vertices=3)

    def _program(self, defines: tuple[str, ...]) -> tuple[moderngl.Program, moderngl.VertexArray]:
        if defines not in self._programs:
            program = load_program(self._ctx, "present", defines)
            self._programs[defines] = program, self._ctx.vertex_array(program, [])
        return self._programs[defines]

    def release(self) -> None:
        """Free the textures and the programs."""
        for program, triangle in self._programs.values():
            triangle.release()
            program.release()
        if self._device_frames is not None:
            self._device_frames.close()
        for thing in (self._frame, self._depth, self._photo):
            if thing is not None:
                thing.release()


def restore_screen(ctx: moderngl.Context) -> None:
    """Bind the window's own framebuffer again, which Dear PyGui expects."""
    ctx.detect_framebuffer(0).use()
