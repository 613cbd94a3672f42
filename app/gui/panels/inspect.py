# SPDX-License-Identifier: MIT
"""The inspect panel: what voxels are coloured by, the numbers of the one that was picked, and the slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.inspection import Numbers, along_in_data
from app.session import Session
from engine.methods.common import Histogram

COLOUR_BY = ("colour", "level", "size", "density", "age", "weight", "priority")
NUMBERS = 11  # rows for a picked voxel
SWATCH_PX, PLOT_PX = 16, 84
REACH, THICKEST = 0.87, 0.5  # engine units: half the diagonal of the scene's box, and half its edge
AXES = {"slice_x": "X", "slice_y": "Y", "slice_z": "Z", "slice_view": "View"}


class InspectPanel(BasePanel):
    """Look closer at voxels."""

    id, title = "inspect", "Inspect"

    def __init__(self) -> None:
        super().__init__()
        self._drawn: Histogram | None = None

    def layout(self) -> None:
        """Colours, the picked voxel, the slice."""
        with self.form(0.34):
            with self.field("Colour by", "mode", "The number of the voxels that pixels are coloured by."):
                dpg.add_combo(
                    [name.capitalize() for name in COLOUR_BY], tag=self.tag("mode"), width=-1,
                    callback=lambda: self._set_mode(dpg.get_value(self.tag("mode"))),
                )  # fmt: skip
            self.number("Range", "legend", "Values at the two ends of the colour map.")
        self._histogram()
        with self.columns(2):
            self.button("pick_voxel", "Pick")
            self.button("copy_numbers")
        dpg.add_text("", tag=self.tag("hint"), color=COLOURS["quiet"], wrap=0)
        with dpg.group(tag=self.tag("numbers"), show=False), self.form(0.34):
            for row in range(NUMBERS):
                self.number("", f"number{row}")
            with self.field("Colour", "swatch"), dpg.group(horizontal=True):
                for name, tip in (
                    ("seen", "As it is seen from here."),
                    ("base", "Without what changes with the view."),
                ):
                    dpg.add_color_button(
                        tag=self.tag(name), width=self.px(3 * SWATCH_PX), height=self.px(SWATCH_PX),
                        no_drag_drop=True, no_alpha=True,
                    )  # fmt: skip
                    self.explain(name, tip)
        self._slice()

    def _histogram(self) -> None:
        """Add the plot of how the number that colours stand for is distributed over the voxels that are drawn."""
        with dpg.group(tag=self.tag("spread"), show=False):
            with self.plot("spread-plot", height=self.px(PLOT_PX), no_inputs=True):
                hidden = dict(no_tick_labels=True, no_tick_marks=True, no_gridlines=True)
                dpg.add_plot_axis(dpg.mvXAxis, tag=self.tag("spread-x"), **hidden)
                with dpg.plot_axis(dpg.mvYAxis, tag=self.tag("spread-y"), **hidden):
                    dpg.add_bar_series([], [], tag=self.tag("bars"), weight=1.0)
            dpg.add_text("", tag=self.tag("spread-text"), color=COLOURS["quiet"], wrap=0)

    def _show_histogram(self, session: Session) -> None:
        details, mode = session.inspect.details, session.view.mode
        found = [h for h in details.histograms if h.name == mode] if details is not None else []
        self.configure("spread", show=bool(found))
        if not found or found[0] is self._drawn:
            return
        self._drawn = found[0]
        counts = [float(n) for n in found[0].counts.sum(axis=0)]
        dpg.set_value(self.tag("bars"), [[float(i) for i in range(len(counts))], counts])
        dpg.set_axis_limits(self.tag("spread-x"), -0.5, len(counts) - 0.5)
        dpg.set_axis_limits(self.tag("spread-y"), 0.0, 1.05 * max(counts) or 1.0)
        low, high = (f"{float(edge):.3g}" for edge in (found[0].edges[0], found[0].edges[-1]))
        scale = ", log scale" if found[0].logarithmic else ""
        self.put("spread-text", f"{formats.count(int(sum(counts)))} voxels, {low} to {high}{scale}")

    def _slice(self) -> None:
        self.checkbox("toggle_slice", "Slice")
        with dpg.group(tag=self.tag("slice"), show=False):
            with self.columns(4):
                for command_id, label in AXES.items():
                    self.button(command_id, label)
            with self.form(0.34):
                self._slider("offset", "At", "Where the plane stands, in the units of the scene's files.")
                self._slider("thickness", "Slab", "How thick a slab is shown behind the plane; 0: all of it.")
            dpg.add_checkbox(
                label="Hide the other side", tag=self.tag("other"),
                callback=lambda: self._flip(dpg.get_value(self.tag("other"))),
            )  # fmt: skip
            self.explain("other", "Show what is hidden, and hide what is shown.")

    def _slider(self, name: str, label: str, tip: str) -> None:
        """Add a row that moves the plane; its range is set with the scene's units."""
        tag = self.tag(name)
        with self.field(label, name, tip):
            dpg.add_slider_float(
                tag=tag, max_value=1.0, format="%.3f", width=-1,
                callback=lambda: self._move(name, dpg.get_value(tag)),
            )  # fmt: skip
        self.edited(name, lambda value: self.context.do("inspect.seal", None))

    def checkbox(self, command_id: str, label: str) -> None:
        """Add a box to tick for a command that switches something on and off."""
        run = self.context.run
        dpg.add_checkbox(label=label, tag=self.tag(command_id), callback=lambda: run(command_id))

    def refresh(self, session: Session) -> None:
        """Show the mode, the voxel and the plane as they are."""
        mode = session.view.mode
        self.put("mode", mode.capitalize())
        self.allow(
            "mode", commands.with_scene(session), "The number of the voxels that pixels are coloured by."
        )
        legend = session.legend
        self.configure("legend-row", show=legend is not None)
        if legend is not None:
            self.put("legend", formats.legend_range(legend))
        self.allow_commands(session, "pick_voxel", "copy_numbers", "toggle_slice", *AXES)
        self.configure("pick_voxel", label="Stop picking" if session.inspect.picking else "Pick")
        self._show_histogram(session)
        self._show_voxel(session)
        self._show_slice(session)

    def _show_voxel(self, session: Session) -> None:
        inspect, scene = session.inspect, session.scene
        voxel = inspect.picked
        self.configure("numbers", show=voxel is not None)
        hint = ""
        if voxel is None:
            hint = "Nothing there. Click a voxel." if inspect.missed else "Click a voxel in the picture."
        self.configure("hint", show=inspect.picking and voxel is None)
        self.put("hint", hint)
        if voxel is None or scene is None:
            return
        rows = Numbers.of(voxel, scene.data_from_engine).rows
        for index in range(NUMBERS):
            self.configure(f"number{index}-row", show=index < len(rows))
            if index < len(rows):
                self.put(f"number{index}-name", rows[index][0])
                self.put(f"number{index}", rows[index][1])
        for name, colour in (("seen", voxel.colour), ("base", voxel.colour_dc)):
            rgb = [round(255.0 * min(max(channel, 0.0), 1.0)) for channel in colour]
            self.put(name, (*rgb, 255))

    def _show_slice(self, session: Session) -> None:
        look, scene = session.inspect.look, session.scene
        self.put("toggle_slice", look.slicing)
        self.configure("slice", show=look.slicing)
        if not look.slicing or scene is None:
            return
        start, scale = along_in_data(look.plane, scene.data_from_engine)
        low, high = start - scale * REACH, start + scale * REACH
        self.configure("offset", min_value=low, max_value=high)
        self.configure("thickness", max_value=scale * THICKEST)
        self.put("offset", start + scale * look.plane.offset)
        self.put("thickness", scale * look.plane.thickness)
        self.put("other", look.plane.other_side)
        for command_id in AXES:
            chosen = commands.find(command_id).checked(session)
            self.configure(command_id, label=f"[{AXES[command_id]}]" if chosen else AXES[command_id])

    # --- what a person changes ----------------------------------------------------------------------------

    def _set_mode(self, label: str) -> None:
        self.forget("mode")
        self.context.run(f"mode_{label.lower()}")

    def _move(self, name: str, value: float) -> None:
        session = self.context.session
        if session.scene is None:
            return
        plane = session.inspect.look.plane
        start, scale = along_in_data(plane, session.scene.data_from_engine)
        engine = (value - start) / scale if name == "offset" else max(0.0, value / scale)
        self._plane(**{name: engine})

    def _flip(self, value: bool) -> None:
        self.context.do("inspect.seal", None)
        self._plane(other_side=value)

    def _plane(self, **changes: Any) -> None:
        self.context.do("inspect.slice_plane", replace(self.context.session.inspect.look.plane, **changes))
