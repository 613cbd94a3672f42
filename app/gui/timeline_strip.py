# SPDX-License-Identifier: MIT
"""The timeline's picture: ruler, keys, how fast the camera goes, playhead. Drawn anew only when what it shows is another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app import commands, shortcuts
from app.gui import theme
from app.gui.time_scale import TimeScale, ticks
from app.session import Session
from app.view.path import CameraPath

RULER_PX, KEY_PX, LABEL_PX, TEXT_PX = 20, 6.5, 76, 12
SAMPLE_PX = 6  # between two speeds that are drawn
CURVE_ALPHA, LINE_ALPHA, BAND_ALPHA = 46, 120, 40
TURN_WEIGHT = 0.2  # engine units that a radian counts for
HINT = "Add key makes what you see now the first key of a path{}; presets begin with a whole one."


def speeds(path: CameraPath, times_s: np.ndarray) -> np.ndarray:
    """Return how fast the camera moves and turns at many times [n] of a path, 1 at the fastest."""
    if path.duration_s <= 0.0:
        return np.zeros(len(times_s))
    half = 1e-3 * path.duration_s
    middle = np.clip(times_s, path.start_s + half, path.end_s - half)
    poses, _ = path.sample(np.concatenate([middle - half, middle + half]))
    before, after = np.split(poses, 2)
    way = np.linalg.norm(after[:, :3, 3] - before[:, :3, 3], axis=1)
    turn = np.linalg.norm(after[:, :3, :3] - before[:, :3, :3], axis=(1, 2)) / np.sqrt(2.0)
    ends = np.append(path.key_times_s[1:], path.end_s)
    cuts = np.array([end for end, key in zip(ends, path.keys) if key.easing == "hold"])
    cut = (np.abs(middle[:, None] - cuts) <= half).any(
        axis=1
    )  # from one place to another in no time: no speed
    speed = np.where(cut, 0.0, way + TURN_WEIGHT * turn)
    return speed / max(float(speed.max(initial=0.0)), 1e-12)


def _faint(alpha: int) -> tuple[int, int, int, int]:
    """Return the accent's colour of now, seen through."""
    return (*theme.ACCENT[:3], alpha)


class TimelineStrip:
    """One drawlist. `scale` says which time lies where, `hovered` and `band` come from the mouse."""

    def __init__(self, session: Session, px: Callable[[float], int]) -> None:
        self._session, self._px = session, px
        self.scale = TimeScale.fitting(0.0, 0.0, 1.0)
        self.hovered: int | None = None
        self.band: tuple[float, float] | None = None  # a stretch of time that is being selected
        self.height = 1
        self.drawlist: int | str = 0
        self._layers: dict[str, int | str] = {}
        self._shown: dict[str, Any] = {}

    def build(self) -> None:
        """Create the drawlist inside the group that is open."""
        self.drawlist = dpg.add_drawlist(1, 1)
        self._layers = {name: dpg.add_draw_layer(parent=self.drawlist) for name in ("back", "keys", "head")}

    def resize(self, width: int, height: int) -> None:
        """Fill that many pixels."""
        if (width, height) == (round(self.scale.width), self.height):
            return
        self.scale, self.height = self.scale.resized(width), height
        dpg.configure_item(self.drawlist, width=width, height=height)

    @property
    def ruler(self) -> int:
        """The ruler's height."""
        return self._px(RULER_PX)

    @property
    def key_y(self) -> float:
        """Where the keys stand."""
        return self.ruler + 0.5 * (self.height - self.ruler)

    def fit(self) -> None:
        """Show the path as a whole."""
        path = self._session.path
        start, end = (0.0, 0.0) if path is None else (path.start_s, path.end_s)
        self.scale = TimeScale.fitting(start, end, self.scale.width)

    def draw(self) -> bool:
        """Draw what has become another; return whether anything has."""
        session, size = self._session, (self.scale, self.height, self._px(100), tuple(theme.ACCENT))
        state, path = session.timeline, session.path
        changed = self._layer("back", (*size, path, session.export.fps, self.band), self._draw_back)
        changed |= self._layer("keys", (*size, path, state.selected, self.hovered), self._draw_keys)
        head = None if path is None else (*size, session.playhead_s, state.recording)
        return changed | self._layer("head", head, self._draw_head)

    def _layer(self, name: str, key: Any, draw: Callable[[int | str], None]) -> bool:
        if name in self._shown and self._shown[name] == key:
            return False
        self._shown[name] = key
        dpg.delete_item(self._layers[name], children_only=True)
        if key is not None:
            draw(self._layers[name])
        return True

    # --- the parts --------------------------------------------------------------------------------------------

    def _draw_back(self, layer: int | str) -> None:
        px, scale, width, height = self._px, self.scale, self.scale.width, self.height
        dpg.draw_rectangle(
            [0, 0], [width, height], color=theme.FLOATING, fill=theme.FLOATING, rounding=px(5), parent=layer
        )
        dpg.draw_rectangle(
            [0, 0], [width, self.ruler], color=theme.RAISED, fill=theme.RAISED, rounding=px(5), parent=layer
        )
        if self._session.path is not None:
            self._draw_path(self._session.path, layer)
        for tick in ticks(scale, float(self._session.export.fps), px(LABEL_PX)):
            x = scale.x(tick.time_s)
            top = self.ruler - (px(7) if tick.label else px(4))
            dpg.draw_line(
                [x, top], [x, self.ruler], color=theme.MUTED if tick.label else theme.DISABLED, parent=layer
            )
            if tick.label:
                dpg.draw_line([x, self.ruler], [x, height], color=theme.LINE, parent=layer)
                place = [x + px(4), px(3)]
                dpg.draw_text(place, tick.label, size=px(TEXT_PX), color=theme.MUTED, parent=layer)
        if self._session.path is None:
            text = [px(14), self.key_y - px(8)]
            chord = shortcuts.chord_of(commands.find("path_add_key"))
            hint = HINT.format(f" ({chord})" if chord else "")
            dpg.draw_text(text, hint, size=px(theme.FONT_PX - 1), color=theme.MUTED, parent=layer)
        if self.band is not None:
            low, high = sorted(scale.x(time_s) for time_s in self.band)
            dpg.draw_rectangle(
                [low, self.ruler], [high, height], color=theme.ACCENT, fill=_faint(BAND_ALPHA), parent=layer
            )

    def _draw_path(self, path: CameraPath, layer: int | str) -> None:
        """Draw how long the path is and how fast it goes."""
        scale, low = self.scale, self.height - self._px(4)
        start, end = (min(max(scale.x(t), 0.0), scale.width) for t in (path.start_s, path.end_s))
        if end - start < 2.0:
            return
        xs = np.linspace(start, end, max(3, int((end - start) / self._px(SAMPLE_PX))))
        speed = speeds(path, np.array([scale.time(x) for x in xs]))
        ys = low - speed * (low - self.ruler - self._px(5))
        line = np.stack([xs, ys], axis=1).tolist()
        # Upright boxes: software draws a slanted edge, which is smoothed, ten times as slowly.
        for (x, y), (x_next, y_next) in pairwise(line):
            box = [x, max(y, y_next)], [x_next, low]
            dpg.draw_rectangle(*box, color=theme.CLEAR, fill=_faint(CURVE_ALPHA), thickness=0, parent=layer)
        dpg.draw_polyline(line, color=_faint(LINE_ALPHA), thickness=1, parent=layer)

    def _draw_keys(self, layer: int | str) -> None:
        path, state, px = self._session.path, self._session.timeline, self._px
        if path is None:
            return
        y, r = self.key_y, px(KEY_PX)
        for i, time_s in enumerate(path.key_times_s):
            x = self.scale.x(float(time_s))
            if not -r <= x <= self.scale.width + r:
                continue
            fill = theme.ACCENT if i in state.selected else theme.TEXT
            size = 1.25 * r if i == self.hovered else r
            self._draw_key([x, y], size, path.keys[i].easing, fill, layer)
            if i == self.hovered:
                text = f"{i + 1}: {time_s:.2f} s"
                wide = 0.55 * px(TEXT_PX) * len(text)
                left = min(max(x - 0.5 * wide, 2.0), self.scale.width - wide - 2.0)
                place = [left, y + r + px(3)]
                dpg.draw_text(place, text, size=px(TEXT_PX), color=theme.TEXT, parent=layer)

    def _draw_key(self, at: list[float], r: float, easing: str, fill: theme.Colour, layer: int | str) -> None:
        """Draw a key in the shape of its easing: diamond, hollow diamond, disc or square."""
        x, y = at
        look = {"color": theme.BACKGROUND, "fill": fill, "thickness": 1.5, "parent": layer}
        if easing == "ease":
            dpg.draw_circle(at, 0.92 * r, **look)
        elif easing == "hold":
            dpg.draw_rectangle([x - 0.85 * r, y - 0.85 * r], [x + 0.85 * r, y + 0.85 * r], **look)
        else:
            dpg.draw_quad([x, y - r], [x + r, y], [x, y + r], [x - r, y], **look)
        if easing == "linear":
            inner = {**look, "fill": theme.BACKGROUND}
            dpg.draw_quad([x, y - 0.4 * r], [x + 0.4 * r, y], [x, y + 0.4 * r], [x - 0.4 * r, y], **inner)

    def _draw_head(self, layer: int | str) -> None:
        x, px = self.scale.x(self._session.playhead_s), self._px
        if not 0.0 <= x <= self.scale.width:
            return
        dpg.draw_line([x, 0], [x, self.height], color=theme.BAD, thickness=px(1.5), parent=layer)
        tip = self.ruler
        dpg.draw_triangle(
            [x - px(5), tip - px(9)],
            [x + px(5), tip - px(9)],
            [x, tip],
            color=theme.BAD,
            fill=theme.BAD,
            parent=layer,
        )
