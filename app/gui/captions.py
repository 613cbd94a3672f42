# SPDX-License-Identifier: MIT
"""What the texts over the picture say: the name of the view one is in or points at, the legend, the axes, the split."""

from __future__ import annotations

import numpy as np

from app.gui import theme
from app.gui.annotations import Annotations, Chip
from app.gui.layout import Rect
from app.session import Session
from engine.cameras import Camera
from engine.conventions import opengl_from_opencv
from engine.messages import Frame, SceneOpened
from engine.render.colour_maps import colour_table

LEGEND_STEPS = 48


class Captions:
    """Keeps the annotations of one viewport in step with the session and the frame."""

    def __init__(self, session: Session, annotations: Annotations, look: theme.Theme) -> None:
        self._session, self._annotations, self._look = session, annotations, look

    def refresh(
        self,
        frame: Frame | None,
        shown: Camera,
        rect: Rect,
        hovered: int | None,
        sides: tuple[str, str] | None,
    ) -> bool:
        """Bring all up to date; return whether any changed.

        `shown` is the camera on screen, `hovered` a view of the scene, `sides` what is left and right of the split line,
        None without one.
        """
        scene, view, annotations = self._session.scene, self._session.view, self._annotations
        if scene is None:
            changed = annotations.gizmo(None, 0, 0)
            return annotations.chips([]) | annotations.split(None, 0, 0, ("", "")) | changed
        rotation = opengl_from_opencv(shown.world_from_cam)[:3, :3]
        changed = annotations.gizmo(None if self._session.timeline.preview else rotation, rect.width, 0)
        changed |= annotations.chips(self._chips(scene, shown, rect, hovered))
        split = view.split * rect.width if sides is not None else None
        changed |= annotations.split(split, rect.width, rect.height, sides or ("", ""))
        legend, colours = None, None
        if frame is not None and frame.legend is not None:
            low, high, unit = frame.legend
            legend = (low, high, _scale_title(scene, frame, unit))
            table = colour_table(frame.request.colour_map)
            colours = table[np.linspace(0, 255, LEGEND_STEPS).astype(int)]
        return annotations.legend(legend, colours, rect.height) | changed

    def _chips(self, scene: SceneOpened, shown: Camera, rect: Rect, hovered: int | None) -> list[Chip]:
        px, index = self._look.sizes.px, self._session.view.view_index
        chips = []
        if index is not None and index < len(scene.views):
            chips.append(Chip(place_of_view(scene, index), px(14), px(14)))
        if hovered is not None:
            info = scene.views[hovered]
            pixels, _ = shown.project(info.camera.position[None])
            x, y = (float(v) * rect.width / shown.width for v in pixels[0])
            label = f"{info.name}{'   held out' if info.held_out else ''}"
            chips.append(Chip(label, round(x) + px(14), round(y) - px(12)))
        return chips


def _scale_title(scene: SceneOpened, frame: Frame, unit: str) -> str:
    """Return what a picture's colours mean; an error map says whose it is."""
    if frame.heat_of is not None:
        return f"Error map of {scene.views[frame.heat_of].name}"
    mode = frame.request.mode.capitalize()
    return f"{mode} ({unit})" if unit else mode


def place_of_view(scene: SceneOpened, index: int) -> str:
    """Return a view's name and its number among the training or the held-out views, which stand behind them."""
    info, n_held_out = scene.views[index], len(scene.views) - scene.n_train
    if info.held_out:
        return f"{info.name}   held-out view {index - scene.n_train + 1} of {n_held_out}"
    return f"{info.name}   training view {index + 1} of {scene.n_train}"
