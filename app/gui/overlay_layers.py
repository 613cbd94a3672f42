# SPDX-License-Identifier: MIT
"""What stands over the scene: frusta of the photos, sparse points, the scene's box, axes, voxel boxes.

Keeps the passes' layers in step with the session."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from app.gl.overlays import OverlayPass
from app.gui import theme
from app.gui.tools import RIM_PX, LayerSource, rgba
from app.session import Session
from app.view import frusta, quality
from app.views_table import psnr_of_views
from engine.cameras import Camera
from engine.messages import BoxesReady, SceneOpened

QUALITY_S = 1.0  # between two looks at how good the views are
MAX_FRUSTA = 600  # more are thinned out; a picture of nothing but frusta helps nobody
LEVEL_COLOURS = (theme.SCENE_ACCENT, *theme.PLOT_COLOURS[1:6])
AXES_LENGTH = 0.25
POINT_PX = 3.0  # at distance 1
BEHIND_PATH = 0.45  # of their opacity that the photos' frusta keep beside a camera path


class OverlayLayers:
    """Fills an OverlayPass; `refresh` returns whether anything on the screen became another."""

    def __init__(self) -> None:
        self._pass: OverlayPass | None = None
        self._scene: SceneOpened | None = None
        self.cameras: list[Camera] = []  # those with a frustum
        self._indices: list[int] = []  # their places in SceneOpened.views
        self.frustum_size = 0.08
        self._places = np.zeros((0, 3))
        self._boxes: BoxesReady | None = None
        self.sources: list[LayerSource] = []  # layers of other features, drawn after these
        self.quality: tuple[float, float] | None = (
            None  # dB at the ends of the frusta's colours, None: by use
        )
        self._known: tuple[int, ...] | None = None  # levels of the views, as of `_looked_s`
        self._facts: tuple[Any, ...] = (None, None, None)
        self._looked_s = 0.0
        self._shown: dict[str, Any] = {}

    def attach(self, overlay_pass: OverlayPass | None) -> None:
        """Use a pass, a new one perhaps: everything is uploaded again."""
        self._pass = overlay_pass
        self.restyle()

    def restyle(self) -> None:
        """Upload everything again: colours may be others."""
        self._shown.clear()
        for source in self.sources:
            source.forget()

    def open_scene(self, scene: SceneOpened) -> None:
        """Take the cameras of a scene."""
        self._scene, self._known = scene, None
        stride = max(1, -(-len(scene.views) // MAX_FRUSTA))
        self._indices = list(range(0, len(scene.views), stride))
        self.cameras = [scene.views[i].camera for i in self._indices]
        self._places = np.array([camera.position for camera in self.cameras]).reshape(-1, 3)
        self.frustum_size = _frustum_size(self.cameras)
        self._boxes = None
        self._shown.clear()

    def move_cameras(self, scene: SceneOpened) -> None:
        """Take the cameras of the open scene where they are now."""
        self._scene = scene
        self.cameras = [scene.views[i].camera for i in self._indices]
        self._places = np.array([camera.position for camera in self.cameras]).reshape(-1, 3)
        self._shown.pop("frusta", None)

    def set_boxes(self, boxes: BoxesReady) -> None:
        """Take the voxels of the wireframe."""
        self._boxes = boxes

    def view_of(self, camera_number: int | None) -> int | None:
        """Return the capture view behind one of `cameras`."""
        return None if camera_number is None else self._indices[camera_number]

    def refresh(self, session: Session, hovered: int | None, eye: np.ndarray) -> bool:
        """Bring the layers up to date; `hovered` is one of `cameras`, `eye [3]` where the viewer is."""
        if self._pass is None or self._scene is None:
            return False
        view = session.view
        flagged = frozenset(flag.view for flag in session.survey.flags) if session.survey else frozenset()
        behind = session.timeline.shown and session.path is not None  # a camera path is what one looks at
        key: Any = "off"
        if view.show_frusta:
            levels, safe = self._levels(session), session.settings.appearance.safe_colours
            key = self._inside(eye), session.excluded, flagged, levels, safe, behind
        changed = self._update("frusta", key, self._set_frusta)
        changed |= self._update("hover", hovered if view.show_frusta else None, self._set_hover)
        changed |= self._update("points", view.show_points, self._set_points)
        changed |= self._update("box", (view.show_box, self._scene.outside_levels), self._set_box)
        changed |= self._update("axes", view.show_axes, self._set_axes)
        boxes = self._boxes if view.show_wireframe and self._boxes is not None else None
        wanted = boxes is not None and set(boxes.levels) <= set(view.wire_levels)
        changed |= self._update("wire", id(boxes) if wanted else None, self._set_wire)
        for source in self.sources:
            changed |= source.refresh(self._pass, session, eye)
        return changed

    def names(self) -> list[str]:
        """Return the layers in the order to draw them in."""
        own = ["points", "wire", "box", "axes", "frusta", "hover"]
        return own + [name for source in self.sources for name in source.names()]

    def _levels(self, session: Session) -> tuple[int, ...] | None:
        """Return the level of each view's PSNR, None unless frusta are to show it; keeps what the colours stand for.

        While training PSNR changes with every step; frusta follow once in a second.
        """
        if not session.view.frusta_psnr:
            self.quality = self._known = None
            return None
        facts, now = (session.scene, session.stats, session.evaluated), time.monotonic()
        if self._known is not None and (
            now - self._looked_s < QUALITY_S or all(a is b for a, b in zip(self._facts, facts, strict=True))
        ):
            return self._known
        self._looked_s, self._facts = now, facts
        values = psnr_of_views(session)
        self.quality = quality.scale_of(values)
        if self.quality is None:
            self._known = (-1,) * len(values)
        else:
            self._known = tuple(quality.levels_of(values, self.quality).tolist())
        return self._known

    def _inside(self, eye: np.ndarray) -> tuple[int, ...]:
        """Return the cameras so close to the eye that their frusta would frame the picture."""
        if not self.cameras:
            return ()
        distance = np.linalg.norm(self._places - eye, axis=1)
        return tuple(np.flatnonzero(distance < 0.5 * self.frustum_size).tolist())

    def _update(self, name: str, key: Any, make: Any) -> bool:
        if name in self._shown and self._shown[name] == key:
            return False
        self._shown[name] = key
        make(key)
        return True

    def _set_frusta(self, key: Any) -> None:
        if key == "off":
            self._pass.remove("frusta")
            return
        inside, excluded, flagged, levels, safe, behind = key
        table = np.array([rgba((*rgb, 255), 0.95) for rgb in quality.table(safe)])
        chosen = [n for n in range(len(self.cameras)) if n not in inside]
        segments = frusta.frustum_segments([self.cameras[n] for n in chosen], self.frustum_size)
        colours = np.empty((len(chosen), 4), dtype=np.float32)
        for row, n in enumerate(chosen):
            view = self._indices[n]
            if view in excluded or (levels is not None and levels[view] < 0):
                colours[row] = rgba(theme.SCENE_QUIET, 0.35)
            elif levels is not None:
                colours[row] = table[levels[view]]
            elif view in flagged:
                colours[row] = rgba(theme.SCENE_BAD, 0.9)
            else:
                colours[row] = rgba(
                    theme.SCENE_HELD_OUT if self._scene.views[view].held_out else theme.SCENE_ACCENT, 0.7
                )
        colours[:, 3] *= BEHIND_PATH if behind else 1.0
        colours = np.repeat(colours, frusta.LINES_PER_FRUSTUM, axis=0)
        self._pass.set_lines("frusta", segments, colours, width_px=1.2, hidden=0.1)

    def _set_hover(self, key: int | None) -> None:
        cameras = [] if key is None else [self.cameras[key]]
        segments = frusta.frustum_segments(cameras, self.frustum_size)
        self._pass.set_lines(
            "hover", segments, rgba(theme.POINTED_AT), width_px=2.4, rim_px=RIM_PX, hidden=0.6
        )

    def _set_box(self, key: tuple[bool, int]) -> None:
        half = np.full(3, 0.5)
        segments = frusta.box_segments(-half, half) if key[0] else np.zeros((0, 2, 3))
        self._pass.set_lines("box", segments, rgba(theme.SCENE_QUIET, 0.75), width_px=1.2, hidden=0.25)

    def _set_points(self, show: bool) -> None:
        xyz = self._scene.points_xyz
        if not show or xyz is None:
            self._pass.remove("points")
            return
        colours = np.ones((len(xyz), 4), dtype=np.float32)
        colours[:, :3] = self._scene.points_rgb / np.float32(255.0)
        self._pass.set_points("points", xyz, colours, size_px=POINT_PX, shrinks=True, hidden=0.1, opacity=0.9)

    def _set_axes(self, show: bool) -> None:
        segments = frusta.axes_segments(np.zeros(3), AXES_LENGTH) if show else np.zeros((0, 2, 3))
        colours = np.ones((len(segments), 4), dtype=np.float32)
        colours[:, :3] = frusta.AXIS_COLOURS[: len(segments)]
        self._pass.set_lines("axes", segments, colours, width_px=2.2, hidden=0.3)

    def _set_wire(self, key: int | None) -> None:
        if key is None or self._boxes is None or len(self._boxes.boxes) == 0:
            self._pass.remove("wire")
            return
        boxes = self._boxes.boxes
        level = np.round(self._scene.outside_levels - np.log2(np.maximum(boxes[:, 3], 1e-6))).astype(int)
        table = np.array([rgba(colour) for colour in LEVEL_COLOURS])
        self._pass.set_boxes("wire", boxes, table[level % len(table)], hidden=0.04, opacity=0.4)


def _frustum_size(cameras: list[Camera]) -> float:
    """Return how deep to draw pyramids so that neighbours hardly overlap."""
    if len(cameras) < 2:
        return 0.1
    places = np.array([camera.position for camera in cameras])
    some = places[:: max(1, len(places) // 100)]
    apart = np.linalg.norm(some[:, None] - places, axis=-1)
    apart[apart < 1e-9] = np.inf
    typical = float(np.median(apart.min(axis=1)))
    return float(np.clip(0.35 * typical, 0.02, 0.15)) if np.isfinite(typical) else 0.1
