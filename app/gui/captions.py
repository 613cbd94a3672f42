# SPDX-License-Identifier: MIT
"""What the texts over the picture say: the name of the view one is in or points at, the legend, the axes, the split."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np

from app.gui import inspect_captions, theme
from app.gui.annotations import Annotations, Chip
from app.gui.layout import Rect
from app.session import Session
from app.view import quality as psnr_colours
from engine.cameras import Camera
from engine.conventions import opengl_from_opencv
from engine.messages import Frame, SceneOpened
from engine.render.colour_maps import colour_table

LEGEND_STEPS = 48
CHIP_STEP = 31  # from one line at the top left to the next
ABOVE_NAMES = 0.55  # legends: leaves room for the names of two pictures below


class Captions:
    """Keeps the annotations of one viewport in step with the session and the frame."""

    def __init__(self, session: Session, annotations: Annotations, look: theme.Theme) -> None:
        self._session, self._annotations, self._look = session, annotations, look

    def restyle(self) -> None:
        """Write everything again: colours or sizes are others."""
        self._annotations.restyle()

    def refresh(
        self,
        frame: Frame | None,
        shown: Camera,
        rect: Rect,
        hovered: int | None,
        sides: tuple[str, str] | None,
        blinks: bool | None = None,
        legend: tuple[float, float, str] | None = None,
        quality: tuple[float, float] | None = None,
    ) -> bool:
        """Bring all up to date; return whether any changed.

        `shown` is the camera on screen, `hovered` a view of the scene, `sides` what is left and right of the split line, None
        without one; or, with `blinks`, what is shown in turn, the first one if it is True. `legend` is the scale of the
        picture's colours, `quality` that of the frusta's.
        """
        scene, view, annotations = self._session.scene, self._session.view, self._annotations
        if scene is None:
            changed = annotations.gizmo(None, 0, 0)
            changed |= annotations.legend(None, None, rect.height) | annotations.legend(
                None, None, rect.height, name="quality"
            )
            return annotations.chips([]) | annotations.split(None, 0, 0, ("", "")) | changed
        rotation = opengl_from_opencv(shown.world_from_cam)[:3, :3]
        changed = annotations.gizmo(None if self._session.timeline.preview else rotation, rect.width, 0)
        chips = self._chips(scene, shown, rect, hovered)
        if blinks is not None:
            chips.append(self._turn(sides[0] if blinks else sides[1], rect))
        changed |= annotations.chips(chips)
        split = view.split * rect.width if sides is not None and blinks is None else None
        changed |= annotations.split(split, rect.width, rect.height, sides or ("", ""))
        colours = None
        if frame is not None and legend is not None:
            low, high, unit = legend
            differ = legend is frame.beside_legend
            legend = (
                low,
                high,
                "Difference of the two models" if differ else _scale_title(scene, frame, unit),
            )
            table = colour_table(frame.request.colour_map)
            colours = table[np.linspace(0, 255, LEGEND_STEPS).astype(int)]
        above = 0.0 if sides is None else ABOVE_NAMES
        changed |= annotations.legend(legend, colours, rect.height, above)
        return self._quality(quality, rect.height, above + float(legend is not None)) | changed

    def _turn(self, text: str, rect: Rect) -> Chip:
        """Return what names the picture that is shown at the moment, at the bottom in the middle."""
        px = self._look.sizes.px
        width = (dpg.get_text_size(text) or (8 * len(text), 0))[0]
        return Chip(text, round((rect.width - width) / 2) - px(9), rect.height - px(38))

    def _quality(self, scale: tuple[float, float] | None, height: int, above: float) -> bool:
        """Show what the frusta's colours stand for, above another legend if there is one."""
        legend = None if scale is None else (*scale, "Frusta: PSNR in dB")
        colours = psnr_colours.table(self._session.settings.appearance.safe_colours, LEGEND_STEPS)
        return self._annotations.legend(legend, colours, height, above, "quality")

    def _chips(self, scene: SceneOpened, shown: Camera, rect: Rect, hovered: int | None) -> list[Chip]:
        px, index = self._look.sizes.px, self._session.view.view_index
        chips = []
        if index is not None and index < len(scene.views):
            chips.append(Chip(place_of_view(scene, index), px(14), px(14)))
        if self._session.timeline.recording:
            y = px(14) + len(chips) * px(CHIP_STEP)
            chips.append(Chip("Recording the flight", px(14), y, theme.BAD))
        for text, colour in inspect_captions.lines(self._session):
            chips.append(Chip(text, px(14), px(14) + len(chips) * px(CHIP_STEP), colour))
        voxel = self._session.inspect.picked
        if voxel is not None:
            centre = np.array(voxel.centre)
            if (centre - shown.position) @ shown.forward > 0.0:
                chips.append(Chip(inspect_captions.of_voxel(voxel), *self._beside(shown, rect, centre)))
        if hovered is not None:
            info = scene.views[hovered]
            label = f"{info.name}{'   held out' if info.held_out else ''}"
            chips.append(Chip(label, *self._beside(shown, rect, info.camera.position)))
        return chips

    def _beside(self, shown: Camera, rect: Rect, point: np.ndarray) -> tuple[int, int]:
        """Return where a text about a point of the scene stands."""
        pixels, _ = shown.project(point[None])
        x, y = (float(v) * rect.width / shown.width for v in pixels[0])
        return round(x) + self._look.sizes.px(14), round(y) - self._look.sizes.px(12)


def _scale_title(scene: SceneOpened, frame: Frame, unit: str) -> str:
    """Return what a picture's colours mean; an error map says whose it is."""
    if frame.heat_of is not None:
        return f"Error map of {scene.views[frame.heat_of].name}"
    mode = frame.request.mode
    if mode in unit:  # it speaks for itself
        return f"{unit[:1].upper()}{unit[1:]}"
    return f"{mode.capitalize()} ({unit})" if unit else mode.capitalize()


def place_of_view(scene: SceneOpened, index: int) -> str:
    """Return a view's name and its number among the training or the held-out views, which stand behind them."""
    info, n_held_out = scene.views[index], len(scene.views) - scene.n_train
    if info.held_out:
        return f"{info.name}   held-out view {index - scene.n_train + 1} of {n_held_out}"
    return f"{info.name}   training view {index + 1} of {scene.n_train}"
