# SPDX-License-Identifier: MIT
"""Pictures for others: exports and their queue, time-lapses of training, screenshots, and views as text."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.gui import clipboard
from app.gui.show_folder import show_folder
from app.gui.surfaces import SurfaceError
from app.jobs import estimate, timelapse
from app.jobs.orders import scene_name
from app.jobs.still import Still, full_size, save_png
from app.session import ExportSettings
from app.view.view_record import ViewRecord, view_from_screenshot
from engine.cameras import Camera
from engine.errors import UserError
from engine.export.resume import OtherJobError
from engine.messages import Event, Frame, Logged, SceneOpened

if TYPE_CHECKING:
    from app.gui.actions import Parts

ESTIMATE_S = 0.5  # between two looks at what the export would cost
PICTURES = 3  # at rest, whose median tells the cost
FULL_SIZE = (3840, 2160)


class ExportDesk:
    """See `desks.Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self.session, self._exports = parts, parts.session, parts.exports
        self._stills: list[Still] = []  # on their way
        self._place: tuple[str, bytes] | None = None  # the scene, and its units
        self._estimated_s = -1e9
        self._shown: tuple[Any, ...] = ()
        self._had_path = False
        self._rays_ns: deque[float] = deque(maxlen=PICTURES)
        self._looked_at: Frame | None = None

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do."""
        exports = self._exports
        return {
            "export.start": lambda _: self._start(),
            "export.preset": self._preset,
            "export.cancel": exports.cancel,
            "export.sooner": lambda job_id: exports.move(job_id, -1),
            "export.later": lambda job_id: exports.move(job_id, 1),
            "export.clear": lambda _: exports.clear(),
            "export.open_folder": self._open_folder,
            "export.timelapse": lambda _: self._timelapse(),
            "export.add_view": lambda _: self._add_view(),
            "export.forget_views": lambda _: self.session.timelapse.cameras.clear(),
            "export.screenshot": lambda _: self._screenshot(),
            "export.full_screenshot": lambda _: self._full_screenshot(),
            "export.copy_command": lambda _: self._copy(ViewRecord.command_line, "command line"),
            "export.copy_python": lambda _: self._copy(ViewRecord.python, "Python program"),
            "export.open_view": self.open_view,
        }

    def on_event(self, event: Event) -> None:
        """Forget views that were chosen in another scene, and what pictures of another model took."""
        if isinstance(event, SceneOpened):
            self._rays_ns.clear()
            place = event.path, event.data_from_engine.tobytes()
            if place != self._place:
                self._place = place
                self.session.timelapse.cameras.clear()

    def update(self, dt: float) -> bool:
        """Keep the estimate, and have the window drawn when a job shows another picture."""
        now = time.monotonic()
        if now - self._estimated_s >= ESTIMATE_S:
            self._estimated_s = now
            self._estimate()
        self._follow_path()
        shown = tuple((row.job_id, row.state, row.serial) for row in self.session.jobs)
        changed, self._shown = shown != self._shown, shown
        return changed

    def close(self) -> None:
        """Forget pictures that are on their way; exports are ended, and keep what they have, by the window."""
        for still in self._stills:
            still.cancel()

    # --- exports ----------------------------------------------------------------------------------------------

    def _start(self, anew: bool = False) -> None:
        reports = self._parts.reports
        try:
            reports.note(f"exporting to {self._exports.start(self.session.export, anew)}")
        except OtherJobError as error:
            self._parts.dialogs.confirm(
                f"{error} Starting anew deletes the pictures in it.", "Start anew", lambda: self._start(True)
            )
        except Exception as error:
            reports.failed("The export did not start", error)

    def _follow_path(self) -> None:
        """Who begins a camera path wants to export that, until a person chooses something else."""
        had, self._had_path = self._had_path, self.session.path is not None
        if self._had_path and not had:
            self.session.export.kind = "path"
        elif had and not self._had_path and self.session.export.kind == "path":
            self.session.export.kind = ExportSettings().kind

    def _preset(self, kind: str) -> None:
        self.session.export.kind = kind
        self._start()

    def _timelapse(self) -> None:
        try:
            order = timelapse.order_of(
                self.session, self._camera(), lambda suffix: self._exports.free_name("timelapse", suffix)
            )
            self._parts.reports.note(
                f"time-lapse into {self._exports.begin(order)}; stop it in the Export panel"
            )
        except Exception as error:
            self._parts.reports.failed("The time-lapse did not start", error)

    def _add_view(self) -> None:
        views = self.session.timelapse.cameras
        if len(views) >= timelapse.MOST_VIEWS:
            self._parts.reports.note(f"a time-lapse has at most {timelapse.MOST_VIEWS} views")
            return
        views.append(self._camera())
        self.session.timelapse.views = "chosen views"

    def _estimate(self) -> None:
        session, settings = self.session, self.session.export
        path = session.path
        frames = estimate.frame_count(settings, None if path is None else path.duration_s)
        seconds = estimate.seconds(settings, frames, self._ns_per_ray(), session.state)
        session.export_estimate = (seconds, estimate.size_bytes(settings, frames)) if frames else None

    def _open_folder(self, path: str) -> None:
        try:
            show_folder(Path(path).parent)
        except UserError as error:
            self._parts.reports.note(str(error))

    def _ns_per_ray(self) -> float:
        """Return what a ray took in the last pictures at rest: those in motion are small, so that most of their time is not for
        rays."""
        frame = self._parts.viewport.frame
        if frame is not None and frame is not self._looked_at and not frame.request.moving:
            self._looked_at = frame
            self._rays_ns.append(1e6 * frame.render_ms / max(1, frame.rgba.shape[0] * frame.rgba.shape[1]))
        return statistics.median(self._rays_ns) if self._rays_ns else estimate.NS_PER_RAY

    # --- views ------------------------------------------------------------------------------------------------

    def _camera(self) -> Camera:
        viewport = self._parts.viewport
        width, height = viewport.rect.width, viewport.rect.height
        return viewport.controller.camera.engine_camera(max(1, width), max(1, height))

    def record(self, camera: Camera | None = None) -> ViewRecord:
        """Return the view in the viewport, or of a camera, with what is shown there."""
        session, scene = self.session, self.session.scene
        if scene is None:
            raise UserError("There is no view before a scene is open. Open one first.")
        told = {"scene": scene_name(scene), "run": scene.run_folder, "method": scene.method}
        told |= {"step": session.stats.step if session.stats else 0, "mode": session.view.mode}
        return ViewRecord.of(camera or self._camera(), scene.data_from_engine, **told)

    def _screenshot(self) -> None:
        file = self._exports.free_name("screenshot", ".png")
        try:
            picture = self._parts.viewport.picture()
            camera = self._camera().resized(picture.shape[1], picture.shape[0])
            save_png(file, picture[..., :3], self.record(camera))
        except (UserError, SurfaceError) as error:
            self._parts.reports.failed(f"Cannot save {file}", error)
            return
        self._parts.reports.tell(
            f"Screenshot saved: {file.name}", button="Open folder", act=lambda: self._open_folder(str(file))
        )

    def _full_screenshot(self) -> None:
        view = self.session.view
        self._stills = [still for still in self._stills if not still.wait(0.0)]
        file = self._exports.free_name("picture", ".png", [still.file for still in self._stills])
        camera = full_size(self._camera(), *FULL_SIZE)
        look = {"mode": view.mode, "colour_map": view.colour_map, "background": view.background}
        look["shown"] = self.session.inspect.shown(self.session.scene)
        emit, reports = self._parts.reports.emit, self._parts.reports

        def told(text: str, failed: bool) -> None:
            emit(Logged("error" if failed else "info", text[:1].upper() + text[1:]))

        still = Still(file, camera, self.record(camera), self._parts.send, told, **look)
        self._stills.append(still)
        still.start()
        reports.note(f"rendering {camera.width} x {camera.height} into {file}")

    def _copy(self, text_of: Callable[[ViewRecord], str], what: str) -> None:
        clipboard.copy(text_of(self.record()))
        self._parts.reports.note(f"copied the view as a {what}")

    def open_view(self, path: str) -> None:
        """Jump to the view that a screenshot holds; of another scene, offer to open that first."""
        try:
            record, scene = view_from_screenshot(path), self.session.scene
            if scene is None or record.scene != scene_name(scene):
                raise UserError(
                    f"{Path(path).name} shows {record.scene or 'a scene that it does not name'}; open that scene, then the "
                    "screenshot again."
                )
        except UserError as error:
            self._parts.reports.failed("The view cannot be shown", error)
            return
        viewport, view = self._parts.viewport, self.session.view
        camera = record.camera(scene.data_from_engine)
        view.fov_y_deg = float(min(max(camera.fov_y_rad * 57.29577951308232, 1.0), 170.0))
        viewport.controller.jump(camera)
        view.view_index = None
