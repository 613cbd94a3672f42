# SPDX-License-Identifier: MIT
"""The window: `run` opens it, drives it and returns the exit code.

One loop on one thread: callbacks, the worker's events, panels (at most 15 times a second), input, camera and view requests,
the newest picture, then Dear PyGui's frame. Nothing in it waits for the worker. A panel or a picture that fails is a line
in the log and a dialog; the loop goes on.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app import commands
from app.display import NoWindowError, why_no_window
from app.gl.context import GLError
from app.gui import layout as lay
from app.gui import session_feed, theme
from app.gui.columns import Columns
from app.gui.dialogs import Dialogs
from app.gui.exports import Exports
from app.gui.idle import Pacer, make_watch, unreachable_display, yield_to_window
from app.gui.input import Input
from app.gui.menu import MenuBar
from app.gui.panel import PanelContext
from app.gui.panels import PANELS
from app.gui.photos import PhotoCache
from app.gui.statusbar import StatusBar
from app.gui.surfaces import CopySurface, SurfaceError, open_surface
from app.gui.viewport import Viewport
from app.gui.welcome import Welcome
from app.resources import icon_path
from app.session import Session
from engine import messages
from engine.errors import UserError, cause_chain
from engine.messages import Event, JobEnded, Logged, TrainState

log = logging.getLogger(__name__)

REFRESH_AWAKE_S, REFRESH_IDLE_S = 1 / 15, 1 / 4
NOTE_S = 6.0
WORKER_THREAD = "nerfviewer-worker"  # its name in engine/worker.py
STOP_WAIT_S = 60.0
MAX_PANEL_ERRORS = 20
_QUIET_FAILURES = (
    "render",
    "view",
    "picture",
)  # of a picture: the log says it, a dialog would come up again and again


class App:
    """The window's state and everything that commands and panels can ask of it (`commands.AppActions`)."""

    def __init__(self, worker: Any, *, present: str = "auto", ui_scale: float | None = None) -> None:
        self.session = Session()
        self.worker = worker
        self.layout_path = lay.layout_file()
        layout = lay.load(self.layout_path)
        self._desk_scale = ui_scale or theme.detected_scale()
        self._scale = theme.clamped_scale(self._desk_scale * layout.font_scale)
        self._present = present
        self._own_events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running = True
        self._last_folder = str(Path.cwd())
        self._note = ("", 0.0)
        self._refreshed_s = self._turned_s = -1e9
        self._draws: deque[float] = deque(maxlen=180)
        self.intervals: deque[float] = deque(maxlen=4096)  # seconds between redraws, for benchmarks
        self._stale = True
        self._stats_step: Any = None
        self._make(layout)

    def _make(self, layout: lay.Layout) -> None:
        """Create all widgets. The Dear PyGui context and the OS window exist."""
        self.look = theme.install(self._scale)
        self.dialogs = Dialogs(self.look, self.size)
        photos = PhotoCache(getattr(self.worker, "photo", lambda index: None))
        self.viewport = Viewport(self.session, self.worker.request_view, self.send, photos, self.look)
        waiting = getattr(self.worker, "view_waiting", None)
        self.viewport.request_waiting = (
            (lambda: self.worker.view_waiting) if waiting is not None else (lambda: False)
        )
        self.columns = Columns(self.look, [(slot, make()) for slot, make in PANELS], layout, self._report)
        self.menu = MenuBar(self.look, self.run_command)
        self.status = StatusBar(self.look)
        self.welcome = Welcome(self.look, self.run_command, self.open_path)
        self.exports = Exports(self.session, self.send, self._own_events.put)
        self.input = Input(self.viewport, self.run_command, lambda: self.dialogs.blocking)
        self.pacer = Pacer(make_watch())
        yield_to_window(next((t for t in threading.enumerate() if t.name == WORKER_THREAD), None))

        self.menu.build(self._window_items())
        context = PanelContext(self.session, self.send, self.run_command, self.do, self.look.sizes.scale)
        self.columns.build(context)
        self.viewport.build(self.columns.windows["viewport"])
        self.status.build(self.columns.windows["status"])
        self.welcome.build()
        self.input.build()
        self._show_recent()

    def _window_items(self) -> list[Any]:
        def toggler(slot: str) -> Callable[[], None]:
            return lambda: self.columns.toggle(slot)

        def shown(slot: str) -> Callable[[], bool]:
            return lambda: getattr(self.columns.layout, f"show_{slot}")

        return [
            *(
                (f"{slot.capitalize()} panels", toggler(slot), shown(slot))
                for slot in ("left", "right", "bottom")
            ),
            ("Larger text", lambda: self._zoom_text(1.1), None),
            ("Smaller text", lambda: self._zoom_text(1 / 1.1), None),
            ("Reset layout", self._reset_layout, None),
        ]

    # --- commands.AppActions ----------------------------------------------------------------------------------

    def send(self, command: messages.Command) -> None:
        """Hand a command to the worker."""
        self.worker.send(command)

    def goto_view(self, index: int) -> None:
        """Move the camera into a capture view."""
        if self.session.scene is not None and 0 <= index < len(self.session.scene.views):
            self.viewport.goto_view(index)

    def frame_scene(self) -> None:
        """Fit the scene into the picture."""
        self.viewport.frame_scene()

    def go_home(self) -> None:
        """Return to the first camera."""
        self.viewport.go_home()

    def open_dialog(self, kind: str) -> None:
        """Ask for a "scene" or "run" folder and open it."""
        self.dialogs.choose(kind, self._last_folder, self.open_path)

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        """Ask before something that cannot be undone."""
        self.dialogs.confirm(question, button, then)

    def export(self, kind: str) -> None:
        """Start a video of a kind with the settings of the export panel."""
        self.session.export.kind = kind
        self._start_export(lambda: self.exports.start(self.session.export))

    def screenshot(self) -> None:
        """Save the viewport's picture beside the run."""
        from PIL import Image

        folder = Path(self.session.scene.run_folder if self.session.scene else ".")
        path, n = folder / "screenshot.png", 1
        while path.exists():
            n += 1
            path = folder / f"screenshot-{n}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(self.viewport.picture()).save(path)
        except (OSError, SurfaceError) as error:
            self._report(f"Cannot save {path}", error)
            return
        self.note(f"saved {path}")

    def toggle_help(self) -> None:
        """Show or hide the list of commands."""
        self.dialogs.toggle_help()

    def quit(self) -> None:
        """Leave; training is saved by the worker as it stops."""
        self._running = False

    # --- what panels and dialogs ask for ----------------------------------------------------------------------

    def run_command(self, command_id: str) -> None:
        """Run a registry command; if it cannot run now, say why."""
        try:
            reason = commands.perform(command_id, self)
        except Exception as error:
            self._report(f"{commands.find(command_id).label} failed", error)
            return
        if reason is not None:
            self.note(reason)
        self._stale = True

    def do(self, action: str, argument: Any = None) -> None:
        """Do something with an argument for a panel."""
        actions: dict[str, Callable[[Any], None]] = {
            "goto_view": self.goto_view,
            "export_video": lambda values: self._start_export(lambda: self.exports.start_with(values)),
            "cancel_export": self.exports.cancel,
            "open": self.open_path,
        }
        if action not in actions:
            raise ValueError(f"The window has no action {action!r}; it has {', '.join(actions)}.")
        actions[action](argument)
        self._stale = True

    def open_path(self, path: str) -> None:
        """Open a scene, a run folder or "demo"."""
        from engine.runs import is_run

        self._last_folder = str(Path(path).parent)
        if path != "demo" and is_run(Path(path)):
            self.send(messages.OpenRun(path))
        else:
            self.send(messages.OpenScene(path))

    def note(self, text: str) -> None:
        """Show a passing message in the status bar."""
        self._note = (text, time.monotonic() + NOTE_S)
        self._stale = True

    def size(self) -> tuple[int, int]:
        """Return the window's inner size."""
        return dpg.get_viewport_client_width(), dpg.get_viewport_client_height()

    def _start_export(self, start: Callable[[], Path]) -> None:
        try:
            self.note(f"exporting to {start()}")
        except Exception as error:
            self._report("The export did not start", error)

    def _report(self, what: str, error: BaseException) -> None:
        """Put an error into the log panel and before the person's eyes."""
        if not isinstance(error, UserError):
            log.error("%s", what, exc_info=error)
        chain = tuple(cause_chain(error))
        self._own_events.put(Logged("error", ": ".join((what, *chain))))
        self.dialogs.error(what, chain)
        self._stale = True

    def _zoom_text(self, factor: float) -> None:
        scale = theme.clamped_scale(self.columns.layout.font_scale * factor)
        self.columns.layout = replace(self.columns.layout, font_scale=scale)
        self._show_text_size()
        self.note(f"text at {scale:.0%}; spacing follows at the next start")

    def _show_text_size(self) -> None:
        """Draw text at the layout's size, whatever size the fonts were made for."""
        wanted = theme.clamped_scale(self._desk_scale * self.columns.layout.font_scale)
        dpg.set_global_font_scale(wanted / self._scale)

    def _reset_layout(self) -> None:
        kept = self.columns.layout.recent
        width, height = self.size()
        self.columns.layout = replace(lay.Layout(), recent=kept, width=width, height=height)
        self._show_text_size()

    def _show_recent(self) -> None:
        recent = self.columns.layout.recent
        self.menu.set_recent(recent, self.open_path)
        self.welcome.set_recent(recent)

    # --- the loop ---------------------------------------------------------------------------------------------

    def open_surface(self) -> None:
        """Find a way to present; after the first frame of the window."""
        surface, reason = open_surface(self._present)
        self.viewport.attach(surface)
        self.status.present_reason = reason
        if self._present == "texture" and surface.kind != "texture":
            self._own_events.put(Logged("warning", f"Pictures are copied to the window: {reason}."))

    def turn(self) -> None:
        """One round of the loop."""
        self.pacer.wait()
        self._hear()
        now = time.monotonic()
        dt, self._turned_s = now - self._turned_s, now
        self._refresh(now)
        try:
            self._stale |= self.viewport.update(dt)
            if self.viewport.moved:
                self.pacer.touch()
        except Exception as error:
            self._viewport_failed(error)
        if self.pacer.due(self._stale):
            self._draw(now)

    def _hear(self) -> None:
        events = list(self.worker.events())
        while not self._own_events.empty():
            events.append(self._own_events.get())
        for event in events:
            try:
                self._on_event(event)
            except Exception as error:
                self._report("An event could not be shown", error)
        stats = self.worker.stats()
        if stats is not None and stats is not self.session.stats:
            session_feed.apply_stats(self.session, stats)
        frame = self.worker.frame()
        if frame is not None and self.session.scene is not None:
            self.viewport.on_frame(frame)

    def _on_event(self, event: Event) -> None:
        session_feed.apply_event(self.session, event)
        self._stale = True
        self._refreshed_s = -1e9
        if isinstance(event, messages.SceneOpened):
            self.viewport.open_scene(event)
            self.columns.layout = self.columns.layout.with_recent(
                event.path if event.path == "demo" or Path(event.path).exists() else "demo"
            )
            self._show_recent()
            dpg.set_viewport_title(f"{event.name} – nerfviewer")
        elif isinstance(event, messages.StateChanged):
            self.viewport.state_changed(event.state)
        elif isinstance(event, messages.StructureChanged):
            self.viewport.structure_changed()
        elif isinstance(event, messages.BoxesReady):
            self.viewport.boxes_ready(event)
        elif isinstance(event, messages.Failed):
            self.viewport.request_failed()
            if event.fatal or not any(word in event.what.lower() for word in _QUIET_FAILURES):
                self.dialogs.error(event.what, event.chain)
        elif isinstance(event, messages.JobProgress):
            self.note(f"exporting, {event.done:,} of {event.total:,} frames")
        elif isinstance(event, JobEnded):
            self._job_ended(event)
        elif isinstance(event, messages.CheckpointSaved):
            self.note(f"saved step {event.step:,}")
        self.columns.on_event(event)

    def _job_ended(self, event: JobEnded) -> None:
        if event.outcome == "failed":
            self.dialogs.error("The export failed", (event.detail,))
        else:
            self.note(f"video written: {event.detail}" if event.outcome == "finished" else "export cancelled")

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
        places = self.columns.place(width, height, self.menu.place(panels, width), panels)
        self.viewport.place(places.viewport)
        self.columns.refresh(self.session)
        self.welcome.refresh(self.session, places.viewport)
        if panels:
            self.menu.refresh(self.session, width)
            note, until = self._note
            self.status.refresh(self.session, note if now < until else "")
        key = (id(self.session.stats), self.session.state, panels, width, height)
        if key != self._stats_step:
            self._stats_step = key
            self._stale = True

    def _draw(self, now: float) -> None:
        if self._draws:
            self.intervals.append(now - self._draws[-1])
        self._draws.append(now)
        self.pacer.drew()
        self._stale = False
        dpg.render_dearpygui_frame()
        try:
            self.viewport.after_frame()
        except (SurfaceError, GLError) as error:
            self._copy_instead(str(error))
        for job in dpg.get_callback_queue() or ():
            try:
                dpg.run_callbacks([job])
            except Exception as error:
                self._report("An action failed", error)
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

    def _viewport_failed(self, error: Exception) -> None:
        if isinstance(error, SurfaceError | GLError):
            self._copy_instead(str(error))
        else:
            self._report_once("The viewport could not be drawn", error)

    def _report_once(self, what: str, error: Exception) -> None:
        key = f"{what} {type(error).__name__} {error}"
        told = self.__dict__.setdefault("_told", set())
        if key not in told and len(told) < MAX_PANEL_ERRORS:
            told.add(key)
            self._report(what, error)

    def _copy_instead(self, reason: str) -> None:
        """The shared texture does not work after all."""
        if self.session.present == "copy":
            self._report_once("Pictures cannot be shown", SurfaceError(reason))
            return
        log.warning("no shared texture reason=%s", reason)
        self.viewport.attach(CopySurface())
        self.status.present_reason = reason
        self._own_events.put(Logged("warning", f"Pictures are copied to the window: {reason}."))

    @property
    def running(self) -> bool:
        """Whether the window is open."""
        return self._running and dpg.is_dearpygui_running()

    def close(self) -> None:
        """Keep the layout, end exports and free what belongs to OpenGL."""
        width, height = self.size()
        layout = replace(self.columns.layout, folded=self.columns.folded())
        if width > 0 and height > 0:
            layout = replace(layout, width=width, height=height)
        lay.save(layout, self.layout_path)
        self.exports.stop_all()
        self.viewport.release()
        self.pacer.close()


def run(
    scene: str | None,
    *,
    run_folder: str | Path | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    screenshot: str | Path | None = None,
    exit_after: float | None = None,
    present: str = "auto",
    worker: Any = None,
    ui_scale: float | None = None,
    start: bool = True,
) -> int:
    """Open the window on a scene ("demo", a folder, None for an empty one); return the exit code when it is closed.

    `run_folder` alone continues that run; beside a scene it is where the new run goes. `options` may hold "method" (a
    name), "values" (the method's options, dotted) and "scene" (the reader's). `screenshot` gets a PNG of the whole window
    after `exit_after` seconds. Raises NoWindowError where no window can be opened.
    """
    reason = why_no_window() or unreachable_display()
    if reason is not None:
        raise NoWindowError(reason)
    own = worker is None
    if own:
        from engine.worker import Worker

        worker = Worker(
            out=run_folder if scene is not None else None, evaluate_every_s=20.0, evaluate_share=0.03
        )
        worker.start()
    if scene is not None:
        given = options or {}
        method, values, loader = (
            given.get("method", "svraster"),
            given.get("values", {}),
            given.get("scene", {}),
        )
        worker.send(messages.OpenScene(scene, method, values, loader, seed, start))
    elif run_folder is not None:
        worker.send(messages.OpenRun(str(run_folder), start))
    try:
        return _run_window(worker, screenshot, exit_after, present, ui_scale)
    finally:
        if own:
            worker.stop(STOP_WAIT_S)


def _run_window(
    worker: Any, screenshot: str | Path | None, exit_after: float | None, present: str, ui_scale: float | None
) -> int:
    layout = lay.load(lay.layout_file())
    dpg.create_context()
    try:
        dpg.configure_app(manual_callback_management=True)
        icon = str(icon_path())
        dpg.create_viewport(
            title="nerfviewer", width=layout.width, height=layout.height, vsync=False, min_width=640, min_height=420,
            clear_color=theme.BACKGROUND, small_icon=icon, large_icon=icon,
        )  # fmt: skip
        dpg.setup_dearpygui()
        app = App(worker, present=present, ui_scale=ui_scale)
        dpg.show_viewport()
        dpg.render_dearpygui_frame()
        app.open_surface()
        stop = _stop_on_signals(app)
        began = time.monotonic()
        try:
            while app.running:
                app.turn()
                if exit_after is not None and time.monotonic() - began >= exit_after:
                    break
            if screenshot is not None:
                _save_window(app, Path(screenshot))
        finally:
            stop()
            app.close()
    finally:
        dpg.destroy_context()
    return 1 if app.session.state is TrainState.FAILED else 0


def _stop_on_signals(app: App) -> Callable[[], None]:
    """Let Ctrl+C and a polite kill close the window; return what puts things back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {s: signal.signal(s, lambda *_: app.quit()) for s in (signal.SIGINT, signal.SIGTERM)}
    return lambda: [signal.signal(s, handler) for s, handler in before.items()] and None


def _save_window(app: App, path: Path) -> None:
    """Write the whole window as it was drawn last."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    taken: list[np.ndarray] = []

    def take(sender: Any, buffer: Any) -> None:
        width, height = buffer.get_width(), buffer.get_height()
        taken.append(np.frombuffer(buffer, dtype=np.float32).reshape(height, width, 4).copy())

    app.viewport.update(0.0)
    dpg.output_frame_buffer(callback=take)
    for _ in range(10):
        dpg.render_dearpygui_frame()
        for job in dpg.get_callback_queue() or ():
            dpg.run_callbacks([job])
        if taken:
            break
    if not taken:
        raise RuntimeError(f"The window's picture could not be read for {path}.")
    pixels = np.clip(taken[0][..., :3] * 255.0 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
