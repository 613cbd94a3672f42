# SPDX-License-Identifier: MIT
"""Scene export in the window: opens the dialog, asks the worker for sizes and files, and says what became of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.gui.scene_export import SceneExportDialog
from engine.errors import UserError
from engine.export.formats import find, format_of
from engine.messages import (
    ESTIMATE,
    CancelJob,
    EstimateExport,
    Event,
    ExportEstimated,
    ExportScene,
    SceneExported,
    SceneExportProgress,
)
from engine.methods.common import method_title

if TYPE_CHECKING:
    from app.gui.actions import Parts

_SETTLED_S = 0.6  # after the last change of an option sizes are measured anew


class SceneExportDesk:
    """One export at a time; the dialog may be closed and opened again meanwhile."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts, self._clock = parts, clock
        self._job = ""
        self._measure_at: float | None = None
        self._options: dict[str, Any] = {}
        self.dialog = SceneExportDialog(
            parts.dialogs.look, parts.dialogs.size, self._export, self._measure, self._cancel, self._browse
        )

        parts.dialogs.escapes.append(self._escape)

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        return {"scene_export.show": lambda _: self.show()}

    def show(self) -> None:
        """Show the dialog for the open scene."""
        scene = self._parts.session.scene
        if scene is None:
            return
        what = f"{method_title(scene.method)} on {scene.name}, as it is when you press Export."
        self.dialog.ask(what, self._parts.session.output_folder().absolute(), scene.name)
        self.dialog.writing(bool(self._job))

    def on_event(self, event: Event) -> None:
        """Hear how far exports are."""
        scene = self._parts.session.scene
        if isinstance(event, ExportEstimated):
            if scene is not None and event.key == scene.key:
                self.dialog.estimated(event.formats, event.step)
        elif isinstance(event, SceneExportProgress):
            if event.job_id == self._job:
                self.dialog.progress(event)
                if not self.dialog.shown:
                    self._parts.reports.note(f"exporting the scene: {event.stage}")
        elif isinstance(event, SceneExported):
            self._ended(event)

    def update(self, dt: float) -> bool:
        """Ask for sizes once the options have settled."""
        if self._measure_at is None or self._clock() < self._measure_at:
            return False
        self._measure_at = None
        if self._parts.session.scene is not None and self.dialog.shown:
            self._parts.send(EstimateExport(self._options))
        return False

    def close(self) -> None:
        """The worker ends what it writes."""
        return None

    def _escape(self) -> bool:
        """Close the dialog, if it is there; what is being written goes on."""
        shown = self.dialog.shown
        self.dialog.close()
        return shown

    def _ended(self, event: SceneExported) -> None:
        if event.job_id == ESTIMATE:
            if event.outcome == "failed":
                self._parts.reports.note(event.detail)
            return
        if event.job_id == self._job:
            self._job = ""
            self.dialog.ended(event)
        done = event.outcome == "finished"
        if done:
            self._parts.reports.tell(
                f"Scene written: {Path(event.path).name}",
                button="Open folder",
                act=lambda: self._parts.do("export.open_folder", event.path),
            )
        else:
            self._parts.reports.note(f"scene export {event.outcome}")
        if event.outcome == "failed" and not self.dialog.shown:
            self._parts.dialogs.error("The scene could not be exported", (event.detail,))

    # --- what the dialog asks for -------------------------------------------------------------------------------------

    def _measure(self, options: dict[str, Any]) -> None:
        first = not self._options and not options
        self._options = options
        self._measure_at = self._clock() + (0.0 if first else _SETTLED_S)

    def _export(self, format_id: str, text: str, options: dict[str, Any]) -> None:
        path = Path(text).expanduser()
        if not text or not path.name:
            self._refuse("Name the file to write.")
            return
        suffix = find(format_id).suffixes[0]
        path = path if path.suffix else path.with_suffix(suffix)
        try:
            format_of(path, format_id)
        except UserError as error:
            self._refuse(str(error))
            return

        def begin() -> None:
            self._job = f"scene-{uuid.uuid4().hex[:8]}"
            self.dialog.writing(True)
            self._parts.send(ExportScene(self._job, format_id, str(path), options))

        if path.is_file():
            self._parts.dialogs.confirm(f"{path} exists already. Replace it?", "Replace", begin)
        else:
            begin()

    def _refuse(self, why: str) -> None:
        self.dialog.ended(SceneExported(self._job, "failed", why))

    def _cancel(self) -> None:
        if self._job:
            self._parts.send(CancelJob(self._job))

    def _browse(self, folder: str, name: str, then: Callable[[str], None]) -> None:
        existing = next((str(p) for p in (Path(folder), *Path(folder).parents) if p.is_dir()), ".")
        suffix = self.dialog.suffix
        self._parts.dialogs.save("Write the scene", existing, name, suffix, then)
