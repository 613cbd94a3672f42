# SPDX-License-Identifier: MIT
"""Runs a real window on a fake worker and prints what it saw as JSON: one process per test, for a process can hold only one
Dear PyGui window. Arguments: how to present, what to do. PYTHONPATH holds the project and this folder."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfort
import dearpygui.dearpygui as dpg
import fake_worker
import moderngl
import numpy as np
import redraws

from app.gl import context, device_frames
from app.gl.context import GLError
from app.gui import application, panels, surfaces
from app.gui.application import App
from app.gui.input import key_names
from app.gui.start_desk import StartDesk
from app.gui.window import opened
from engine.cameras import Camera
from engine.messages import (
    Beside,
    BesideChanged,
    DeviceFrame,
    Failed,
    Frame,
    Offer,
    OpenRun,
    OpenScene,
    OutOfMemory,
    Train,
)

PATIENCE_S = 10.0
CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def quadrants(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with one of CORNERS in each quarter, infinitely far away."""
    h, w = camera.height, camera.width
    rgba = np.full((h, w, 4), 255, np.uint8)
    for colour, rows, columns in zip(
        CORNERS,
        (slice(0, h // 2), slice(0, h // 2), slice(h // 2, h), slice(h // 2, h)),
        (slice(0, w // 2), slice(w // 2, w), slice(0, w // 2), slice(w // 2, w)),
    ):
        rgba[rows, columns, :3] = colour
    return rgba, np.full((h, w), np.inf, np.float32)


def turn_for(app: App, seconds: float) -> None:
    """Let the loop run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.turn()


def turn_until(app: App, holds: Callable[[], bool]) -> None:
    """Let the loop run until something holds, or for so long that a busy machine is no excuse."""
    end = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < end:
        turn_for(app, 0.2)


def settled_corners(app: App) -> list[list[int]]:
    """Return what the screen shows in the corners once that is the quadrants, or in the end."""
    seen: list[list[int]] = []

    def settled() -> bool:
        seen[:] = shown_corners(app)
        return bool(np.abs(np.array(seen) - CORNERS).max() <= 1)

    turn_until(app, settled)
    return seen


def shown_corners(app: App) -> list[list[int]]:
    """Return what the screen shows 3 pixels inside each corner of the viewport."""
    taken: list[np.ndarray] = []

    def take(sender: Any, buffer: Any) -> None:
        shape = buffer.get_height(), buffer.get_width(), 4
        taken.append(np.frombuffer(buffer, np.float32).reshape(shape).copy())

    dpg.output_frame_buffer(callback=take)
    while not taken:
        dpg.render_dearpygui_frame()
        for job in dpg.get_callback_queue() or ():
            dpg.run_callbacks([job])
    r, image = app.viewport.rect, taken[0]
    rows, columns = (r.y + 3, r.y + r.height - 4), (r.x + 3, r.x + r.width - 4)
    return [(image[y, x, :3] * 255).round().astype(int).tolist() for y in rows for x in columns]


def corners(app: App) -> dict[str, Any]:
    """Show the quadrants, grow the window, shrink it, hide the panels."""
    view = app.session.view
    view.show_frusta = view.show_box = view.show_axes = False
    turn_for(app, 0.6)
    seen = {"present": app.session.present, "first": settled_corners(app), "sizes": []}
    for name, (width, height) in {"grown": (1500, 850), "shrunk": (700, 460)}.items():
        before = app.viewport.rect
        dpg.set_viewport_width(width)
        dpg.set_viewport_height(height)
        turn_until(app, lambda before=before: app.viewport.rect != before)
        turn_for(app, 0.9)
        seen[name] = settled_corners(app)
        seen["sizes"].append([app.viewport.rect.width, app.viewport.rect.height])
    app.actions.run("toggle_panels")
    turn_for(app, 0.6)
    seen["bare"] = settled_corners(app)
    seen["sizes"].append([app.viewport.rect.width, app.viewport.rect.height])
    return seen


def faults(app: App) -> dict[str, Any]:
    """Fail everywhere that is said to be contained, and go on."""
    turn_for(app, 0.3)
    drawn = len(app.intervals)
    draw = app.viewport.canvas._draw
    app.viewport.canvas._draw = lambda *arguments: 1 / 0
    app.viewport.canvas.changed = True
    turn_for(app, 0.2)
    app.viewport.canvas._draw = draw
    app.actions.do("goto_view", 3)
    app.actions.do("goto_view", 10**6)
    turn_for(app, 0.6)
    return {
        "goes_on": len(app.intervals) > drawn,
        "view": app.session.view.view_index,
        "frames": app.viewport.frame is not None,
    }


def drop(app: App) -> dict[str, Any]:
    """Let things fall on the window, the way GLFW hands on what the desktop tells it."""
    import ctypes

    import dearpygui._dearpygui as native

    library = ctypes.CDLL(native.__file__)
    library.glfwGetCurrentContext.restype = ctypes.c_void_p
    folder = Path(tempfile.mkdtemp())
    for name, content in {"scene/transforms.json": "{}", "run/run.json": "{}", "notes/a.odt": "x"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content)
    turn_for(app, 0.2)
    sent = len(app.worker.sent)
    for names in (("scene",), ("run/run.json",), ("notes",), ()):
        paths = (ctypes.c_char_p * max(1, len(names)))(*(os.fsencode(folder / name) for name in names))
        library._glfwInputDrop(ctypes.c_void_p(library.glfwGetCurrentContext()), len(names), paths)
        turn_for(app, 0.2)
    opened = [c for c in app.worker.sent[sent:] if isinstance(c, OpenScene | OpenRun)]
    shutil.rmtree(folder)
    return {
        "watching": app.drops.watching,
        "opened": [[type(c).__name__, str(Path(c.path).relative_to(folder))] for c in opened],
        "refused": app.dialogs.error_window is not None,
    }


def no_memory(app: App) -> dict[str, Any]:
    """Run out of memory and take what is offered, one after another."""
    turn_for(app, 0.2)
    offers = (Offer("Smaller", max_scale=0.5), Offer("Resume", (Train(),)))
    sent = len(app.worker.sent)
    for label in ("Smaller", "Resume"):
        app._on_event(OutOfMemory("Training stopped", ("There is not enough memory.",), offers=offers))
        shown = app.dialogs.error_window
        buttons = {dpg.get_item_label(item): item for item in dpg.get_item_children(shown, 1)}
        dpg.get_item_callback(buttons[label])()
        turn_for(app, 0.1)
    return {
        "scale": app.session.view.max_scale,
        "sent": [type(command).__name__ for command in app.worker.sent[sent:]],
        "closed": app.dialogs.error_window is None,
    }


def compare(app: App) -> dict[str, Any]:
    """Put a model beside, move the split to either end, take the model away again."""
    view = app.session.view
    view.show_frusta = view.show_box = view.show_axes = False
    turn_for(app, 0.6)
    seen = {"alone": settled_corners(app)}
    app.worker.emit(BesideChanged(Beside(2, "plenoxels", "runs/x")))

    def shows(corner: list[int]) -> bool:
        return shown_corners(app)[0] == corner

    turn_until(app, lambda: shows([0, 0, 255]))
    seen |= {"both": shown_corners(app), "open": dpg.get_value(app.columns._headers["compare"])}
    view.split = 1.0
    turn_until(app, lambda: shown_corners(app)[1] == [255, 255, 255])
    seen["right"] = shown_corners(app)
    view.split = 0.5
    app.actions.run("split_beside")
    turn_until(app, lambda: shows([255, 0, 0]))
    seen["off"] = shown_corners(app)
    app.actions.run("split_beside")
    turn_until(app, lambda: shows([0, 0, 255]))
    app.worker.emit(BesideChanged(None))
    turn_until(app, lambda: shows([255, 0, 0]))
    seen |= {"gone": shown_corners(app), "folded": not dpg.get_value(app.columns._headers["compare"])}
    return seen | {"asked": app.worker.requests[-1].beside, "kind": view.ground_truth}


def camera_path(app: App) -> dict[str, Any]:
    """Three keys from three views by the keyboard, a preview, a play, a key dragged in the timeline, undo."""
    session, look = app.session, app.session.view
    look.show_frusta = look.show_box = look.show_axes = False
    (view,) = (panel.view for slot, panel in app.columns._panels if slot == "timeline")
    codes = {name: code for code, name in key_names().items()}

    def press(name: str) -> None:
        app.input._held.clear()
        app.input._key(codes[name])
        turn_for(app, 0.1)

    turn_for(app, 0.5)
    tall = app.viewport.rect.height
    for index in (3, 4, 5):
        app.actions.do("goto_view", index)
        turn_for(app, 0.1)
        press("K")
    turn_until(app, lambda: dpg.is_item_visible(view.strip.drawlist))
    seen = {
        "keys": len(session.path.keys),
        "through_views": [
            bool(np.allclose(key.world_from_cam, session.scene.views[i].camera.world_from_cam))
            for i, key in zip((3, 4, 5), session.path.keys)
        ],
        "strip": dpg.get_item_rect_size(view.strip.drawlist)[0] > 0.6 * app.size()[0],
        "viewport": app.viewport.rect.height >= 0.5 * tall,
    }
    x = view.strip.scale.x(float(session.path.key_times_s[1]))
    view.mouse.press(0, x, view.strip.key_y, False, False)
    view.mouse.move(x + 30, view.strip.key_y)
    view.mouse.release()
    moved = session.path.keys[1].time_s
    app.actions.run("undo")
    seen["dragged"] = [moved > session.path.keys[1].time_s, session.undo.redo_label]
    press("Home")
    press("Space")
    turn_until(app, lambda: session.playhead_s > 0.3)
    seen["plays"] = [session.timeline.playing, app.viewport.controller.camera.lens is not None]
    press("Space")
    press("M")
    settled = session.export.width / session.export.height_px
    turn_until(app, lambda: bool(np.abs(np.array(shown_corners(app))).max() < 120))
    seen["bars"] = [int(np.abs(np.array(shown_corners(app))).max()) < 120, app.viewport.rect.width > settled]
    press("M")
    seen["corners"] = settled_corners(app)
    press("J")
    turn_until(app, lambda: app.viewport.rect.height == tall)
    return seen | {"hidden": app.viewport.rect.height == tall}


class OnTheCard:
    """A provider that draws with OpenGL what it would copy from a card; after `works` copies it fails."""

    name, stream = "fake", 7

    def __init__(self, works: int) -> None:
        self.works = works

    def link(self, texture: int) -> Any:
        """Return what fills a texture."""
        return SimpleNamespace(copy=partial(self._copy, texture), close=lambda: None)

    def _copy(self, texture: int, address: int, row_bytes: int, rows: int) -> None:
        self.works -= 1
        if self.works < 0:
            raise RuntimeError("the card is lost")
        pixels = ON_THE_CARD[address]
        components = 4 if pixels.ndim == 3 else 1
        target = moderngl.create_context().external_texture(
            texture, pixels.shape[1::-1], components, 0, "f1" if components == 4 else "f4"
        )
        target.write(np.ascontiguousarray(pixels))

    def forget_errors(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to close."""


ON_THE_CARD: dict[int, np.ndarray] = {}


def start_page(app: App) -> dict[str, Any]:
    """Look at the page without a scene, take a card off it, open a scene from it; then errors, notices and leaving."""
    app.columns.layout = replace(app.columns.layout, recent=("demo", "gone/kitchen"))
    turn_for(app, 0.6)
    start = next(desk for desk in app.desks if isinstance(desk, StartDesk))
    page, panels = start.welcome._page, app.columns.windows["left"]
    seen: dict[str, Any] = {
        "page": dpg.is_item_shown(page) and not dpg.is_item_shown(panels),
        "cards": len(dpg.get_item_children(start.welcome._list, 1)) > 0,
    }
    app.actions.do("start.forget", "gone/kitchen")
    turn_for(app, 0.3)
    seen["recent"] = list(app.columns.layout.recent)
    app.actions.run("open_demo")
    turn_until(app, lambda: dpg.is_item_shown(panels))
    seen["scene"] = app.session.scene is not None and not dpg.is_item_shown(page)
    for number in range(5):
        app.reports.tell(f"news {number}", "warning")
    app.worker._events.append(
        Failed("The checkpoint could not be saved", ("OSError: No space left on device",))
    )
    turn_for(app, 0.6)
    seen["toasts"] = len(app.toasts._windows)
    texts = dpg.get_item_children(app.dialogs.error_window, 1)
    seen["advice"] = any("Make room" in str(dpg.get_value(item)) for item in texts)
    drawn = app.toasts._windows[:]
    turn_for(app, 0.4)
    seen["toasts stay"] = drawn == app.toasts._windows
    app.dialogs.escape()
    app.close_button._heard(app.close_button._window)  # somebody closes the window
    turn_for(app, 0.3)
    seen["asks"], seen["open"] = app.dialogs.blocking, app.running
    app.actions.leave()
    seen["left"] = not app.running
    return seen


def kept_on_the_card(frame: Frame) -> Frame:
    """Return a frame as a worker on a card would send it, its pixels at addresses of ON_THE_CARD."""
    rgba, depth = frame.rgba, frame.depth_z
    ON_THE_CARD.update({1: rgba, 2: depth})
    height, width = depth.shape
    kept = DeviceFrame(width, height, 1, 2, 0, lambda stream: None, lambda: (rgba, depth), lambda: None)
    empty = np.broadcast_to(np.uint8(0), rgba.shape), np.broadcast_to(np.float32(0), depth.shape)
    return replace(frame, rgba=empty[0], depth_z=empty[1], on_device=kept)


def interop(app: App) -> dict[str, Any]:
    """Show pictures of a card that is lost after the third."""
    view = app.session.view
    view.show_frusta = view.show_box = view.show_axes = False
    provider = OnTheCard(works=10**6)
    device_frames.open_provider = lambda name, device: provider
    original = app.worker.frame

    def frame() -> Frame | None:
        new = original()
        return kept_on_the_card(new) if new is not None and new.request.on_device else new

    app.worker.frame = frame
    app.actions.do("goto_view", 3)
    turn_until(app, lambda: app.session.present == "interop")
    seen = {"first": app.session.present, "shared": settled_corners(app)}
    provider.works = 0
    app.actions.do("goto_view", 4)
    turn_until(app, lambda: app.session.present != "interop")
    seen |= {
        "then": app.session.present,
        "copied": settled_corners(app),
        "reason": app.session.interop_reason,
    }
    return seen | {"asks": app.viewport.canvas.takes_device_frames}


class BrokenPanel:
    """Fails in every way a panel can."""

    id, title = "broken", "Broken"

    def build(self, parent: Any, context: Any) -> None:
        """Fail."""
        raise RuntimeError("build")

    def on_event(self, event: Any) -> None:
        """Fail."""
        raise RuntimeError("event")

    def refresh(self, session: Any) -> None:
        """Fail."""
        raise RuntimeError("refresh")


def just_look(app: App) -> dict[str, Any]:
    """Show the quadrants, perhaps with lines over them."""
    turn_for(app, 0.6)
    turn_until(app, lambda: bool(np.abs(np.array(shown_corners(app)) - CORNERS).max() <= 70))
    drawn = [dpg.get_item_state(item) for item in app.menu._status if dpg.is_item_shown(item)]
    ends = {"window_ends": app.size()[0], "status_ends": max(state["rect_max"][0] for state in drawn)}
    return {"present": app.session.present, "corners": shown_corners(app), **ends}


def main() -> None:
    """Run one scenario."""
    logging.disable(logging.CRITICAL)
    present, scenario = sys.argv[1:]
    if scenario == "faults":
        application.PANELS = (("left", BrokenPanel), *panels.PANELS)
    else:
        fake_worker.ball = quadrants
    if scenario == "lost_texture":

        def fail(*arguments: Any) -> int:
            raise surfaces.SurfaceError("lost")

        surfaces.TextureSurface._find = fail
    if scenario == "no_opengl":

        def refuse(*arguments: Any) -> None:
            raise GLError("none")

        context.adopt_current = context.HiddenContext = refuse
    worker = fake_worker.FakeWorker()
    if scenario != "start_page":
        worker.send(OpenScene("x"))
    with opened(worker, {"width": 1100, "height": 700, "x_pos": 0, "y_pos": 0}, present=present) as app:
        result = {
            "corners": corners,
            "faults": faults,
            "drop": drop,
            "no_memory": no_memory,
            "interop": interop,
            "compare": compare,
            "comfort": comfort.comfort,
            "camera_path": camera_path,
            "start_page": start_page,
            "redraws": redraws.redraws,
        }.get(scenario, just_look)(app)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
