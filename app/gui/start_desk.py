# SPDX-License-Identifier: MIT
"""The start page's desk: remembers what was opened and how far it came, with a small picture, and shows the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.gui.layout import Places, Rect
from app.gui.recent_cards import RecentCards
from app.gui.thumbnails import Thumbnails
from app.gui.welcome import Welcome
from app.recent import RecentList
from engine.messages import CheckpointSaved, Evaluated, Event, SceneOpened, StateChanged, TrainState

if TYPE_CHECKING:
    from app.gui.actions import Parts


class StartDesk:
    """Named actions: "start.forget" takes a path off the list."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._session = parts, parts.session
        self.recent, self._thumbnails = RecentList(), Thumbnails()
        cards = RecentCards(parts.look, self._thumbnails, self._open, self._forget)
        self.welcome = Welcome(parts.look, lambda command: self._run(command), cards)
        self._built = False
        self._photo_due = ""  # the scene whose first photo is waited for

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what can be done, by name."""
        return {"start.forget": self._forget}

    def on_event(self, event: Event) -> None:
        """Remember what was opened, and how far it is whenever that is certain."""
        if isinstance(event, SceneOpened):
            self._opened(event)
        elif isinstance(event, CheckpointSaved | Evaluated):
            self.keep()
        elif isinstance(event, StateChanged):
            self.welcome.set_recent(self.recent.of(self._parts.columns.layout.recent))

    def update(self, dt: float) -> bool:
        """Show the page or hide it; keep the first photo of a scene that has no picture yet."""
        columns = self._parts.columns
        columns.cover(self._session.scene is None and self._session.state is not TrainState.LOADING)
        places = columns.places
        if places is None:  # the window is not arranged yet
            return False
        if not self._built:
            self._built = True
            self.welcome.build()
            self.welcome.set_recent(self.recent.of(self._parts.columns.layout.recent))
        if self._photo_due:
            self._keep_photo()
        return self.welcome.refresh(self._session, _whole(places), places.viewport)

    def close(self) -> None:
        """Keep how far the open scene is."""
        self.keep(wait=True)

    def keep(self, wait: bool = False) -> None:
        """Remember how far the open scene is, and what it looks like now."""
        scene, stats, frame = self._session.scene, self._session.stats, self._parts.viewport.frame
        if scene is None or stats is None or stats.step == 0 or scene.followed:
            return
        found = self._session.evaluated
        self.recent.note(
            scene.path, run=str(Path(scene.run_folder).absolute()), method=scene.method, step=stats.step,
            psnr=None if found is None else round(found.psnr, 2),
        )  # fmt: skip
        if frame is not None and frame.step > 0 and frame.request.mode == "colour" and frame.heat_of is None:
            self._thumbnails.save(scene.path, frame.on_host().rgba, wait)

    def _opened(self, scene: SceneOpened) -> None:
        place = scene.path
        self.recent.note(place, name=scene.name, opened_at=time.time())
        self._photo_due = "" if self._thumbnails.has(place) or not scene.views else place

    def _keep_photo(self) -> None:
        """Keep the first photo, once it is decoded."""
        if self._session.scene is None or self._session.scene.path != self._photo_due:
            self._photo_due = ""
            return
        photo = self._parts.viewport.photos.get(0)
        if photo is not None:
            self._thumbnails.save(self._photo_due, photo)
            self._photo_due = ""

    def _open(self, path: str) -> None:
        self._parts.do("open", path)

    def _run(self, command: str) -> None:
        self._parts.run(command)

    def _forget(self, path: str) -> None:
        columns = self._parts.columns
        columns.layout = replace(columns.layout, recent=tuple(p for p in columns.layout.recent if p != path))
        self.recent.forget(path)
        self._thumbnails.forget(path)
        self.welcome.set_recent(self.recent.of(columns.layout.recent))
        self._parts.wake()


def _whole(places: Places) -> Rect:
    """Return the window between menu bar and status bar."""
    top = places.viewport.y
    width = max(places.status.width, places.viewport.width)
    below = places.status.y if places.status.height else top + places.viewport.height
    return Rect(0, top, width, below - top)
