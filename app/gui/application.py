# SPDX-License-Identifier: MIT
"""The window's parts and its loop: callbacks, the worker's events, panels (at most 15 times a second), input, camera and
view requests, the newest picture, then Dear PyGui's frame.

All on one thread, and nothing waits for the worker. A panel or a picture that fails is a line in the log and a dialog;
the loop goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any

import dearpygui.dearpygui as dpg

from app.gl.context import GLError
from app.gui import effects, session_feed, theme
from app.gui import layout as lay
from app.gui.actions import Actions, Parts
from app.gui.closing import CloseButton
from app.gui.columns import Columns
from app.gui.desks import DESKS
from app.gui.dialogs import Dialogs
from app.gui.drops import Drops, one_path, too_many
from app.gui.exports import Exports
from app.gui.idle import Pacer, make_watch, yield_to_window
from app.gui.import_dialog import ImportDialog
from app.gui.input import Input
from app.gui.menu import MenuBar
from app.gui.panel import PanelContext
from app.gui.panels import PANELS
from app.gui.photos import PhotoCache
from app.gui.preferences import Preferences
from app.gui.reactions import Reactions
from app.gui.reports import Reports
from app.gui.statusbar import StatusBar
from app.gui.surfaces import CopySurface, SurfaceError, open_surface
from app.gui.toasts import Toasts
from app.gui.viewport import Viewport
from app.session import Session
from app.settings import Settings, settings_file
from engine import messages
from engine.messages import Event, Logged

log = logging.getLogger(__name__)

REFRESH_AWAKE_S, REFRESH_IDLE_S = 1 / 15, 1 / 4
WORKER_THREAD = "nerfviewer-worker"  # its name in engine/worker.py


class App:
    """One window on one worker. `turn` it until it is no longer `running`, then `close` it."""

    def __init__(
        self, worker: Any, *, present: str = "auto", interop: str = "cuda", ui_scale: float | None = None
    ) -> None:
        self.session = Session()
        self.worker = worker
        self.layout_path = lay.layout_file()
        self._present, self._interop = present, interop
        self._refreshed_s = self._turned_s = -1e9
        self._draws: deque[float] = deque(maxlen=180)
        self.intervals: deque[float] = deque(maxlen=4096)  # seconds between redraws, for benchmarks
        self._stale = self._numbers_stale = True
        self._shown_stats: Any = None
        self._refresh_key: Any = None
        self.preferences = Preferences(self.session, settings_file(), theme.detected_scale(), ui_scale)
        self._make(lay.load(self.layout_path))
        self._build()
        self.preferences.listen(self._settings_changed)

    def _make(self, layout: lay.Layout) -> None:
        """Create the parts. The Dear PyGui context and the OS window exist."""
        self.look = theme.install(self.preferences.scale)
        dpg.set_viewport_clear_color(theme.BACKGROUND)
        self.dialogs = Dialogs(self.look, self.size)
        self.reports = Reports(self.dialogs.error, self._wake)
        photos = PhotoCache(getattr(self.worker, "photo", lambda index: None))
        send = self.worker.send
        self.viewport = Viewport(self.session, self.worker.request_view, send, photos, self.look)
        if hasattr(self.worker, "view_waiting"):
            self.viewport.request_waiting = lambda: self.worker.view_waiting
        self.columns = Columns(
            self.look, [(slot, make()) for slot, make in PANELS], layout, self.reports.failed
        )
        self.exports = Exports(self.session, send, self.reports.emit)
        self.imports = ImportDialog(
            self.look,
            self.size,
            lambda path: self.actions.open_path(path),
            lambda text: self.reports.emit(Logged("info", text)),
        )
        parts = Parts(
            self.session, send, self.viewport, self.dialogs, self.columns, self.exports, self.imports, self.reports,
            self.preferences, self._wake, self.look, lambda name: self.actions.run(name),
            lambda action, argument: self.actions.do(action, argument),
        )  # fmt: skip
        self.actions = Actions(parts)
        self.reactions = Reactions(parts)
        self.desks = [make(parts) for make in DESKS]
        for desk in self.desks:
            self.actions.register(desk.actions())
        self.menu = MenuBar(self.look, self.actions.run)
        self.status = StatusBar(self.look)
        self.dialogs.escapes.append(self.imports.dismiss)
        self.input = Input(
            self.viewport,
            self.actions.run,
            lambda: self.dialogs.blocking or self.imports.blocking,
            self._answer,
        )
        self.toasts = Toasts(self.look, self.reports.notices)
        self.drops, self.close_button = Drops(), CloseButton()
        self.pacer = Pacer(make_watch())
        yield_to_window(next((t for t in threading.enumerate() if t.name == WORKER_THREAD), None))

    def _build(self) -> None:
        """Create all widgets."""
        actions = self.actions
        self.menu.build()
        scale, plot = self.look.sizes.scale, self.look.plot
        context = PanelContext(self.session, actions.send, actions.run, actions.do, scale, plot)
        self.columns.build(context)
        self.viewport.build(self.columns.windows["viewport"])
        self.status.build(self.columns.windows["status"])
        self.input.build()
        self._show_recent()

    def size(self) -> tuple[int, int]:
        """Return the window's inner size."""
        return dpg.get_viewport_client_width(), dpg.get_viewport_client_height()

    def _wake(self) -> None:
        self._stale = True

    def _settings_changed(self, before: Settings, after: Settings) -> None:
        """Put settings into effect that are others than before; who reads them all the time needs no word."""
        if self.preferences.recolour() | self.preferences.rescale(self.look):
            self.columns.rescale()
            self.viewport.restyle()
        effects.on_view(self.session, before, after)
        if after.viewport.frame_rate != before.viewport.frame_rate:
            self.pacer.active_s = 1.0 / after.viewport.frame_rate
        if after.viewport.vertical_sync != before.viewport.vertical_sync:
            dpg.set_viewport_vsync(after.viewport.vertical_sync)
        if after.training.autosave != before.training.autosave:
            self.actions.send(messages.SetAutosave(60.0 * after.training.autosave))
        self._refreshed_s = -1e9
        self._wake()

    def _answer(self, key: str) -> bool:
        """Let what lies on top have Esc or Enter; return whether anything did."""
        taken = self.dialogs.escape() if key == "Esc" else self.dialogs.enter()
        self._stale |= taken
        return taken

    def _show_recent(self) -> None:
        self._recent = self.columns.layout.recent
        self.menu.set_recent(self._recent, self.actions.open_path)

    # --- presenting -------------------------------------------------------------------------------------------

    def open_surface(self) -> None:
        """Find a way to present; after the first frame of the window."""
        self.drops.watch()
        self.close_button.watch()
        surface, reason = open_surface(self._present, self._interop)
        self.viewport.attach(surface)
        self.status.present_reason = reason
        if self._present in ("texture", "interop") and surface.kind != "texture":
            self.reports.emit(Logged("warning", f"Pictures are copied to the window: {reason}."))

    def _viewport_failed(self, error: Exception) -> None:
        if isinstance(error, SurfaceError | GLError):
            self._copy_instead(str(error))
        else:
            self.reports.failed_once("The viewport could not be drawn", error)

    def _copy_instead(self, reason: str) -> None:
        """The shared texture does not work after all."""
        if self.session.present == "copy":
            self.reports.failed_once("Pictures cannot be shown", SurfaceError(reason))
            return
        log.warning("no shared texture reason=%s", reason)
        self.viewport.attach(CopySurface())
        self.status.present_reason = reason
        self.reports.emit(Logged("warning", f"Pictures are copied to the window: {reason}."))

    # --- the loop ---------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One round of the loop."""
        self.pacer.wait()
        self._hear()
        now = time.monotonic()
        dt, self._turned_s = now - self._turned_s, now
        self._refresh(now)
        self._turn_desks(dt)
        try:
            self._stale |= self.viewport.update(dt)
            if self.viewport.moved:
                self.pacer.touch()
        except Exception as error:
            self._viewport_failed(error)
        if self.pacer.due(self._stale, self._numbers_stale):
            self._draw(now)

    def _turn_desks(self, dt: float) -> None:
        for desk in self.desks:
            try:
                self._stale |= desk.update(dt)
            except Exception as error:
                self.reports.failed_once(f"{type(desk).__name__} failed", error)

    def _hear(self) -> None:
        for event in (*self.worker.events(), *self.reports.events()):
            try:
                self._on_event(event)
            except Exception as error:
                self.reports.failed("An event could not be shown", error)
        if self.close_button.take():
            self.actions.quit()
            self._wake()
        self.actions.guard.update()
        for paths in self.drops.take():
            if self.dialogs.blocking:
                self.reports.note("answer the question first, then drop it again")
            elif (path := one_path(paths)) is not None:
                self.actions.do("open", path)
            elif paths:
                self.reports.tell(too_many(paths), "warning", key="drop")
        stats = self.worker.stats()
        if stats is not None and stats is not self.session.stats:
            session_feed.apply_stats(self.session, stats)
        frame = self.worker.frame()
        if frame is not None and self.session.scene is not None:
            self.viewport.on_frame(frame)

    def _on_event(self, event: Event) -> None:
        had = self.session.beside is not None
        session_feed.apply_event(self.session, event)
        if (self.session.beside is not None) != had:
            self.columns.fold("compare", had)
        self._wake()
        self._refreshed_s = -1e9
        self.reactions(event)
        for desk in self.desks:
            try:
                desk.on_event(event)
            except Exception as error:
                self.reports.failed_once(f"{type(desk).__name__} failed", error)
        self.columns.on_event(event)

    def _refresh(self, now: float) -> None:
        period = REFRESH_AWAKE_S if self.pacer.awake else REFRESH_IDLE_S
        if now - self._refreshed_s < period:
            return
        self._refreshed_s = now
        while self._draws and now - self._draws[0] > 1.0:
            self._draws.popleft()
        self.session.ui_fps, self.session.frame_fps = float(len(self._draws)), self.viewport.fps()
        width, height = self.size()
        panels = self.session.view.show_panels
        menu, timeline = self.menu.place(panels, width), self.session.timeline.shown
        places = self.columns.place(width, height, menu, panels, timeline)
        self.viewport.place(places.viewport)
        self.columns.refresh(self.session)
        if self.columns.layout.recent != self._recent:
            self._show_recent()
        self._stale |= self.imports.refresh()
        if self.toasts.refresh(places.viewport):
            self._stale = True
            if self.dialogs.error_window is not None:  # it stays on top
                dpg.focus_item(self.dialogs.error_window)
        if panels:
            self.menu.refresh(self.session, width)
            self.status.refresh(self.session, self.reports.current_note())
        self._numbers_stale |= self.session.stats is not self._shown_stats
        self._shown_stats = self.session.stats
        key = (self.session.state, panels, timeline, width, height)
        if key != self._refresh_key:
            self._refresh_key = key
            self._stale = True

    def _draw(self, now: float) -> None:
        if self._draws:
            self.intervals.append(now - self._draws[-1])
        self._draws.append(now)
        self.pacer.drew()
        self._stale = self._numbers_stale = False
        dpg.render_dearpygui_frame()
        try:
            self.viewport.after_frame()
        except (SurfaceError, GLError) as error:
            self._copy_instead(str(error))
        for job in dpg.get_callback_queue() or ():
            try:
                dpg.run_callbacks([job])
            except Exception as error:
                self.reports.failed("An action failed", error)
        if self.input.poll() | self._pull_splitters():
            self.pacer.touch()
        if self.size() != self._last_size():
            self._refreshed_s = -1e9
            self.pacer.touch()

    def _last_size(self) -> tuple[int, int]:
        places = self.columns.places
        if places is None:
            return (0, 0)
        if not places.splitters:
            return places.viewport.width, places.viewport.height
        return places.status.width, places.status.y + places.status.height

    def _pull_splitters(self) -> bool:
        if self.dialogs.blocking:
            return False
        x, y = dpg.get_mouse_pos(local=False)
        down = dpg.is_mouse_button_down(0)
        pulled = self.columns.pull(x, y, down, dpg.is_mouse_button_clicked(0))
        if pulled:
            self._refreshed_s = -1e9
        return pulled

    # --- the end ----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the window is open."""
        return not self.actions.leaving and dpg.is_dearpygui_running()

    def close(self) -> None:
        """Keep the layout, end exports and free what belongs to OpenGL."""
        width, height = self.size()
        layout = replace(self.columns.layout, folded=self.columns.folded())
        if width > 0 and height > 0:
            layout = replace(layout, width=width, height=height)
        lay.save(layout, self.layout_path)
        for desk in self.desks:
            try:
                desk.close()
            except Exception as error:  # the others have something to keep as well
                log.warning("%s not closed reason=%s", type(desk).__name__, error)
        self.exports.stop_all()
        self.imports.stop()
        self.drops.stop()
        self.close_button.stop()
        self.viewport.release()
        self.pacer.close()
