# SPDX-License-Identifier: MIT
"""The view panel: what the viewport shows and how much of the machine it may take. It changes `session.view` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session, ViewSettings
from engine.constants import MAX_LEVEL
from engine.methods.common import VALUE_MODES, VIEW_MODES
from engine.render.colour_maps import COLOUR_MAPS

MODES = {
    mode: f"{number}  {mode.capitalize()}" for number, mode in zip("1234567890", VIEW_MODES, strict=True)
} | {mode: f"    {mode.capitalize()}" for mode in VALUE_MODES}
UNMAPPED = ("colour", "normal", "soft", "node")  # modes that do not use the colour map
BACKGROUNDS: dict[str, tuple[float, float, float] | None] = {
    "scene": None,
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}
GROUND_TRUTH = ("off", "photo", "split")
BESIDE = (*GROUND_TRUTH, "beside", "difference")  # while there is a model beside the open one
OVERLAYS = (
    "toggle_frusta",
    "toggle_box",
    "toggle_axes",
    "toggle_points",
    "toggle_wireframe",
    "toggle_errors",
)
LEVELS_PER_ROW = 5
# Field of ViewSettings -> (label, lowest, highest, format, help).
SLIDERS = {
    "fov_y_deg": ("Field of view", 10.0, 120.0, "%.0f°", "Vertical angle of the view."),
    "fly_speed": ("Fly speed", 0.02, 5.0, "%.2f /s", "Scene cubes per second; hold Shift to go faster."),
    "max_scale": ("Resolution", 0.25, 1.0, "%.2f x", "Largest size of a still picture, per screen pixel."),
    "utilisation": (
        "Training share",
        0.1,
        0.98,
        "%.2f",
        "What training gets of the time while nothing moves.",
    ),
}


class ViewPanel(BasePanel):
    """Mode and colours, photo comparison, lens and budget, overlays."""

    id, title = "view", "View"

    def layout(self) -> None:
        """A form on top, overlays below."""
        with self.form(0.38):
            self._choice("Mode", "mode", tuple(MODES.values()), self._set_mode)
            self._choice("Colour map", "colour_map", COLOUR_MAPS, self._setter("colour_map"))
            self.number("Range", "legend", "Values at the two ends of the colour map.")
            self._choice("Background", "background", (*BACKGROUNDS, "custom"), self._set_background)
            with self.field("", "custom"):
                dpg.add_color_edit(
                    tag=self.tag("custom"), no_alpha=True, no_inputs=True, callback=self._set_custom
                )
            self._choice("Compare with", "ground_truth", GROUND_TRUTH, self._setter("ground_truth"))
            self._slider(
                "split",
                "Split at",
                0.0,
                1.0,
                "%.2f",
                "Photo or the model beside on the left of this line, render on the right.",
            )
            for name, spec in SLIDERS.items():
                self._slider(name, *spec)
        with self.columns(2):
            for side in (OVERLAYS[0::2], OVERLAYS[1::2]):
                with dpg.group():
                    for command_id in side:
                        self._checkbox(command_id)
        with dpg.group(tag=self.tag("levels")):
            dpg.add_text("Wireframe levels", tag=self.tag("wire"), color=COLOURS["quiet"])
            for first in range(0, MAX_LEVEL + 1, LEVELS_PER_ROW):
                with dpg.group(horizontal=True):
                    for level in range(first, min(first + LEVELS_PER_ROW, MAX_LEVEL + 1)):
                        dpg.add_checkbox(
                            label=str(level),
                            tag=self.tag(f"level{level}"),
                            callback=self._set_levels,
                            show=False,
                        )

    def _choice(self, label: str, name: str, items: tuple[str, ...], act: Callable[[str], None]) -> None:
        tag = self.tag(name)
        with self.field(label, name):
            dpg.add_combo(items, tag=tag, width=-1, callback=lambda: act(dpg.get_value(tag)))

    def _slider(self, name: str, label: str, low: float, high: float, form: str, tip: str) -> None:
        tag, act = self.tag(name), self._setter(name)
        with self.field(label, name, tip):
            dpg.add_slider_float(
                tag=tag, min_value=low, max_value=high, format=form, width=-1, clamped=True,
                callback=lambda: act(dpg.get_value(tag)),
            )  # fmt: skip
        self.explain(name, tip)

    def _checkbox(self, command_id: str) -> None:
        command = commands.find(command_id)
        dpg.add_checkbox(
            label=command.label, tag=self.tag(command_id), callback=lambda: self._press(command_id)
        )
        self.explain(command_id, commands.tooltip(command))

    def refresh(self, session: Session) -> None:
        """Show the settings in force: keys and menus change them too."""
        view = session.view
        self.put("mode", MODES.get(view.mode, view.mode))
        self.put("colour_map", view.colour_map)
        mapped = view.mode not in UNMAPPED or view.show_errors
        mapped = None if mapped else "This mode has colours of its own."
        self.allow("colour_map", mapped, "Colours from low to high.")
        self._show_legend(session)
        known = next((name for name, rgb in BACKGROUNDS.items() if rgb == view.background), "custom")
        self.put("background", known)
        self.configure("custom-row", show=known == "custom")
        if known == "custom" and view.background is not None:
            self.put("custom", tuple(round(255.0 * channel) for channel in view.background))
        self.put("ground_truth", view.ground_truth)
        photo, beside = commands.find("ground_truth"), session.beside is not None
        self.configure("ground_truth", items=BESIDE if beside else GROUND_TRUTH)
        self.allow("ground_truth", None if beside else photo.enabled_when(session), commands.tooltip(photo))
        self.configure("split-row", show=view.ground_truth in ("split", "beside"))
        for name in ("split", *SLIDERS):
            self.put(name, getattr(view, name))
        for command_id in OVERLAYS:
            command = commands.find(command_id)
            self.put(command_id, bool(command.checked and command.checked(session)))
        self.allow_commands(session, *OVERLAYS)
        self._show_levels(view, session)

    def _show_legend(self, session: Session) -> None:
        self.configure("legend-row", show=session.legend is not None)
        if session.legend is not None:
            self.put("legend", formats.legend_range(session.legend))

    def _show_levels(self, view: ViewSettings, session: Session) -> None:
        self.configure("levels", show=view.show_wireframe)
        self.put("wire", _wire_title(session.wire_drawn if view.wire_levels else None))
        per_level = session.stats.structure.per_level if session.stats else ()
        for level in range(MAX_LEVEL + 1):
            occupied = level < len(per_level) and per_level[level] > 0
            self.configure(f"level{level}", show=occupied)
            self.put(f"level{level}", level in view.wire_levels)

    # --- what a person changes ----------------------------------------------------------------------------

    def _setter(self, name: str) -> Callable[[Any], None]:
        def act(value: Any) -> None:
            setattr(self.context.session.view, name, value)

        return act

    def _set_mode(self, label: str) -> None:
        mode = next(mode for mode, text in MODES.items() if text == label)
        self.forget("mode")
        self.context.run(f"mode_{mode}")

    def _press(self, command_id: str) -> None:
        self.forget(command_id)
        self.context.run(command_id)

    def _set_background(self, name: str) -> None:
        view = self.context.session.view
        view.background = (0.5, 0.5, 0.5) if name == "custom" else BACKGROUNDS[name]

    def _set_custom(self) -> None:
        # The widget speaks of 0..255 when it is set and when it is read.
        channels = dpg.get_value(self.tag("custom"))[:3]
        red, green, blue = (min(max(channel / 255.0, 0.0), 1.0) for channel in channels)
        self.context.session.view.background = (red, green, blue)

    def _set_levels(self) -> None:
        chosen = [level for level in range(MAX_LEVEL + 1) if dpg.get_value(self.tag(f"level{level}"))]
        self.context.session.view.wire_levels = tuple(chosen)
        for level in range(MAX_LEVEL + 1):
            self.forget(f"level{level}")


def _wire_title(drawn: tuple[int, int] | None) -> str:
    if drawn is None or drawn[0] >= drawn[1]:
        return "Wireframe levels"
    return f"Wireframe levels: {drawn[0]:,} of {drawn[1]:,} drawn"
