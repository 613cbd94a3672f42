# SPDX-License-Identifier: MIT
"""Brings what is on the screen to other colours or another scale, whoever made it: Dear PyGui copies both at creation.

Walks all items: 3,000 take about 0.1 s, once per change of the settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import dearpygui.dearpygui as dpg

from app.gui.colours import Rgba

_COLOURED = ("color", "fill")
_LENGTHS = ("width", "height", "wrap", "indent", "horizontal_spacing", "xoffset")
_NO_LENGTHS = (
    "mvImage",
    "mvStaticTexture",
    "mvDynamicTexture",
    "mvRawTexture",
    "mvFont",
    "mvFontRegistry",
    "mvMenuBar",
)
_CORE, _PLOTS = dpg.mvThemeCat_Core, dpg.mvThemeCat_Plots
_SCALED_STYLES = {
    (_CORE, target)
    for target in (
        dpg.mvStyleVar_WindowPadding, dpg.mvStyleVar_FramePadding, dpg.mvStyleVar_ItemSpacing,
        dpg.mvStyleVar_ItemInnerSpacing, dpg.mvStyleVar_CellPadding, dpg.mvStyleVar_FrameRounding,
        dpg.mvStyleVar_GrabRounding, dpg.mvStyleVar_PopupRounding, dpg.mvStyleVar_ChildRounding,
        dpg.mvStyleVar_WindowRounding, dpg.mvStyleVar_ScrollbarRounding, dpg.mvStyleVar_TabRounding,
        dpg.mvStyleVar_ScrollbarSize, dpg.mvStyleVar_GrabMinSize, dpg.mvStyleVar_IndentSpacing,
    )
} | {
    (_PLOTS, target)
    for target in (
        dpg.mvPlotStyleVar_PlotPadding, dpg.mvPlotStyleVar_PlotMinSize, dpg.mvPlotStyleVar_LabelPadding,
        dpg.mvPlotStyleVar_LegendPadding, dpg.mvPlotStyleVar_LineWeight, dpg.mvPlotStyleVar_MarkerSize,
    )
}  # fmt: skip


def recolour(changes: dict[Rgba, Rgba]) -> None:
    """Give every item that has a colour of before the one of now; another opacity of the same colour is kept."""
    if not changes:
        return
    plain = {before[:3]: after[:3] for before, after in changes.items() if before[3] == 255}

    def now(values: Iterable[float], unit: float) -> Rgba | None:
        before = tuple(round(value * unit) for value in values)
        if before in changes:
            return changes[before]
        return (*plain[before[:3]], before[3]) if before[:3] in plain and before[3] >= 0 else None

    for item in dpg.get_all_items():
        kind = _kind(item)
        if kind == "mvThemeColor":
            after = now(dpg.get_value(item), 1.0)
            if after is not None:
                dpg.set_value(item, after)
        elif kind == "mvText" or (kind.startswith("mvDraw") and kind != "mvDrawImage"):
            known = dpg.get_item_configuration(item)
            wanted = {key: now(known[key], 255.0) for key in _COLOURED if len(known.get(key) or ()) == 4}
            wanted = {key: value for key, value in wanted.items() if value is not None}
            if wanted:
                dpg.configure_item(item, **wanted)


class Rescale:
    """Multiplies lengths of all items; remembers exact ones, so that going back and forth ends where it began."""

    def __init__(self) -> None:
        # (item, property) -> exact length, and that which was set
        self._exact: dict[tuple[int | str, str], tuple[float, int]] = {}
        self._before = self._exact

    def apply(self, ratio: float, fonts: dict[int | str, int | str]) -> None:
        """Multiply lengths by `ratio` and put other fonts in the place of those that are bound."""
        self._before, self._exact = self._exact, {}  # items that are gone are forgotten
        for item in dpg.get_all_items():
            kind = _kind(item)
            if kind == "mvThemeStyle":
                self._style(item, ratio)
                continue
            font = dpg.get_item_font(item) if not kind.startswith(("mvTheme", "mvFont", "mvDraw")) else None
            if font in fonts:
                dpg.bind_item_font(item, fonts[font])
            if kind in _NO_LENGTHS or (kind.startswith("mvDraw") and kind != "mvDrawlist"):
                continue
            known = dpg.get_item_configuration(item)
            wanted = {
                key: self._scaled(item, key, known[key], ratio)
                for key in _LENGTHS
                if isinstance(known.get(key), int | float) and abs(known[key]) > 1
            }
            if kind == "mvTableColumn" and known.get("width_fixed"):
                wanted["init_width_or_weight"] = self._scaled(
                    item, "column", known["init_width_or_weight"], ratio
                )
            if wanted:
                with contextlib.suppress(SystemError):  # some kinds tell a length that they do not take
                    dpg.configure_item(item, **wanted)

    def _style(self, item: int | str, ratio: float) -> None:
        known = dpg.get_item_configuration(item)
        if (known.get("category", _CORE), known["target"]) not in _SCALED_STYLES:
            return
        values = dpg.get_value(item)
        scaled = [
            float(self._scaled(item, str(axis), value, ratio)) if value > 1 else value
            for axis, value in enumerate(values[:2])
        ]
        dpg.set_value(item, [*scaled, 0.0, 0.0][: max(2, len(values))])

    def _scaled(self, item: int | str, key: str, now: float, ratio: float) -> int:
        exact, shown = self._before.get((item, key), (float(now), round(now)))
        if shown != round(now):  # somebody set it since
            exact = float(now)
        exact *= ratio
        self._exact[item, key] = exact, round(exact)
        return round(exact)


def _kind(item: int | str) -> str:
    return dpg.get_item_info(item)["type"].split("::")[-1]
