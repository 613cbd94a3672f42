# SPDX-License-Identifier: MIT
"""Bars over the viewport that leave the export's frame free: what is framed is what will be exported."""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import theme
from app.gui.path_player import frame_in
from app.gui.viewport import Viewport

BAR: theme.Colour = (10, 11, 14, 215)
EDGE: theme.Colour = (255, 255, 255, 70)


class FrameBars:
    """Drawn anew only when the frame lies elsewhere."""

    def __init__(self, viewport: Viewport) -> None:
        self._viewport = viewport
        self._layer: int | str = 0
        self._shown: Any = None

    def refresh(self, aspect: float | None) -> bool:
        """Show the frame of an aspect, None: no bars; return whether anything changed."""
        rect = self._viewport.rect
        key = None if aspect is None else (aspect, rect.width, rect.height)
        if key == self._shown:
            return False
        self._shown = key
        if not self._layer:
            self._layer = dpg.add_draw_layer(parent=self._viewport.drawlist)
        dpg.delete_item(self._layer, children_only=True)
        if aspect is not None:
            self._draw(aspect, rect.width, rect.height)
        return True

    def _draw(self, aspect: float, width: int, height: int) -> None:
        x, y, w, h = frame_in((width, height), aspect)
        bars = (  # a little beyond the picture, where edges would shine through
            ((-1, -1), (x, height + 1)),
            ((x + w, -1), (width + 1, height + 1)),
            ((x - (x < 1), -1), (x + w + (x < 1), y)),
            ((x - (x < 1), y + h), (x + w + (x < 1), height + 1)),
        )
        for low, high in bars:
            if high[0] - low[0] > 1.5 and high[1] - low[1] > 1.5:
                dpg.draw_rectangle(
                    list(low), list(high), color=BAR, fill=BAR, thickness=0, parent=self._layer
                )
        dpg.draw_rectangle([x, y], [x + w, y + h], color=EDGE, parent=self._layer)
