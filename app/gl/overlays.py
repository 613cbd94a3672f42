# SPDX-License-Identifier: MIT
"""Lines, points and voxel boxes over a picture, hidden or faint where the picture's own depth is nearer.

Each layer has a name and is kept on the graphics card until it is set again. Drawing takes the camera that the picture
was rendered with, so that lines never swim against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import moderngl
import numpy as np

from app.gl.present import Target
from app.gl.programs import load_program
from engine.cameras import Camera

NEAR = 0.01  # engine units; what is nearer to the eye is cut off


@dataclass
class _Layer:
    buffer: moderngl.Buffer
    array: moderngl.VertexArray
    instances: int
    width_px: float
    hidden: float
    opacity: float
    rim_px: float = 0.0
    shrinks: bool = False


def clip_from_world(camera: Camera) -> np.ndarray:
    """Return the matrix [4,4] to clip space in which y grows downwards and w is the depth along the camera's axis."""
    w, h = camera.width, camera.height
    clip_from_cam = np.array(
        [
            [2.0 * camera.fx / w, 0.0, 2.0 * camera.cx / w - 1.0, 0.0],
            [0.0, 2.0 * camera.fy / h, 2.0 * camera.cy / h - 1.0, 0.0],
            [0.0, 0.0, 1.0, -2.0 * NEAR],  # ndc z is 1 - 2 NEAR / depth: -1 at NEAR, 1 at infinity
            [0.0, 0.0, 1.0, 0.0],
        ]
    )
    return clip_from_cam @ camera.cam_from_world


class OverlayPass:
    """Draws named layers of lines, of points and of boxes."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self._ctx = ctx
        self._lines = load_program(ctx, "lines")
        self._boxes = load_program(ctx, "boxes")
        self._points = load_program(ctx, "points")
        self._layers: dict[str, _Layer] = {}

    def set_lines(
        self,
        name: str,
        segments: np.ndarray,
        colours: np.ndarray,
        *,
        width_px: float = 1.5,
        rim_px: float = 0.0,
        hidden: float = 0.15,
        opacity: float = 1.0,
    ) -> None:
        """Keep segments [n,2,3] with colours [n,4] (or one, [4]) in 0..1 as a layer, with a dark rim along both sides.

        `hidden` is the share of the opacity that is left behind the picture's surfaces.
        """
        n = len(segments)
        data = np.empty((n, 10), dtype=np.float32)
        data[:, :6] = np.asarray(segments, dtype=np.float32).reshape(n, 6)
        data[:, 6:] = colours
        self._set(
            name, self._lines, data, "3f 3f 4f/i", ("in_a", "in_b", "in_colour"), width_px, hidden, opacity
        )
        if name in self._layers:
            self._layers[name].rim_px = rim_px

    def set_points(
        self,
        name: str,
        places: np.ndarray,
        colours: np.ndarray,
        *,
        size_px: float = 3.0,
        rim_px: float = 0.0,
        shrinks: bool = False,
        hidden: float = 0.15,
        opacity: float = 1.0,
    ) -> None:
        """Keep points [n,3] with colours [n,4] (or one, [4]) as a layer of discs, `size_px` wide within a dark rim.

        With `shrinks` that is their width at distance 1, and they get smaller with distance.
        """
        data = np.empty((len(places), 7), dtype=np.float32)
        data[:, :3] = places
        data[:, 3:] = colours
        self._set(name, self._points, data, "3f 4f", ("in_place", "in_colour"), size_px, hidden, opacity)
        if name in self._layers:
            self._layers[name].rim_px, self._layers[name].shrinks = rim_px, shrinks

    def set_boxes(
        self, name: str, boxes: np.ndarray, colours: np.ndarray, *, hidden: float = 0.0, opacity: float = 0.5
    ) -> None:
        """Keep cubes [n,4] (centre x y z and edge) with colours [n,4] as a layer of thin edges."""
        data = np.empty((len(boxes), 8), dtype=np.float32)
        data[:, :4] = boxes
        data[:, 4:] = colours
        self._set(name, self._boxes, data, "4f 4f/i", ("in_box", "in_colour"), 1.0, hidden, opacity)

    def _set(
        self,
        name: str,
        program: moderngl.Program,
        data: np.ndarray,
        layout: str,
        attributes: tuple[str, ...],
        width_px: float,
        hidden: float,
        opacity: float,
    ) -> None:
        self.remove(name)
        if len(data) == 0:
            return
        buffer = self._ctx.buffer(data.tobytes())
        array = self._ctx.vertex_array(program, [(buffer, layout, *attributes)])
        self._layers[name] = _Layer(buffer, array, len(data), width_px, hidden, opacity)

    def remove(self, name: str) -> None:
        """Forget a layer; an unknown name is fine."""
        layer = self._layers.pop(name, None)
        if layer is not None:
            layer.array.release()
            layer.buffer.release()

    def names(self) -> set[str]:
        """Return the layers that hold anything."""
        return set(self._layers)

    def draw(
        self,
        target: Target,
        width: int,
        height: int,
        camera: Camera,
        depth: moderngl.Texture,
        names: list[str],
        left: int = 0,
        scale: float = 1.0,
    ) -> None:
        """Draw layers, in this order, over the target's top left `width x height` pixels, seen by `camera`.

        Pixels left of column `left` stay as they are: the photo is there. Lines and points are `scale` times as wide as they
        were set, but for the edges of boxes.
        """
        layers = [self._layers[name] for name in names if name in self._layers]
        if not layers:
            return
        target.framebuffer.use()
        self._ctx.viewport = (0, 0, width, height)
        target.framebuffer.scissor = (left, 0, max(1, width - left), height)
        self._ctx.enable_only(moderngl.BLEND | moderngl.PROGRAM_POINT_SIZE)
        self._ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ONE, moderngl.ONE
        depth.use(0)
        matrix = clip_from_world(camera).T.astype(np.float32).tobytes()
        for program in (self._lines, self._boxes, self._points):
            program["u_clip_from_world"].write(matrix)
            program["u_viewport"] = (float(width), float(height))
            program["u_depth"] = 0
        for layer in layers:
            program = layer.array.program
            program["u_hidden"] = layer.hidden
            program["u_opacity"] = layer.opacity
            if program is self._boxes:
                layer.array.render(moderngl.LINES, vertices=24, instances=layer.instances)
                continue
            program["u_width_px"] = scale * layer.width_px
            for rim_px in (scale * layer.rim_px, 0.0) if layer.rim_px > 0.0 else (0.0,):
                program["u_rim_px"] = rim_px
                if program is self._lines:
                    layer.array.render(moderngl.TRIANGLE_STRIP, vertices=4, instances=layer.instances)
                else:
                    program["u_shrinks"] = float(layer.shrinks)
                    layer.array.render(moderngl.POINTS, vertices=layer.instances)
        target.framebuffer.scissor = None

    def release(self) -> None:
        """Free all layers and the programs."""
        for name in list(self._layers):
            self.remove(name)
        for program in (self._lines, self._boxes, self._points):
            program.release()
