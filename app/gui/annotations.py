# SPDX-License-Identifier: MIT
"""What is written over the viewport's picture: cube of axes, name of the view, split line, legend. Drawn by Dear PyGui.

Each part is drawn anew only when what it shows is something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.gui import formats, theme
from app.view.frusta import AXIS_COLOURS

GIZMO_RADIUS = 30
LEGEND_SIZE = (180, 8)
SHADOW, LIGHT = (16, 18, 22, 205), (255, 255, 255, 230)  # of the split line, which lies on pictures


@dataclass(frozen=True)
class Chip:
    """A short text on a plate; (x, y) is its top left corner in the viewport."""

    text: str
    x: float
    y: float
    colour: theme.Colour = theme.TEXT


class Annotations:
    """Layers of one drawlist. Positions are pixels of the viewport."""

    def __init__(self, drawlist: int | str, look: theme.Theme) -> None:
        self._look = look
        self._layers = {
            name: dpg.add_draw_layer(parent=drawlist)
            for name in ("legend", "quality", "split", "gizmo", "chips")
        }
        self._shown: dict[str, Any] = {}

    def restyle(self) -> None:
        """Draw everything again: colours or sizes are others."""
        self._shown.clear()

    def _redraw(self, name: str, key: Any, draw: Callable[[int | str], None]) -> bool:
        if self._shown.get(name) == key:
            return False
        self._shown[name] = key
        layer = self._layers[name]
        dpg.delete_item(layer, children_only=True)
        if key is not None:
            draw(layer)
        return True

    def gizmo(self, rotation: np.ndarray | None, width: int, top: float) -> bool:
        """Show the world's axes at the top right, for a camera with axes right, up, back as columns [3,3]."""
        px = self._look.sizes.px
        radius = px(GIZMO_RADIUS)
        centre = np.array([width - radius - px(22), top + radius + px(20)])
        key = None if rotation is None else (np.round(rotation, 3).tobytes(), *centre)

        def draw(layer: int | str) -> None:
            screen = rotation.T  # columns: the world's axes in the camera
            for axis, sign in sorted(
                ((a, s) for a in range(3) for s in (1, -1)), key=lambda pair: pair[1] * screen[2, pair[0]]
            ):
                colour = tuple(int(255 * c) for c in AXIS_COLOURS[axis])
                tip = centre + sign * radius * screen[:2, axis] * [1, -1]
                dot = px(8)
                if sign > 0:
                    dpg.draw_line(
                        centre.tolist(), tip.tolist(), color=(*colour, 255), thickness=px(2), parent=layer
                    )
                    dpg.draw_circle(
                        tip.tolist(), dot, color=(*colour, 255), fill=(*colour, 255), parent=layer
                    )
                    size = px(13)
                    corner = [tip[0] - 0.3 * size, tip[1] - 0.5 * size]
                    dpg.draw_text(corner, "XYZ"[axis], size=size, color=(16, 18, 22, 255), parent=layer)
                else:
                    dpg.draw_circle(
                        tip.tolist(), 0.7 * dot, color=(*colour, 150), fill=(*colour, 60), parent=layer
                    )

        return self._redraw("gizmo", key, draw)

    def chips(self, chips: list[Chip]) -> bool:
        """Show short texts on plates."""

        def draw(layer: int | str) -> None:
            px = self._look.sizes.px
            for chip in chips:
                width, height = dpg.get_text_size(chip.text) or (8 * len(chip.text), px(15))
                pad_x, pad_y = px(9), px(5)
                low, high = [chip.x, chip.y], [chip.x + width + 2 * pad_x, chip.y + height + 2 * pad_y]
                dpg.draw_rectangle(
                    low, high, color=theme.PLATE, fill=theme.PLATE, rounding=px(6), parent=layer
                )
                place = [chip.x + pad_x, chip.y + pad_y]
                dpg.draw_text(place, chip.text, size=px(theme.FONT_PX), color=chip.colour, parent=layer)

        return self._redraw("chips", tuple(chips) or None, draw)

    def split(self, x: float | None, width: int, height: int, sides: tuple[str, str]) -> bool:
        """Show the line between two pictures at `x`, and what is left and right of it."""

        def draw(layer: int | str) -> None:
            px = self._look.sizes.px
            for colour, thickness in (
                (SHADOW, px(3)),
                (LIGHT, px(1)),
            ):  # seen on white and on black
                dpg.draw_line([x, 0], [x, height], color=colour, thickness=thickness, parent=layer)
            middle, r = height / 2, px(11)
            dpg.draw_circle([x, middle], r, color=LIGHT, fill=theme.FLOATING, parent=layer)
            for side in (-1, 1):
                tip = [x + side * 0.62 * r, middle]
                back = x + side * 0.25 * r
                dpg.draw_triangle(
                    tip, [back, middle - 0.35 * r], [back, middle + 0.35 * r],
                    color=theme.TEXT, fill=theme.TEXT, parent=layer,
                )  # fmt: skip
            for text, side in zip(sides, (-1, 1)):
                plate = (dpg.get_text_size(text) or (px(8) * len(text), 0))[0] + px(14)
                place = x + px(12) if side > 0 else x - px(12) - plate
                if not 0 <= place <= width - plate:  # the part of that side is too narrow for its name
                    continue
                low, high = [place, height - px(36)], [place + plate, height - px(12)]
                dpg.draw_rectangle(
                    low, high, color=theme.PLATE, fill=theme.PLATE, rounding=px(6), parent=layer
                )
                corner = [low[0] + px(7), low[1] + px(4)]
                dpg.draw_text(corner, text, size=px(theme.FONT_PX), color=theme.TEXT, parent=layer)

        return self._redraw("split", None if x is None else (round(x), width, height, sides), draw)

    def legend(
        self,
        legend: tuple[float, float, str] | None,
        colours: np.ndarray | None,
        height: int,
        above: float = 0.0,
        name: str = "legend",
    ) -> bool:
        """Show the scale of false colours at the bottom left, above so many others: `colours [n,3]`, low to high, 0..255."""
        key = None if legend is None or colours is None else (*legend, height, above, colours.tobytes())

        def draw(layer: int | str) -> None:
            px = self._look.sizes.px
            low, high, label = legend
            width, thick = px(LEGEND_SIZE[0]), px(LEGEND_SIZE[1])
            x, y = px(22), height - px(42) - round(above * px(66))
            plate = [x - px(10), y - px(26)], [x + width + px(10), y + thick + px(24)]
            dpg.draw_rectangle(*plate, color=theme.PLATE, fill=theme.PLATE, rounding=px(6), parent=layer)
            step = width / len(colours)
            for i, colour in enumerate(colours):
                box = [x + i * step, y], [x + (i + 1) * step, y + thick]
                rgb = (*(int(c) for c in colour), 255)
                dpg.draw_rectangle(*box, color=rgb, fill=rgb, thickness=0, parent=layer)
            size = px(13)
            dpg.draw_text([x, y - px(19)], label, size=size, color=theme.TEXT, parent=layer)
            dpg.draw_text(
                [x, y + thick + px(4)], formats.short(low), size=size, color=theme.MUTED, parent=layer
            )
            text = formats.short(high)
            place = [x + width - 0.55 * size * len(text), y + thick + px(4)]
            dpg.draw_text(place, text, size=size, color=theme.MUTED, parent=layer)

        return self._redraw(name, key, draw)
