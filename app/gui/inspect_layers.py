# SPDX-License-Identifier: MIT
"""What looking into the structure draws over the picture: the region and its handles, the slice's frame, the picked voxel,
and boxes of what the next change of the structure would touch. Each layer is made anew only when it is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from app.gl.overlays import OverlayPass
from app.gui import region_gizmo, theme
from app.gui.inspect_tools import RegionTool, SliceTool, frame_lines, grips
from app.gui.tools import RIM_PX, rgba
from app.session import Session
from app.view.frusta import AXIS_COLOURS, box_segments
from engine.messages import AdaptPreviewed
from engine.region import Region

# Told apart by people who do not see red or green, too: orange and sky blue.
DROP: theme.Colour = (242, 142, 52, 255)
SPLIT: theme.Colour = (92, 184, 240, 255)
SLICE: theme.Colour = (206, 133, 232, 255)
PICKED: theme.Colour = (255, 238, 110, 255)
DOT_PX, HELD_PX = 11.0, 15.0
NAMES = [
    "slice", "slice handles", "slice held", "drop boxes", "split boxes", "trained region", "region", "region ring",
    "region arrows", "region dots", "region held", "picked",
]  # fmt: skip


class InspectLayers:
    """A `LayerSource`."""

    def __init__(self, region_tool: RegionTool, slice_tool: SliceTool) -> None:
        self._region_tool, self._slice_tool = region_tool, slice_tool
        self._shown: dict[str, Any] = {}
        self._pass: OverlayPass

    def names(self) -> list[str]:
        """Return the layers in the order to draw them in."""
        return NAMES

    def forget(self) -> None:
        """Everything must be uploaded again."""
        self._shown.clear()

    def refresh(self, overlay_pass: OverlayPass, session: Session, eye: np.ndarray) -> bool:
        """Bring the layers up to date; return whether any became another."""
        self._pass = overlay_pass
        inspect, scene = session.inspect, session.scene
        look, up = inspect.look, tuple(scene.up) if scene is not None else (0.0, 0.0, 1.0)
        held = self._region_tool.held if inspect.handles else ""
        bare = look.crop or inspect.handles
        region = (look.region, inspect.handles, held, up) if look.region is not None and bare else None
        trained = inspect.train_region
        plane = (look.plane, self._slice_tool.held, up) if look.slicing else None
        preview = session.preview if inspect.preview else None
        picked = None if inspect.picked is None else (inspect.picked.centre, inspect.picked.edge)
        changed = self._update(
            "preview", None if preview is None else id(preview), self._set_preview, preview
        )
        changed |= self._update("trained", trained, self._set_trained, trained)
        changed |= self._update("region", region, self._set_region, region)
        changed |= self._update("slice", plane, self._set_slice, plane)
        return changed | self._update("picked", picked, self._set_picked, picked)

    def _update(self, name: str, key: Any, make: Callable[[Any], None], value: Any) -> bool:
        if self._shown.get(name) == key:
            return False
        self._shown[name] = key
        make(value)
        return True

    def _set_preview(self, preview: AdaptPreviewed | None) -> None:
        for name, colour in (("drop", DROP), ("split", SPLIT)):
            boxes = (
                None if preview is None else getattr(preview, f"{'prune' if name == 'drop' else name}_boxes")
            )
            if boxes is None or len(boxes) == 0:
                self._pass.remove(f"{name} boxes")
                continue
            colours = np.broadcast_to(rgba(colour), (len(boxes), 4))
            self._pass.set_boxes(f"{name} boxes", boxes, colours, hidden=0.25, opacity=0.8)

    def _set_trained(self, region: Region | None) -> None:
        lines = region_gizmo.edges(region) if region is not None else np.zeros((0, 2, 3))
        self._pass.set_lines("trained region", lines, rgba(theme.GOOD, 0.9), width_px=1.6, hidden=0.4)

    def _set_region(self, key: tuple[Region, bool, str, Any] | None) -> None:
        for name in ("region", "region ring", "region arrows", "region dots", "region held"):
            self._pass.remove(name)
        if key is None:
            return
        region, handles, held, up = key
        lines, strong = region_gizmo.edges(region), 0.95 if handles else 0.45
        self._pass.set_lines("region", lines, rgba(theme.ACCENT, strong), width_px=1.8, hidden=0.4)
        if not handles:
            return
        places = region_gizmo.places(region)
        ring = region_gizmo.ring(region, np.array(up))
        lit = held == region_gizmo.RING
        colour = rgba(theme.TEXT if lit else theme.HELD_OUT, 0.95 if lit else 0.6)
        self._pass.set_lines(
            "region ring", np.stack([ring, np.roll(ring, -1, axis=0)], axis=1), colour,
            width_px=3.0 if lit else 1.8, hidden=0.45,
        )  # fmt: skip
        axes = np.concatenate([AXIS_COLOURS, np.ones((3, 1), np.float32)], axis=1)
        self._pass.set_lines("region arrows", region_gizmo.arrows(region), axes, width_px=2.4, hidden=0.6)
        faces = np.repeat(rgba(theme.ACCENT)[None], len(region_gizmo.FACES), axis=0)
        colours = np.concatenate([rgba(theme.TEXT)[None], axes, faces])
        self._pass.set_points("region dots", places, colours, size_px=DOT_PX, rim_px=RIM_PX, hidden=0.7)
        if held in region_gizmo.DOTS:
            place = places[[region_gizmo.DOTS.index(held)]]
            self._pass.set_points(
                "region held", place, np.ones(4), size_px=HELD_PX, rim_px=RIM_PX, hidden=1.0
            )

    def _set_slice(self, key: tuple[Any, int | None, Any] | None) -> None:
        for name in ("slice", "slice handles", "slice held"):
            self._pass.remove(name)
        if key is None:
            return
        plane, held, up = key
        places = grips(plane, np.array(up))
        self._pass.set_lines(
            "slice", frame_lines(plane, np.array(up)), rgba(SLICE, 0.7), width_px=1.6, hidden=0.35
        )
        self._pass.set_points("slice handles", places, rgba(SLICE), size_px=DOT_PX, rim_px=RIM_PX, hidden=0.8)
        if held is not None:
            self._pass.set_points(
                "slice held", places[[held]], np.ones(4), size_px=HELD_PX, rim_px=RIM_PX, hidden=1.0
            )

    def _set_picked(self, key: tuple[Any, float] | None) -> None:
        if key is None:
            self._pass.remove("picked")
            return
        centre, half = np.array(key[0]), 0.5 * key[1]
        lines = box_segments(centre - half, centre + half)
        self._pass.set_lines("picked", lines, rgba(PICKED), width_px=2.6, rim_px=RIM_PX, hidden=0.7)
