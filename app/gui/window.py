# SPDX-License-Identifier: MIT
"""The window: `run` opens it on a worker, turns it until it is closed and returns the exit code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.display import NoWindowError, why_no_window
from app.gui import layout as lay
from app.gui import theme
from app.gui.application import App
from app.gui.idle import unreachable_display
from app.gui.placing import free_area, placed
from app.resources import icon_path
from engine import messages
from engine.messages import TrainState

STOP_WAIT_S = 60.0


def run(
    scene: str | None,
    *,
    run_folder: str | Path | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    screenshot: str | Path | None = None,
    exit_after: float | None = None,
    present: str = "auto",
    interop: str = "cuda",
    worker: Any = None,
    ui_scale: float | None = None,
    start: bool = True,
    follow: bool = False,
) -> int:
    """Open the window on a scene ("demo", a folder, None for an empty one); return the exit code when it is closed.

    `run_folder` alone continues that run, or with `follow` watches another process train it; beside a scene it is where the
    new run goes. `options` may hold "method" (a name), "values" (the method's options, dotted) and "scene" (the reader's).
    `screenshot` gets a PNG of the whole window after `exit_after` seconds. Raises NoWindowError where no window can be opened.
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
        worker.send(messages.OpenRun(str(run_folder), start, follow))
    try:
        return _run_window(worker, screenshot, exit_after, (present, interop), ui_scale)
    finally:
        if own:
            worker.stop(STOP_WAIT_S)


def _run_window(
    worker: Any,
    screenshot: str | Path | None,
    exit_after: float | None,
    presenting: tuple[str, str],
    ui_scale: float | None,
) -> int:
    present, interop = presenting
    layout, area = lay.load(lay.layout_file()), free_area()
    place = {"width": layout.width, "height": layout.height}
    if area is not None:
        sides = placed(layout.width, layout.height, area)
        place = dict(zip(("x_pos", "y_pos", "width", "height"), sides, strict=True))
    with opened(worker, place, present=present, interop=interop, ui_scale=ui_scale) as app:
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
    return 1 if app.session.state is TrainState.FAILED else 0


@contextmanager
def opened(worker: Any, place: dict[str, int], **how: Any) -> Iterator[App]:
    """Open the window, as everybody gets it, while the block lasts: whoever drives it calls `turn`.

    `place` is its width, height, x_pos and y_pos in pixels, `how` goes to `App`. Raises SurfaceError without OpenGL.
    """
    icon = str(icon_path())
    dpg.create_context()
    try:
        dpg.configure_app(manual_callback_management=True, keyboard_navigation=True)
        dpg.create_viewport(
            title="nerfviewer", vsync=False, min_width=640, min_height=420, clear_color=theme.BACKGROUND, small_icon=icon,
            large_icon=icon, **place,
        )  # fmt: skip
        dpg.setup_dearpygui()
        app = App(worker, **how)
        dpg.show_viewport()
        dpg.render_dearpygui_frame()
        app.open_surface()
        try:
            yield app
        finally:
            app.close()
    finally:
        dpg.destroy_context()


def _stop_on_signals(app: App) -> Callable[[], None]:
    """Let Ctrl+C and a polite kill close the window; return what puts things back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {s: signal.signal(s, lambda *_: app.actions.leave()) for s in (signal.SIGINT, signal.SIGTERM)}
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
