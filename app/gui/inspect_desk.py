# SPDX-License-Identifier: MIT
"""Looking into the structure: levels alone, the slice, picked voxels, the preview, and the edits of the region.

What changes which voxels are drawn is an edit of the window's list, as is every edit of the model that the worker keeps a
snapshot for. What commands and panels may ask for are the names in `actions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from app.gui import structure_undo
from app.gui.inspect_layers import InspectLayers
from app.gui.inspect_tools import PickTool, RegionTool, SliceTool
from app.gui.look_edits import LookEdits
from app.gui.region_actions import RegionActions, copy
from app.inspection import AXES, MOST_BOXES, MOST_BOXES_SOFTWARE, Numbers, SlicePlane, levels_after
from engine.messages import (
    Event,
    Failed,
    GetDetails,
    PreviewAdapt,
    SceneOpened,
    StructureUndone,
    VoxelPicked,
)
from engine.methods.common import VALUE_MODES
from engine.region import Region

if TYPE_CHECKING:
    from app.gui.actions import Parts

GRAB_PX = 12
DETAILS_S = 2.0  # between two looks at how numbers are distributed, while training goes on


class InspectDesk:
    """Acts on `Session.inspect`; a `Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._session, self._send = parts, parts.session, parts.send
        self._undo = structure_undo.StructureEdits(parts.session.undo, parts.send)
        self._edits = LookEdits(parts.session, parts.wake)
        self._region = RegionActions(parts, self._edits)
        self._detailed: tuple[Any, ...] | None = None  # what details were asked for last
        self._since_details_s = 0.0
        self._place: Any = None  # path, kind and box of the scene that the look belongs to
        tool = (self._session, self._edits.show, self._edits.seal, self._reach_px)
        region, plane = RegionTool(*tool), SliceTool(*tool)
        picking = PickTool(self._session, self._send)
        parts.viewport.use(region, plane, picking, layers=InspectLayers(region, plane))

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what commands and panels may ask for."""
        return {
            "inspect.level": self._isolate,
            "inspect.all_levels": lambda _: self._isolate_only(()),
            "inspect.next_level": lambda _: self._next_level(),
            "inspect.preview": self._preview,
            "inspect.pick": lambda _: self._toggle_picking(),
            "inspect.copy_numbers": lambda _: self._copy_numbers(),
            "inspect.slice": lambda _: self._toggle_slice(),
            "inspect.slice_axis": self._slice_across,
            "inspect.slice_plane": lambda plane: self._edits.show(
                "Move slice", self._edits.changed(plane=plane), "slice"
            ),
            "inspect.put_away": lambda _: self._put_away(),
            "inspect.show_all": lambda _: self._show_all(),
            "inspect.seal": lambda _: self._edits.seal(),
            **self._region.actions(),
        }

    def on_event(self, event: Event) -> None:
        """Hear an event; the session has followed it."""
        if isinstance(event, SceneOpened):
            place = (event.path, event.kind, event.data_from_engine.tobytes())
            if place != self._place:
                self._edits.forget()
            self._place = place
        self._undo.on_event(event)
        self._region.on_event(event)
        if isinstance(event, StructureUndone):
            self._parts.viewport.structure_changed()
            self._parts.reports.note(structure_undo.sentence(event))
        elif isinstance(event, VoxelPicked) and event.voxel is None:
            self._parts.reports.note("there is no voxel")
        elif isinstance(event, VoxelPicked):
            self._parts.columns.reveal("inspect")
        elif isinstance(event, Failed):
            self._session.inspect.preview &= self._session.preview is not None

    def update(self, dt: float) -> bool:
        """Ask how the number that pixels are coloured by is distributed, when that may have become another."""
        self._since_details_s += dt
        session = self._session
        scene, mode, stats = session.scene, session.view.mode, session.stats
        if scene is None or mode not in VALUE_MODES or scene.why_not("details") or stats is None:
            self._detailed = None
            return False
        levels = session.inspect.look.levels
        asked = (scene.key, mode, levels, stats.structure.voxels, stats.step)
        soon = self._detailed is None or asked[:3] != self._detailed[:3]
        if asked != self._detailed and (soon or self._since_details_s >= DETAILS_S):
            self._detailed, self._since_details_s = asked, 0.0
            self._send(GetDetails(levels))
        return False

    def close(self) -> None:
        """Nothing is kept."""
        return None

    # --- levels -------------------------------------------------------------------------------------------

    def _isolate(self, asked: tuple[int, bool]) -> None:
        """Draw a level alone, or, with True beside it, take it in or out."""
        level, add = asked
        self._isolate_only(levels_after(self._session.inspect.look.levels, level, add))

    def _isolate_only(self, levels: tuple[int, ...]) -> None:
        view = self._session.view
        if levels and view.show_wireframe:
            view.wire_levels = levels
        self._edits.show("Choose levels", self._edits.changed(levels=levels))

    def _next_level(self) -> None:
        """Go from all levels to the coarsest alone, on to finer ones, and back to all."""
        stats = self._session.stats
        per_level = stats.structure.per_level if stats is not None else ()
        occupied = [level for level, count in enumerate(per_level) if count]
        now = self._session.inspect.look.levels
        after = [level for level in occupied if not now or level > max(now)]
        self._isolate_only((after[0],) if after else ())

    def _show_all(self) -> None:
        self._edits.show("Show everything", self._edits.changed(levels=(), crop=False, slicing=False))

    # --- preview and picking ------------------------------------------------------------------------------

    def _preview(self, region: Region | None) -> None:
        """Show what would be pruned and split, in a region or everywhere, or put it away again."""
        inspect, scene = self._session.inspect, self._session.scene
        if inspect.preview and region is None:
            inspect.preview = False
            return
        self._session.preview = None
        inspect.preview = not scene.why_not("preview_boxes")
        inspect.most_boxes = MOST_BOXES_SOFTWARE if self._parts.viewport.canvas.software else MOST_BOXES
        self._send(PreviewAdapt(inspect.most_boxes if inspect.preview else 0, region))

    def _toggle_picking(self) -> None:
        inspect = self._session.inspect
        inspect.picking = not inspect.picking
        if inspect.picking:
            self._parts.reports.note("click a voxel in the picture")

    def _copy_numbers(self) -> None:
        scene = self._session.scene
        numbers = Numbers.of(self._session.inspect.picked, scene.data_from_engine)
        copy(self._parts, numbers.text(), "numbers of the voxel")

    def _put_away(self) -> None:
        inspect = self._session.inspect
        inspect.preview = inspect.picking = inspect.handles = False
        inspect.picked = None

    def _reach_px(self) -> float:
        return self._parts.viewport.pointing.reach(GRAB_PX)

    # --- the slice ----------------------------------------------------------------------------------------

    def _toggle_slice(self) -> None:
        look = self._session.inspect.look
        if look.slicing:
            self._edits.show("Put slice away", self._edits.changed(slicing=False))
        elif look.plane == SlicePlane():  # never used: cut so that one looks into the scene
            self._slice_across("x")
        else:
            self._edits.show("Slice", self._edits.changed(slicing=True))

    def _slice_across(self, axis: str) -> None:
        """Cut across an axis, or across the line of sight ("view"), through the middle; what is nearer is hidden."""
        camera = self._parts.viewport.controller.camera.engine_camera(16, 16)
        plane = self._session.inspect.look.plane
        if axis == "view":
            along = tuple(float(v) for v in -camera.forward)
            plane = SlicePlane("view", along, 0.0, plane.thickness)
        else:
            other = float(np.dot(camera.position, AXES[axis])) < 0.0
            plane = SlicePlane(axis, AXES[axis], 0.0, plane.thickness, other)
        self._edits.show("Slice", self._edits.changed(plane=plane, slicing=True))
