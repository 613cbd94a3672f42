# SPDX-License-Identifier: MIT
"""The options of scene export as a form, and how the window "Export scene" words and paints things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui import formats, theme
from app.gui.edit_handlers import EditHandlers
from engine.export.formats import Format
from engine.export.options import ExportOptions
from engine.messages import SceneExported
from engine.options import OptionInfo, describe

LABEL_SHARE = 0.3
_LABELS = {  # the options that are asked for; the command line sets the others
    "compact.colour_step": "Colour step",
    "mesh.resolution": "Cells along the box",
    "mesh.triangles": "Triangles at most",
    "mesh.pieces": "Smallest piece",
    "points.resolution": "Cells along the box",
    "voxels.opacity": "Least opacity",
    "fusion.views": "Views",
    "fusion.orbit": "Views around",
    "fusion.foreground": "Foreground box only",
}


class OptionsForm:
    """The options of one format at a time; `values` holds all that were set. `changed(group)` hears of every change."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self.values: dict[str, Any] = {}
        self.items: dict[str, int | str] = {}  # of the format that is shown
        self._handlers = EditHandlers()

    def show(self, parent: int | str, chosen: Format) -> None:
        """Show the options of a format under `parent`, in place of what is there."""
        dpg.delete_item(parent, children_only=True)
        self.items = {}
        known = {info.name: info for info in describe(ExportOptions)}
        infos = [known[name] for group in chosen.groups for name in _LABELS if name.startswith(f"{group}.")]
        if not infos:
            return
        with dpg.table(parent=parent, header_row=False, policy=dpg.mvTable_SizingStretchProp):
            dpg.add_table_column(init_width_or_weight=LABEL_SHARE)
            dpg.add_table_column(init_width_or_weight=1.0 - LABEL_SHARE)
            for info in infos:
                with dpg.table_row():
                    dpg.add_text(_LABELS[info.name], color=theme.MUTED)
                    theme.explain(self._field(info), _help(info))

    def _field(self, info: OptionInfo) -> int | str:
        value = self.values.get(info.name, info.default)
        if info.type is bool:
            item = dpg.add_checkbox(default_value=value, callback=lambda: self.take(info.name))
        else:
            add = dpg.add_input_int if info.type is int else dpg.add_input_float
            more = {} if info.type is int else {"format": "%.4g"}
            item = add(
                default_value=value, min_value=info.minimum, max_value=info.maximum, min_clamped=True,
                max_clamped=True, step=0, width=-1, **more,
            )  # fmt: skip
            self._handlers.add(item, lambda _: self.take(info.name))
        self.items[info.name] = item
        return item

    def take(self, name: str) -> None:
        """Take over what a field says."""
        self.values[name] = dpg.get_value(self.items[name])
        self._changed(name.split(".")[0])


def outcome_text(event: SceneExported) -> tuple[str, theme.Colour]:
    """Return what became of an export, and the colour of that."""
    if event.outcome == "finished":
        return f"Wrote {event.path}: {event.detail}, {formats.size(event.bytes)}.", theme.GOOD
    if event.outcome == "cancelled":
        return "The export was cancelled; nothing was written.", theme.MUTED
    return event.detail, theme.BAD


def row_theme() -> int | str:
    """Return a theme of buttons that look like words in a table; the row behind them says which is chosen."""
    with dpg.theme() as look, dpg.theme_component(dpg.mvButton):
        core = {"category": dpg.mvThemeCat_Core}
        dpg.add_theme_color(dpg.mvThemeCol_Button, theme.CLEAR, **core)
        dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, theme.RAISED_HOVER, **core)
        dpg.add_theme_color(dpg.mvThemeCol_ButtonActive, theme.RAISED_ACTIVE, **core)
        dpg.add_theme_style(dpg.mvStyleVar_ButtonTextAlign, 0.0, 0.5, **core)
    return look


def bar_theme() -> int | str:
    """Return a theme of bars on which words can be read."""
    with dpg.theme() as look, dpg.theme_component(dpg.mvProgressBar):
        dpg.add_theme_color(dpg.mvThemeCol_PlotHistogram, theme.ACCENT_DEEP, category=dpg.mvThemeCat_Core)
    return look


def _help(info: OptionInfo) -> str:
    return f"{info.help} In {info.unit}." if info.unit else info.help
