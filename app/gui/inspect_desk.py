# SPDX-License-Identifier: MIT
"""Looking into the structure: levels alone, the slice, picked voxels, the preview, and the edits of the region.

What changes which voxels are drawn is an edit of the window's list, as is every edit of the model that the worker keeps a
snapshot for. What commands and panels may ask for are the names in `actions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.gui import structure_undo
from app.gui.inspect_layers import InspectLayers
from app.gui.inspect_tools import PickTool, RegionTool, SliceTool
from app.inspection import AXES, MOST_BOXES, MOST_BOXES_SOFTWARE, Look, Numbers, SlicePlane, levels_after
from app.undo import Edit
from app.view import regions
from engine.errors import UserError
from engine.messages import (
    Event,
    Failed,
    PreviewAdapt,
    SceneOpened,
    SetTrainRegion,
    StructureUndone,
    TrainRegionChanged,
    VoxelPicked,
)
from engine.region import Region

if TYPE_CHECKING:
    from app.gui.actions import Parts

GRAB_PX = 12
_LOOK, _TRAINED = "look", "train region"  # kinds of edits that go with their scene


class InspectDesk:
    """Acts on `Session.inspect`; a `Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._session, self._send = parts, parts.session, parts.send
        self._edits = structure_undo.StructureEdits(parts.session.undo, parts.send)
        self._merging = ""  # what the last edit of the look may be merged with
        self._asked: tuple[Region | None, Region | None] | None = None  # what was trained, what is to be
        self._place: Any = None  # path, kind and box of the scene that the look belongs to
        tool = (self._session, self._change, self._seal, self._reach_px)
        region, plane = RegionTool(*tool), SliceTool(*tool)
        parts.viewport.tools += [region, plane, PickTool(self._session, self._send)]
        parts.viewport.layers.sources.append(InspectLayers(region, plane))

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
            "inspect.slice_plane": lambda plane: self._change("Move slice", self._with(plane=plane), "slice"),
            "inspect.put_away": lambda _: self._put_away(),
            "inspect.show_all": lambda _: self._show_all(),
            "inspect.seal": lambda _: self._seal(),
            "region.handles": lambda _: self._toggle_handles(),
            "region.preset": self._preset,
            "region.set": lambda region: self._change("Move region", self._with(region=region), "region"),
            "region.crop": lambda _: self._toggle_crop(),
            "region.crop_outside": lambda _: self._toggle_crop_outside(),
            "region.copy": lambda _: self._copy_region(),
            "region.paste": lambda _: self._paste_region(),
            "region.train": self._train_region,
        }

    def on_event(self, event: Event) -> None:
        """Hear an event; the session has followed it."""
        if isinstance(event, SceneOpened):
            place = (event.path, event.kind, event.data_from_engine.tobytes())
            self._session.undo.forget(_TRAINED)
            if place != self._place:
                self._session.undo.forget(_LOOK)
            self._place = place
        self._edits.on_event(event)
        if isinstance(event, StructureUndone):
            self._parts.viewport.structure_changed()
            self._parts.reports.note(structure_undo.sentence(event))
        elif isinstance(event, TrainRegionChanged):
            self._trains(event.region)
        elif isinstance(event, VoxelPicked) and event.voxel is None:
            self._parts.reports.note("there is no voxel")
        elif isinstance(event, VoxelPicked):
            self._parts.columns.reveal("inspect")
        elif isinstance(event, Failed):
            self._asked = None
            self._session.inspect.preview &= self._session.preview is not None

    def update(self, dt: float) -> bool:
        """Nothing moves by itself."""
        return False

    # --- edits of the look --------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is kept."""
        return None

    def _with(self, **changes: Any) -> Look:
        return replace(self._session.inspect.look, **changes)

    def _change(self, label: str, look: Look, merging: str = "") -> None:
        """Show another look, and remember the edit; those that follow each other with one `merging` are one."""
        inspect = self._session.inspect
        before = inspect.look
        if look == before:
            return
        if not merging or merging != self._merging:
            self._session.undo.seal()
        self._merging = merging
        self._session.undo.push(Edit(label, lambda: self._set(before), lambda: self._set(look), _LOOK))
        self._set(look)

    def _set(self, look: Look) -> None:
        self._session.inspect.look = look
        self._parts.wake()

    def _seal(self) -> None:
        self._merging = ""
        self._session.undo.seal()

    # --- levels -------------------------------------------------------------------------------------------

    def _isolate(self, asked: tuple[int, bool]) -> None:
        """Draw a level alone, or, with True beside it, take it in or out."""
        level, add = asked
        self._isolate_only(levels_after(self._session.inspect.look.levels, level, add))

    def _isolate_only(self, levels: tuple[int, ...]) -> None:
        view = self._session.view
        if levels and view.show_wireframe:
            view.wire_levels = levels
        self._change("Choose levels", self._with(levels=levels))

    def _next_level(self) -> None:
        """Go from all levels to the coarsest alone, on to finer ones, and back to all."""
        stats = self._session.stats
        per_level = stats.structure.per_level if stats is not None else ()
        occupied = [level for level, count in enumerate(per_level) if count]
        now = self._session.inspect.look.levels
        after = [level for level in occupied if not now or level > max(now)]
        self._isolate_only((after[0],) if after else ())

    def _show_all(self) -> None:
        self._change("Show everything", self._with(levels=(), crop=False, slicing=False))

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
        self._copy(numbers.text(), "numbers of the voxel")

    def _put_away(self) -> None:
        inspect = self._session.inspect
        inspect.preview = inspect.picking = inspect.handles = False
        inspect.picked = None

    def _reach_px(self) -> float:
        return GRAB_PX * self._parts.viewport.pixel_scale

    # --- the slice ----------------------------------------------------------------------------------------

    def _toggle_slice(self) -> None:
        look = self._session.inspect.look
        if look.slicing:
            self._change("Put slice away", self._with(slicing=False))
        elif look.plane == SlicePlane():  # never used: cut so that one looks into the scene
            self._slice_across("x")
        else:
            self._change("Slice", self._with(slicing=True))

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
        self._change("Slice", self._with(plane=plane, slicing=True))

    # --- the region ---------------------------------------------------------------------------------------

    def _toggle_handles(self) -> None:
        inspect = self._session.inspect
        inspect.handles = not inspect.handles
        if inspect.handles and inspect.look.region is None:
            region = (
                self._seen() or regions.scene_box()
            )  # handles of the whole box may lie outside the picture
            self._change("Region", self._with(region=region))

    def _preset(self, name: str) -> None:
        """Put the region round the "scene", what is "seen", or the picked "voxel"."""
        inspect, up = self._session.inspect, self._session.scene.up
        region: Region | None = regions.scene_box()
        if name == "voxel":
            region = regions.around(inspect.picked.centre, inspect.picked.edge, up)
        elif name == "seen":
            region = self._seen()
        if region is None:
            self._parts.reports.note("there is nothing in the picture to put a region round")
            return
        inspect.handles = True
        self._change("Region", self._with(region=region))

    def _seen(self) -> Region | None:
        """Return the region of the surfaces in the picture that is shown."""
        frame = self._parts.viewport.frame
        if frame is None:
            return None
        return regions.seen(frame.request.camera, frame.on_host().depth_z, self._session.scene.up)

    def _toggle_crop(self) -> None:
        look = self._session.inspect.look
        region = look.region or regions.scene_box()
        label = "Uncrop" if look.crop else "Crop what I see"
        self._change(label, self._with(region=region, crop=not look.crop))

    def _toggle_crop_outside(self) -> None:
        look = self._session.inspect.look
        self._change("Crop the other way", self._with(crop_outside=not look.crop_outside))

    def _copy_region(self) -> None:
        look, scene = self._session.inspect.look, self._session.scene
        self._copy(regions.text_of(look.region, scene.data_from_engine), "region")

    def _paste_region(self) -> None:
        text = dpg.get_clipboard_text() or ""
        try:
            region = regions.region_of_text(text, self._session.scene.data_from_engine)
        except UserError as error:
            self._parts.reports.failed("The region was not pasted", error)
            return
        self._session.inspect.handles = True
        self._change("Paste region", self._with(region=region))

    def _copy(self, text: str, what: str) -> None:
        dpg.set_clipboard_text(text)
        self._parts.reports.note(f"copied: {what}")

    def _train_region(self, region: Region | None) -> None:
        """Train only a region from now on, or everything again."""
        self._asked = (self._session.inspect.train_region, region)
        self._send(SetTrainRegion(region))

    def _trains(self, region: Region | None) -> None:
        """The worker trains a region, or everything: an edit, if it was asked for here and not by undoing."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        before = asked[0]
        label = "Train everything" if region is None else "Train only here"
        edit = Edit(
            label,
            lambda: self._send(SetTrainRegion(before)),
            lambda: self._send(SetTrainRegion(region)),
            _TRAINED,
        )
        self._seal()
        self._session.undo.push(edit)
