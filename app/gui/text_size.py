# SPDX-License-Identifier: MIT
"""How large the window's text is: the desktop's scale times what the person chose, kept in the layout."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg

from app.gui import theme
from app.gui.columns import Columns


class TextSize:
    """Scales the fonts, which were made for the size that the layout had when the window opened."""

    def __init__(self, columns: Columns, desk_scale: float) -> None:
        self._columns, self._desk_scale = columns, desk_scale
        self._made_for = made_scale(desk_scale, columns.layout.font_scale)

    def zoom(self, factor: float) -> float:
        """Make text larger or smaller; return the new scale."""
        scale = theme.clamped_scale(self._columns.layout.font_scale * factor)
        self._columns.layout = replace(self._columns.layout, font_scale=scale)
        self.show()
        return scale

    def show(self) -> None:
        """Draw text at the layout's size."""
        wanted = made_scale(self._desk_scale, self._columns.layout.font_scale)
        dpg.set_global_font_scale(wanted / self._made_for)


def made_scale(desk_scale: float, font_scale: float) -> float:
    """Return the scale to make fonts and spacing for."""
    return theme.clamped_scale(desk_scale * font_scale)
