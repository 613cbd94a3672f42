# SPDX-License-Identifier: MIT
"""What the mouse does on the timeline: scrub, select, move keys in time, copy them, zoom and pan. Knows no widgets.

Places are pixels of the strip. Drags ask for edits of the path as it was when they began, so that going back is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from app.gui.time_scale import TimeScale, key_near, keys_between, snapped
from app.session import Session
from app.view import path_edit
from app.view.path import CameraPath
from app.view.path_change import PathChange

REACH_PX = 9.0
DRAG_PX = 3.0  # less is a click
ZOOM = 1.2  # per notch of the wheel
EVEN = "At even speed the path itself says when a key is passed; switch that off to move keys in time."


class Strip(Protocol):
    """The part of the picture that the mouse changes."""

    scale: TimeScale
    hovered: int | None
    band: tuple[float, float] | None
    ruler: int

    def fit(self) -> None:
        """Show the path as a whole."""


@dataclass
class _Grab:
    what: str  # "scrub", "keys", "band" or "pan"
    x: float
    scale: TimeScale
    path: CameraPath | None
    key: int = -1
    ctrl: bool = False
    shift: bool = False
    moved: bool = False
    chosen: frozenset[int] = frozenset()  # the keys that move along


class TimelineMouse:
    """Presses, moves and releases become actions, by `do`."""

    def __init__(
        self, session: Session, strip: Strip, do: Callable[[str, Any], None], reach_px: float
    ) -> None:
        self._session, self._strip, self._do, self._reach = session, strip, do, reach_px
        self._grab: _Grab | None = None

    @property
    def busy(self) -> bool:
        """Whether a button holds something."""
        return self._grab is not None

    def hover(self, x: float, y: float) -> None:
        """Light the key under the mouse up."""
        self._strip.hovered = self._key(x) if y >= self._strip.ruler else None

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self._strip.hovered = None

    def press(self, button: int, x: float, y: float, ctrl: bool, shift: bool) -> None:
        """Take hold of what is there: left on the ruler scrubs, on a key moves it, elsewhere selects; middle pans."""
        path, scale = self._session.path, self._strip.scale
        if self._grab is not None or button == 1:
            return
        if button == 2:
            self._grab = _Grab("pan", x, scale, path)
        elif path is None:
            return
        elif y < self._strip.ruler:
            self._grab = _Grab("scrub", x, scale, path)
            self._scrub(x)
        elif (key := self._key(x)) is not None:
            self._grab = _Grab("keys", x, scale, path, key, ctrl, shift)
            if key not in self._session.timeline.selected and not ctrl and not shift:
                self._do("path.select", ([key], "only"))
            selected = self._session.timeline.selected
            self._grab.chosen = selected if key in selected else frozenset([key])
        else:
            self._grab = _Grab("band", x, scale, path, ctrl=ctrl or shift)

    def move(self, x: float, y: float) -> None:
        """Move what is held."""
        grab = self._grab
        if grab is None:
            return
        grab.moved |= abs(x - grab.x) >= DRAG_PX
        if grab.what == "scrub":
            self._scrub(x)
        elif grab.moved and grab.what == "pan":
            self._strip.scale = grab.scale.panned(x - grab.x)
        elif grab.moved and grab.what == "band":
            self._strip.band = (grab.scale.time(grab.x), grab.scale.time(x))
        elif grab.moved and grab.what == "keys":
            self._move_keys(grab, x)

    def release(self) -> None:
        """Let go; what did not move was a click."""
        grab, self._grab = self._grab, None
        if grab is None:
            return
        if grab.what == "keys" and not grab.moved:
            self._do("path.select", ([grab.key], "toggle" if grab.ctrl else "to" if grab.shift else "only"))
        elif grab.what == "keys":
            self._session.undo.seal()
            if grab.ctrl and self._session.path is not grab.path:
                self._do("path.select", (new_keys(grab.path, self._session.path), "only"))
        elif grab.what == "band":
            chosen: list[int] = []
            if self._strip.band is not None:
                chosen = keys_between(self._session.path.key_times_s, *self._strip.band)
            self._strip.band = None
            self._do("path.select", (chosen, "add" if grab.ctrl else "only"))

    def double_click(self, x: float, y: float) -> None:
        """Look through a key; on the track between keys, put one in; on the ruler, show the whole path."""
        self._grab, self._strip.band = None, None  # what the second press took
        path = self._session.path
        if path is None:
            return
        if y < self._strip.ruler:
            self._strip.fit()
            return
        key, time_s = self._key(x), self._snapped(self._strip.scale.time(x))
        if key is not None:
            self._do("path.look_through", key)
        elif path.start_s < time_s < path.end_s:
            self._do("path.split", time_s)

    def wheel(self, notches: float, x: float) -> None:
        """Zoom about the mouse."""
        self._strip.scale = self._strip.scale.zoomed(x, ZOOM**-notches)

    def _key(self, x: float) -> int | None:
        path = self._session.path
        return None if path is None else key_near(self._strip.scale, path.key_times_s, x, self._reach())

    def _snapped(self, time_s: float) -> float:
        return snapped(time_s, float(self._session.export.fps))

    def _scrub(self, x: float) -> None:
        self._do("path.scrub", self._snapped(self._strip.scale.time(x)))

    def _move_keys(self, grab: _Grab, x: float) -> None:
        """Move the selected keys, so that the one in hand stands on a frame; with Ctrl copies of them."""
        path, key = grab.path, grab.key
        chosen = (
            self._session.timeline.selected if key in self._session.timeline.selected else frozenset([key])
        )
        if path.style.constant_speed and not chosen & {0, len(path.keys) - 1}:
            self._do("path.tell", EVEN)
            return
        time_s = path.keys[key].time_s
        delta_s = self._snapped(time_s + grab.scale.time(x) - grab.scale.time(grab.x)) - time_s
        delta_s = max(delta_s, -min(path.keys[i].time_s for i in chosen))  # nothing is before the beginning
        if grab.ctrl:
            function, label = (lambda _: copied(path, chosen, delta_s)), "Copy keys"
        else:
            function, label = (lambda _: path_edit.retime(path, chosen, delta_s, grab.shift)), "Move in time"
        self._do("path.edit", PathChange(label, function, merge=label))


def new_keys(before: CameraPath, after: CameraPath) -> list[int]:
    """Return the keys of a path that stand at times where another one has none."""
    old = {key.time_s for key in before.keys}
    return [i for i, key in enumerate(after.keys) if key.time_s not in old]


def copied(path: CameraPath, indices: frozenset[int], delta_s: float) -> CameraPath:
    """Return the path with copies of keys `delta_s` later; a key that stands where a copy comes is replaced."""
    new = path
    for i in sorted(indices):
        time_s = max(0.0, path.keys[i].time_s + delta_s)
        new = path_edit.insert_key(new, replace(path.keys[i], time_s=time_s))
    return new
