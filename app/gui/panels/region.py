# SPDX-License-Identifier: MIT
"""The region panel: a box in the scene, in numbers, and the things it is for, each with its own words.

Looking only (crop), training only there, and edits of the model (prune, subdivide, delete) are apart on purpose.
"""

from __future__ import annotations

import math
from dataclasses import replace

import dearpygui.dearpygui as dpg

from app import commands
from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.gui.structure_undo import KIND
from app.session import Session
from app.view import regions
from engine.errors import UserError
from engine.region import Region

BUTTONS = (
    "region_handles", "region_scene", "region_seen", "region_voxel", "region_copy", "region_paste", "preview_region",
    "prune_region", "subdivide_region", "delete_outside", "delete_inside",
)  # fmt: skip
TOGGLES = ("crop_view", "crop_outside", "train_region")
FIELDS = {
    "centre": ("Centre", "Middle of the region, x y z in the coordinates of the scene's files."),
    "size": ("Size", "Edges of the region along its own axes, in the units of the scene's files."),
}


class RegionPanel(BasePanel):
    """Where the region is, and what to do with it."""

    id, title = "region", "Region"

    def layout(self) -> None:
        """The box, then three groups: look, train, edit."""
        self.button("region_handles", "Handles")
        with self.columns(3):
            self.button("region_scene", "Scene")
            self.button("region_seen", "In view")
            self.button("region_voxel", "Voxel")
        with dpg.group(tag=self.tag("box"), show=False), self.form(0.24):
            for name, (label, tip) in FIELDS.items():
                with self.field(label, name, tip):
                    dpg.add_input_floatx(tag=self.tag(name), size=3, width=-1, format="%.3f")
                self.edited(name, lambda values, name=name: self._set(name, values))
            with self.field("Angle", "angle", "Turn about the scene's up, in degrees."):
                dpg.add_slider_float(
                    tag=self.tag("angle"), min_value=-180.0, max_value=180.0, format="%.1f°", width=-1,
                    clamped=True, callback=lambda: self._turn(dpg.get_value(self.tag("angle"))),
                )  # fmt: skip
            self.edited("angle", lambda value: self.context.do("inspect.seal", None))
        with self.columns(2):
            self.button("region_copy", "Copy")
            self.button("region_paste", "Paste")
        self._heading("Look", "changes only what you see")
        self._checkbox("crop_view")
        self._checkbox("crop_outside")
        self._heading("Train", "changes what is learned from now on")
        self._checkbox("train_region")
        self._heading("Edit", "changes the model; can be undone")
        with self.columns(3):
            self.button("preview_region", "Preview")
            self.button("prune_region", "Prune")
            self.button("subdivide_region", "Subdivide")
        with self.columns(2):
            self.button("delete_outside")
            self.button("delete_inside")
        dpg.add_text("", tag=self.tag("undo"), color=COLOURS["quiet"], wrap=0)

    def _heading(self, title: str, text: str) -> None:
        with dpg.group(horizontal=True):
            dpg.add_text(title)
            dpg.add_text(text, color=COLOURS["quiet"])

    def _checkbox(self, command_id: str) -> None:
        command = commands.find(command_id)
        dpg.add_checkbox(
            label=command.label, tag=self.tag(command_id), callback=lambda: self._press(command_id)
        )

    def refresh(self, session: Session) -> None:
        """Show the region in force, and what can be done with it."""
        self.allow_commands(session, *BUTTONS, *TOGGLES)
        for command_id in TOGGLES:
            self.put(command_id, bool(commands.find(command_id).checked(session)))
        self.configure("region_handles", label="Hide handles" if session.inspect.handles else "Handles")
        self._show_undo(session)
        region, scene = session.inspect.look.region, session.scene
        shown = region is not None and scene is not None
        self.configure("box", show=shown)
        if not shown:
            return
        there = region.mapped(scene.data_from_engine)
        self.put("centre", tuple(round(x, 4) for x in there.centre))
        self.put("size", tuple(round(2.0 * x, 4) for x in there.half))
        self.put("angle", round(math.degrees(regions.angle_rad(region, scene.up)), 2))

    def _show_undo(self, session: Session) -> None:
        """Say what it costs that edits of the model can be undone."""
        count, held = sum(map(len, session.undo.labels(KIND))), session.inspect.undo_bytes
        text = f"{count} edit{'s' if count != 1 else ''} kept to be undone, {formats.size(held)}"
        self.configure("undo", show=held > 0)
        self.put("undo", text)

    # --- what a person changes ----------------------------------------------------------------------------

    def _press(self, command_id: str) -> None:
        self.forget(command_id)
        self.context.run(command_id)

    def _set(self, name: str, values: list[float]) -> None:
        """Take typed numbers; ones that make no box leave it as it was."""
        self.forget(name)
        scene, region = self.context.session.scene, self.context.session.inspect.look.region
        if scene is None or region is None:
            return
        there, values = region.mapped(scene.data_from_engine), tuple(values[:3])
        try:
            if name == "centre":
                there = replace(there, centre=values)
            else:
                there = replace(there, half=tuple(0.5 * abs(x) for x in values))
        except UserError:
            return
        self.context.do("inspect.seal", None)
        self.context.do("region.set", regions.in_engine(there, scene.data_from_engine))

    def _turn(self, degrees: float) -> None:
        scene, region = self.context.session.scene, self.context.session.inspect.look.region
        if scene is not None and region is not None:
            by = math.radians(degrees) - regions.angle_rad(region, scene.up)
            turned: Region = regions.turned(region, scene.up, by)
            self.context.do("region.set", turned)
