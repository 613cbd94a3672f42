# SPDX-License-Identifier: MIT
"""What the window does when the worker tells something: shows it, says it, asks. What a feature alone hears, its desk does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from app.gui import formats
from engine import messages
from engine.messages import Event, TrainState

if TYPE_CHECKING:
    from app.gui.actions import Parts

# Of a picture: the log says it, a dialog would come up again and again.
_QUIET_FAILURES = ("render", "view", "picture")


class Reactions:
    """Call it with every event, after the session followed it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._capture: tuple[str, str, bytes] | None = None  # that was looked over last
        self._by_kind: dict[type[Event], Callable[[Any], None]] = {
            messages.SceneOpened: self._scene_opened,
            messages.StateChanged: self._state_changed,
            messages.StructureChanged: self._structure_changed,
            messages.CamerasMoved: lambda event: parts.viewport.cameras_moved(),
            messages.BoxesReady: parts.viewport.boxes_ready,
            messages.Failed: self._failed,
            messages.JobProgress: self._job_progress,
            messages.JobEnded: self._job_ended,
            messages.CheckpointSaved: lambda event: parts.reports.tell(
                f"Saved step {event.step:,}", key="saved"
            ),
        }

    def __call__(self, event: Event) -> None:
        """React to an event, or let it be; a kind of failure is a failure."""
        for kind in type(event).__mro__:
            if kind in self._by_kind:
                self._by_kind[kind](event)
                return

    def _scene_opened(self, scene: messages.SceneOpened) -> None:
        columns = self._parts.columns
        self._parts.viewport.open_scene(scene)
        capture = (scene.path, scene.kind, scene.data_from_engine.tobytes())
        if capture != self._capture:  # else only the model is another one
            self._capture = capture
            self._parts.send(messages.SurveyCapture())
            columns.fold("capture", False)
        columns.layout = columns.layout.with_recent(scene.path)
        dpg.set_viewport_title(f"{scene.name} – nerfviewer")

    def _state_changed(self, event: messages.StateChanged) -> None:
        self._parts.viewport.state_changed(event.state)
        stats = self._parts.session.stats
        if event.state is TrainState.TRAINING and (stats is None or stats.step == 0):
            self._parts.columns.fold("capture", True)  # it has done its part

    def _structure_changed(self, event: messages.StructureChanged) -> None:
        self._parts.viewport.structure_changed()
        self._parts.reports.note(formats.structure_change(event.report, self._parts.session.scene.unit))

    def _failed(self, event: messages.Failed) -> None:
        self._parts.viewport.request_failed()
        quiet = any(word in event.what.lower() for word in _QUIET_FAILURES)
        if event.fatal or event.offers or not quiet:
            offers = [(offer.label, partial(self._take_offer, offer)) for offer in event.offers]
            self._parts.dialogs.error(event.what, event.chain, offers, event.trace)

    def _take_offer(self, offer: messages.Offer) -> None:
        """Go on after memory ran out, in the way that was chosen."""
        view = self._parts.session.view
        if offer.max_scale is not None:
            view.max_scale = min(view.max_scale, offer.max_scale)
        for command in offer.commands:
            self._parts.send(command)

    def _job_progress(self, event: messages.JobProgress) -> None:
        of = f" of {event.total:,} frames" if event.total else " pictures of the time-lapse"
        self._parts.reports.note(f"exporting, {event.done:,}{of}")

    def _job_ended(self, event: messages.JobEnded) -> None:
        if event.outcome == "failed":
            self._parts.dialogs.error("The export failed", (event.detail,))
        elif event.outcome == "finished":
            self._parts.reports.tell(
                f"Export written: {Path(event.detail).name}",
                button="Open folder",
                act=lambda: self._parts.do("export.open_folder", event.detail),
                line=f"Export written: {event.detail}",
            )
        else:
            self._parts.reports.tell(event.detail)
