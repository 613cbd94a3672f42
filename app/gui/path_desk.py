# SPDX-License-Identifier: MIT
"""The camera path as a desk: what commands, the timeline and the scene ask for, by the names of actions.

Edits are in `path_editor.py`, motion in `path_player.py`, files in `path_store.py`, what stands in the scene in `path_tool.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from app.gui import clipboard
from app.gui.path_editor import PathEditor, key_at
from app.gui.path_filing import PathFiling
from app.gui.path_frame import FrameBars
from app.gui.path_player import PathPlayer
from app.gui.path_store import PathStore
from app.gui.path_tool import PathTool
from app.view import presets
from app.view.path_files import keys_from_text, keys_to_text
from app.view.path_record import from_recording
from engine.errors import UserError
from engine.messages import Event, SceneOpened

if TYPE_CHECKING:
    from app.gui.actions import Parts

# How far a recorded path may be off the way that was flown: engine units, and a turn. More keys can hardly be edited.
RECORD_TOLERANCE, RECORD_TURN_RAD = 0.01, np.radians(1.5)


LEAST_FRUSTUM = 0.06  # engine units


class PathDesk:
    """Everything about the open camera path."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._session = parts, parts.session
        viewport, note = parts.viewport, parts.reports.note
        self.editor = PathEditor(parts.session)
        self.player = PathPlayer(parts.session, viewport.controller, self._size)
        self.store = PathStore(parts.session, note)
        self.filing = PathFiling(parts, self.editor, self.store)
        self.tool = PathTool(
            parts.session,
            self.editor,
            self._look_through,
            self._looks_along,
            lambda: viewport.layers.frustum_size,
            reach=viewport.pointing.reach,
        )
        self._bars = FrameBars(viewport)
        self._scene: SceneOpened | None = None
        self._followers: list[Callable[[], bool]] = []  # what is drawn anew in every turn that changes it
        viewport.use(self.tool, layers=self.tool)

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what can be done, by name."""
        editor, note = self.editor, self._parts.reports.note
        own = {
            "add_key": lambda _: self._add(),
            "overwrite": lambda _: self._overwrite(),
            "delete": lambda _: editor.delete(),
            "duplicate": lambda _: editor.duplicate(),
            "copy": lambda _: self._copy(),
            "paste": lambda _: self._paste(),
            "split": self._split,
            "edit": editor.apply,
            "select": lambda what: editor.select(*what),
            "close": lambda _: editor.become("Close path", None, [], file=""),
            "scrub": self._scrub,
            "step": self._step,
            "jump": self._jump,
            "look_through": self._look_through,
            "play": lambda _: self._play(),
            "record": lambda _: self._record(),
            "preset": self._preset,
            "open": self.filing.open,
            "save": lambda _: self.filing.save(),
            "save_as": lambda _: self.filing.save_as(),
            "tell": note,
        }
        return {f"path.{name}": self._told(act) for name, act in own.items()} | {
            "path.preview": lambda _: self._turn("preview"),
            "path.each_turn": self._followers.append,
            "path.toggle": lambda _: self._turn("shown"),
        }

    def _told(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the action with a refusal told in the status bar in place of an error."""

        def told(argument: Any) -> None:
            try:
                act(argument)
            except UserError as error:
                self._parts.reports.note(str(error))

        return told

    def on_event(self, event: Event) -> None:
        """Follow the scene: into other units, or into another capture with the path that was left there."""
        if not isinstance(event, SceneOpened):
            return
        before, self._scene = self._scene, event
        if before is not None:
            self.store.keep(before)
            if (before.path, before.kind) != (event.path, event.kind):
                self.editor.put_away()
            elif not np.array_equal(before.data_from_engine, event.data_from_engine):
                self.editor.carry(np.linalg.inv(event.data_from_engine) @ before.data_from_engine)
        if self._session.path is None:
            self._take_up()
        else:
            self.store.spare()

    def update(self, dt: float) -> bool:
        """Play, record, keep."""
        self._scene = self._session.scene
        moved = self.player.update(dt)
        self.store.update(dt)
        moved |= self._bars.refresh(self.player.aspect)
        if self._session.timeline.shown and self._session.view.show_panels:
            for draw in self._followers:
                moved |= draw()
        return moved

    def close(self) -> None:
        """Keep what was edited last."""
        self.store.keep(self._session.scene, wait=True)

    def _size(self) -> tuple[int, int]:
        rect = self._parts.viewport.rect
        return rect.width, rect.height

    def _looks_along(self) -> bool:
        """Whether one sees what the path sees."""
        return self.player.on_path or self._session.timeline.preview

    def _frustum_size(self) -> float:
        """Return how deep keys are drawn: more than photos, which may be many and small."""
        return max(1.4 * self._parts.viewport.layers.frustum_size, LEAST_FRUSTUM)

    def _take_up(self) -> None:
        path = self.store.left_here()
        if path is not None:
            self._session.path = self._session.path_kept = path
            self._session.timeline.shown = True
            self._session.playhead_s = path.start_s

    # --- keys -------------------------------------------------------------------------------------------------

    def _add(self) -> None:
        self._parts.reports.note(self.editor.add(*self.player.view()))

    def _overwrite(self) -> None:
        (index,) = self._session.timeline.selected
        self.editor.overwrite(index, *self.player.view())
        self._parts.reports.note(f"key {index + 1} sees what you see now")

    def _copy(self) -> None:
        session = self._session
        chosen = sorted(session.timeline.selected)
        clipboard.copy(keys_to_text(session.path, chosen, session.scene.data_from_engine))
        self._parts.reports.note(f"{len(chosen)} key{'s' if len(chosen) > 1 else ''} copied")

    def _paste(self) -> None:
        self.editor.paste(keys_from_text(clipboard.paste(), self._session.scene.data_from_engine))

    def _split(self, time_s: float | None) -> None:
        self.editor.split(self._session.playhead_s if time_s is None else time_s)

    # --- time -------------------------------------------------------------------------------------------------

    def _scrub(self, time_s: float) -> None:
        self.player.pause()
        self.player.look(time_s)

    def _step(self, frames: int) -> None:
        fps = self._session.export.fps
        self._scrub((round(self._session.playhead_s * fps) + frames) / fps)

    def _jump(self, where: str) -> None:
        """Go to the "first", "previous", "next" or "last" key."""
        path, now = self._session.path, self._session.playhead_s
        times = path.key_times_s
        on = key_at(path, now)
        after = int(np.searchsorted(times, now))
        before, behind = (after - 1, after) if on is None else (on - 1, on + 1)
        index = {"first": 0, "previous": before, "next": behind, "last": len(times) - 1}[where]
        self._look_through(min(max(index, 0), len(times) - 1))

    def _look_through(self, index: int) -> None:
        self.editor.select([index])
        self._scrub(float(self._session.path.key_times_s[index]))

    def _play(self) -> None:
        if self._session.timeline.playing:
            self.player.pause()
        else:
            self.player.play()

    def _turn(self, switch: str) -> None:
        state = self._session.timeline
        setattr(state, switch, not getattr(state, switch))
        self._parts.viewport.canvas.changed = True

    def _record(self) -> None:
        if not self._session.timeline.recording:
            self.player.begin_recording()
            self._parts.reports.note("recording: fly, then press Stop in the timeline, or the same key again")
            return
        samples = self.player.end_recording()
        if len(samples) < 2:
            self._parts.reports.note("nothing was recorded: the camera did not move")
            return
        path = from_recording(samples, RECORD_TOLERANCE, RECORD_TURN_RAD)
        self.editor.become("Record path", path, [], file="")
        self._session.playhead_s = path.start_s
        self._parts.reports.note(f"recorded {path.duration_s:.1f} s as {len(path.keys)} keys")

    def _preset(self, kind: str) -> None:
        scene, export = self._session.scene, self._session.export
        suggested = presets.suggest(
            [view.camera for view in scene.views], scene.up, export.frames, export.turns
        )
        preset = replace(suggested, radius=export.radius, height=export.height)
        path = presets.preset_path(kind, preset, export.frames / export.fps)
        self.editor.become(f"{kind.replace('-', ' ').capitalize()} path", path, [], file="")
        self._session.timeline.shown = True
        self.player.look(path.start_s)
