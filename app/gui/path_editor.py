# SPDX-License-Identifier: MIT
"""Edits of the open camera path: each makes a new path, sets it in the session, and can be taken back.

Knows no widgets. Edits remember the units they were made in, so that they fit after the scene's box was moved.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.gui.time_scale import snapped
from app.session import Session
from app.undo import Edit
from app.view import path_edit
from app.view.path import CameraPath, Key
from app.view.path_change import PathChange

MERGE = "camera path"  # every edit's merge key begins so
ON_A_KEY_S = 0.5 * path_edit.LEAST_GAP_S


@dataclass(frozen=True, eq=False)
class _State:
    path: CameraPath | None
    selected: frozenset[int]
    data_from_engine: np.ndarray
    file: str


def key_at(path: CameraPath, time_s: float) -> int | None:
    """Return the key that is passed at a playing time, None between keys."""
    i = int(np.argmin(np.abs(path.key_times_s - time_s)))
    return i if abs(path.key_times_s[i] - time_s) < ON_A_KEY_S else None


def between_keys(path: CameraPath | None, time_s: float) -> bool:
    """Whether a playing time lies inside the path, on no key."""
    return path is not None and path.start_s < time_s < path.end_s and key_at(path, time_s) is None


class PathEditor:
    """Changes `session.path` and what is selected of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers = itertools.count()

    # --- the path ---------------------------------------------------------------------------------------------

    def become(
        self,
        label: str,
        path: CameraPath | None,
        selected: Iterable[int] | None = None,
        merge: str = "",
        file: str | None = None,
    ) -> None:
        """Let the path become another one, by an edit of that label. With `merge`, edits that follow each other are one.

        A path that is none of the present one's making comes with the `file` it is in, "" for none.
        """
        session, before = self._session, self._now()
        if path is session.path and (selected is None or frozenset(selected) == before.selected):
            return
        session.timeline.shown |= session.path is None and path is not None
        self._set(path, before.selected if selected is None else frozenset(selected))
        session.path_file = session.path_file if file is None else file
        key = f"{MERGE}: {merge or next(self._numbers)}"
        files = file is not None
        undo, redo = partial(self._restore, before, files), partial(self._restore, self._now(), files)
        session.undo.push(Edit(label, undo, redo, key))

    def apply(self, change: PathChange) -> None:
        """Do what a widget asks for."""
        if self._session.path is not None:
            self.become(change.label, change.function(self._session.path), merge=change.merge)

    def put_away(self) -> None:
        """Close the path; its edits are forgotten."""
        session = self._session
        self._set(None, frozenset())
        session.path_file, session.path_kept = "", None
        session.timeline.shown = False
        session.undo.forget(MERGE)

    def carry(self, new_from_old: np.ndarray) -> None:
        """Follow the scene into other units."""
        session = self._session
        if session.path is None:
            return
        kept = session.path is session.path_kept
        session.path = path_edit.transformed(session.path, new_from_old)
        session.path_kept = session.path if kept else session.path_kept

    def _now(self) -> _State:
        session = self._session
        matrix = np.eye(4) if session.scene is None else session.scene.data_from_engine
        return _State(session.path, session.timeline.selected, matrix, session.path_file)

    def _restore(self, state: _State, files: bool) -> None:
        matrix, path = self._now().data_from_engine, state.path
        if path is not None and not np.array_equal(matrix, state.data_from_engine):
            path = path_edit.transformed(path, np.linalg.inv(matrix) @ state.data_from_engine)
        self._session.timeline.shown |= path is not None
        self._set(path, state.selected)
        if files:
            self._session.path_file = state.file

    def _set(self, path: CameraPath | None, selected: frozenset[int]) -> None:
        session, count = self._session, 0 if path is None else len(path.keys)
        session.path = path
        session.timeline.selected = frozenset(i for i in selected if i < count)
        if path is None:
            session.playhead_s, session.timeline.playing = 0.0, False
        elif session.path is not None:
            session.playhead_s = float(np.clip(session.playhead_s, path.start_s, path.end_s))

    # --- keys -------------------------------------------------------------------------------------------------

    def add(self, world_from_cam: np.ndarray, fov_y_rad: float) -> str:
        """Put a key in at the playhead if that stands between keys, else behind the last; return what was done."""
        session, path = self._session, self._session.path
        if between_keys(path, session.playhead_s):
            time_s = session.playhead_s
            new = path_edit.insert_key(path, Key(time_s, world_from_cam, fov_y_rad))
        else:
            new = path_edit.append_view(path, world_from_cam, fov_y_rad)
            last = len(new.keys) - 1
            off_frame = snapped(new.keys[last].time_s, session.export.fps) - new.keys[last].time_s
            new = path_edit.retime(new, [last], off_frame)
            time_s = float(new.key_times_s[last])
        index = int(np.argmin(np.abs(new.key_times_s - time_s)))
        self.become("Add key", new, [index])
        session.playhead_s = float(new.key_times_s[index])
        return f"key {index + 1} of {len(new.keys)} at {session.playhead_s:.2f} s"

    def overwrite(self, index: int, world_from_cam: np.ndarray, fov_y_rad: float) -> None:
        """Let a key see what is seen now."""
        posed = path_edit.set_pose(self._session.path, index, world_from_cam)
        self.become("Overwrite key", path_edit.set_fov(posed, [index], fov_y_rad), [index])

    def delete(self) -> None:
        """Remove the selected keys."""
        chosen = self._session.timeline.selected
        label = "Delete key" if len(chosen) == 1 else f"Delete {len(chosen)} keys"
        self.become(label, path_edit.delete(self._session.path, chosen), [])

    def duplicate(self) -> None:
        """Put copies of the selected keys behind the last of them and select those."""
        path, chosen = self._session.path, sorted(self._session.timeline.selected)
        new = path_edit.duplicate(path, chosen)
        first = chosen[-1] + 1
        self.become("Duplicate", new, range(first, first + len(chosen)))

    def paste(self, copied: CameraPath) -> None:
        """Put copied keys in at the playhead, behind the last key if that is there, and select them."""
        session, path = self._session, self._session.path
        before, at_s = [], session.playhead_s
        if path is not None:
            before = [key.world_from_cam for key in path.keys]
            last_s = float(path.key_times_s[-1])
            if at_s >= last_s - ON_A_KEY_S:
                at_s = last_s + path_edit.gap_after(path, len(path.keys) - 1)
        new = path_edit.paste(path, copied, at_s)
        old = {id(pose) for pose in before}
        self.become("Paste", new, [i for i, key in enumerate(new.keys) if id(key.world_from_cam) not in old])

    def split(self, time_s: float) -> None:
        """Put a key in on the path, where the camera passes at a playing time."""
        new = path_edit.split(self._session.path, time_s)
        self.become("Split", new, [int(np.argmin(np.abs(new.key_times_s - time_s)))])

    def select(self, indices: Iterable[int], how: str = "only") -> None:
        """Select keys: "only" these, "add" them, "toggle" them, or all "to" the nearest one selected."""
        state, new = self._session.timeline, frozenset(indices)
        if how == "add":
            new |= state.selected
        elif how == "toggle":
            new ^= state.selected
        elif how == "to" and state.selected and new:
            low, high = min(new), max(new)
            nearest = min(state.selected, key=lambda i: min(abs(i - low), abs(i - high)))
            new = state.selected | frozenset(range(min(low, nearest), max(high, nearest) + 1))
        state.selected = new
