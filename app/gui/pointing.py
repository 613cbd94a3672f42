# SPDX-License-Identifier: MIT
"""What the mouse means in the viewport: a tool's handle, a photo's frustum, the line of the split, how deep it is there.

Places are in the window's units, from the viewport's corner. Questions are answered by the picture that is on the screen,
with the camera it was drawn with, however far the view has moved since.
"""

from __future__ import annotations

import numpy as np

from app.gui import theme
from app.gui.canvas import Canvas
from app.gui.layout import Rect
from app.gui.overlay_layers import OverlayLayers
from app.gui.tools import Tool
from app.session import Session
from app.view.frusta import pick_camera
from engine.cameras import Camera

SPLIT_GRAB_PX = 9


class Pointing:
    """Asks the tools in order, then the frusta."""

    def __init__(self, session: Session, canvas: Canvas, layers: OverlayLayers, look: theme.Theme) -> None:
        self._session, self._canvas, self._layers, self._look = session, canvas, layers, look
        self._rect = Rect(0, 0, 1, 1)
        self._tool: Tool | None = None  # that has the mouse
        self.tools: list[Tool] = []  # asked before the frusta
        self.hovered: int | None = None  # one of `layers.cameras`

    @property
    def view(self) -> int | None:
        """The capture view whose frustum is under the mouse."""
        return self._layers.view_of(self.hovered)

    def place(self, rect: Rect) -> None:
        """The viewport fills a rectangle of the window."""
        self._rect = rect

    def reach(self, length: float) -> float:
        """Return a length on an ordinary screen in pixels of the picture that is shown."""
        frame = self._canvas.frame
        shown = self._rect.width if frame is None else frame.request.camera.width
        return length * self._look.sizes.scale * shown / max(1, self._rect.width)

    def depth_at(self, x: float, y: float) -> float | None:
        """Return the depth of what is shown at a place, None where nothing is."""
        frame = self._canvas.frame
        if frame is None:
            return None
        height, width = frame.depth_z.shape
        column = min(max(int(x / self._rect.width * width), 0), width - 1)
        row = min(max(int(y / self._rect.height * height), 0), height - 1)
        depth = float(frame.on_host().depth_z[row, column])
        return depth if np.isfinite(depth) else None

    def over_split(self, x: float) -> bool:
        """Whether the split line is under the mouse."""
        reach = self._look.sizes.px(SPLIT_GRAB_PX)
        return self._canvas.split and abs(x - self._session.view.split * self._rect.width) <= reach

    def hover(self, x: float, y: float) -> None:
        """Find the handle or the frustum under the mouse."""
        self.hovered = None
        under = self._under(x, y)
        if under is None:
            return
        taken, view = self._hover_tools(*under), self._session.view
        if view.show_frusta and not taken and not self._session.timeline.preview:
            self.hovered = pick_camera(self._layers.cameras, self._layers.frustum_size, *under)

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self.hovered = None
        for tool in self.tools:
            tool.unhover()

    def press(self, x: float, y: float) -> bool:
        """Let a tool take the press at a place; return whether one did."""
        under = self._under(x, y)
        if under is not None:
            self._tool = next((tool for tool in self.tools if tool.press(*under)), None)
        return self._tool is not None

    def drag(self, x: float, y: float) -> None:
        """Move what a tool took."""
        under = self._under(x, y)
        if self._tool is not None and under is not None:
            self._tool.drag(*under)

    def release(self) -> None:
        """Let go of what a tool took."""
        if self._tool is not None:
            self._tool.release()
            self._tool = None

    def click(self, x: float, y: float) -> bool:
        """Let the tools have a click; return whether one took it."""
        under = self._under(x, y)
        return under is not None and any(tool.click(*under) for tool in self.tools)

    def forget(self) -> None:
        """Another scene is open: nothing of the last one is in hand."""
        self.release()
        self.unhover()

    def _hover_tools(self, camera: Camera, x: float, y: float) -> bool:
        """Ask the tools in order whether the mouse means one of them; the others are told that it does not."""
        taken = False
        for tool in self.tools:
            if taken:
                tool.unhover()
            else:
                taken = tool.hover(camera, x, y)
        return taken

    def _under(self, x: float, y: float) -> tuple[Camera, float, float] | None:
        """Return the camera of what is shown and a place in its pixels; None before the first picture."""
        if self._canvas.frame is None:
            return None
        camera = self._canvas.frame.request.camera
        scale = camera.width / self._rect.width
        return camera, x * scale, y * scale
