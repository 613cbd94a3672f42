# SPDX-License-Identifier: MIT
"""The viewport: the camera and its controller, and requests to the worker.

The window's loop calls `update` once a turn and redraws if that returns True. The picture is drawn by `canvas.py`, the
texts over it by `captions.py`; what the mouse means there is found by `pointing.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.gui import theme
from app.gui.annotations import Annotations
from app.gui.box_tool import BoxTool
from app.gui.canvas import Canvas
from app.gui.captions import Captions
from app.gui.layout import Rect
from app.gui.overlay_layers import OverlayLayers
from app.gui.photos import PhotoCache
from app.gui.pointing import Pointing
from app.gui.surfaces import Surface
from app.gui.tools import LayerSource, Tool
from app.session import Session, model_names
from app.view.camera import ViewCamera
from app.view.controllers import CameraController
from app.view.overview import overview
from app.view.scheduler import FrameScheduler
from engine.cameras import Camera
from engine.messages import BoxesReady, Frame, GetBoxes, SceneOpened, TrainState, ViewRequest

SCENE_RADIUS = 0.62  # of the ball that "frame scene" fits: a little more than the cube's inscribed one
MAX_BOXES, MAX_BOXES_SOFTWARE = 200_000, 20_000
FPS_WINDOW_S = 1.0


class Viewport:
    """Everything inside the middle of the window."""

    def __init__(
        self,
        session: Session,
        request: Callable[[ViewRequest], None],
        send: Callable[[Any], None],
        photos: PhotoCache,
        look: theme.Theme,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self.controller = CameraController(_default_home())
        self.scheduler = FrameScheduler(clock)
        self.layers = OverlayLayers()
        self.canvas = Canvas(session, self.layers, photos, clock)
        self.rect = Rect(0, 0, 1, 1)
        self.pixel_scale = 1.0  # physical pixels per unit of `rect`
        self.pointing = Pointing(session, self.canvas, self.layers, look)
        box = BoxTool(session, self.pointing.reach)
        self.use(box, layers=box)
        self.moved = False  # in the last `update`
        self.request_waiting: Callable[[], bool] = lambda: False  # whether the last one was not begun yet
        self.photos = photos
        self._request, self._send, self._clock = request, send, clock
        self._look = look
        self._frame_times: deque[float] = deque(maxlen=120)
        self._settings: Any = None
        self._wire_key: Any = None
        self._fov_deg = session.view.fov_y_deg
        self._jumped = False
        self._scene: SceneOpened | None = None
        self._overview: ViewCamera | None = None  # where an untrained scene is looked at from
        self._drawlist: int | str = 0
        self._captions: Captions | None = None

    @property
    def frame(self) -> Frame | None:
        """The frame that is shown."""
        return self.canvas.frame

    @property
    def drawlist(self) -> int | str:
        """What the picture stands in, once it is built; others may draw over it."""
        return self._drawlist

    def use(self, *tools: Tool, layers: LayerSource) -> None:
        """Let a feature's tools have the mouse and draw its layers over the picture; those of earlier ones come first."""
        self.pointing.tools += tools
        self.layers.sources.append(layers)

    # --- widgets ----------------------------------------------------------------------------------------------

    def build(self, parent: int | str) -> None:
        """Create the drawing area under `parent`."""
        self._drawlist = dpg.add_drawlist(1, 1, parent=parent)
        self.canvas.build(self._drawlist)
        self._captions = Captions(self.session, Annotations(self._drawlist, self._look), self._look)

    def attach(self, surface: Surface) -> None:
        """Present through a surface; the one of before, if any, is released with what belonged to it."""
        self.canvas.attach(surface, *self._pixels())

    def release(self) -> None:
        """Free what belongs to the surface's context."""
        self.canvas.release()

    def place(self, rect: Rect) -> None:
        """Move to a rectangle of the window."""
        if rect == self.rect:
            return
        self.rect = rect
        self.pointing.place(rect)
        dpg.configure_item(self._drawlist, width=rect.width, height=rect.height)
        self.controller.resize(rect.width, rect.height)
        self.scheduler.resized(*self._pixels())
        self.canvas.place(rect, *self._pixels())

    def restyle(self) -> None:
        """Draw all that is not the scene again: colours or sizes are others."""
        self.canvas.restyle()
        if self._captions is not None:
            self._captions.restyle()
        rect, self.rect = self.rect, Rect(0, 0, 1, 1)
        self.place(rect)

    def picture(self) -> np.ndarray:
        """Return the viewport as it is shown, [height,width,3] uint8."""
        return self.canvas.picture()

    def _pixels(self) -> tuple[int, int]:
        width, height = (round(n * self.pixel_scale) for n in (self.rect.width, self.rect.height))
        return max(1, width), max(1, height)

    # --- what happens -----------------------------------------------------------------------------------------

    def open_scene(self, scene: SceneOpened) -> None:
        """Show another scene from outside, the same scene on another box from where the camera is."""
        home, before, self._scene = _home(scene), self._scene, scene
        again = before is not None and (before.path, before.kind) == (scene.path, scene.kind)
        self.controller.set_home(home, go=not again)
        self._overview = None
        if again:
            self.controller.carry(np.linalg.inv(scene.data_from_engine) @ before.data_from_engine)
        else:
            fov = home.effective_fov_y(*self._pixels())
            self._fov_deg = self.session.view.fov_y_deg = float(np.degrees(fov))
            if scene.views:
                self._overview = self.controller.look_over(
                    overview([v.camera for v in scene.views], scene.up)
                )
        self.pointing.forget()
        self.layers.open_scene(scene)
        self.photos.clear()
        self._wire_key = None
        self.canvas.clear()
        self.scheduler.expect(scene.slow_views)
        self.scheduler.structure_changed()

    def state_changed(self, state: TrainState) -> None:
        """The worker is in another state. Training is watched from the first camera, unless somebody moved already."""
        self.scheduler.state_changed(state)
        if state is TrainState.TRAINING:
            self._leave_overview()

    def _leave_overview(self) -> None:
        if self._overview is not None and self.controller.camera is self._overview:
            self.controller.reset(smooth=self.frame is not None)
        self._overview = None

    def structure_changed(self) -> None:
        """Voxels came or went: a new picture and new boxes are due."""
        self.scheduler.structure_changed()
        self._wire_key = None

    def request_failed(self) -> None:
        """The worker could not render."""
        self.scheduler.frame_lost()

    def boxes_ready(self, boxes: BoxesReady) -> None:
        """Take the wireframe."""
        self.layers.set_boxes(boxes)

    def on_frame(self, frame: Frame) -> None:
        """Take a new picture."""
        height, width = frame.rgba.shape[:2]
        self.scheduler.frame_received(frame.serial, frame.render_ms, width * height)
        self._frame_times.append(self._clock())
        if frame.step > 0:  # of a run that was trained before
            self._leave_overview()
        self.session.legend = frame.legend
        self.canvas.set_frame(frame)

    def goto_view(self, index: int) -> None:
        """Move into a capture view, bit for bit."""
        self.controller.jump(self.session.scene.views[index].camera)
        self.session.view.view_index = index
        self._jumped = True

    def cameras_moved(self) -> None:
        """The capture's cameras are elsewhere: so are their frusta, and who looks through one goes along."""
        scene, index = self.session.scene, self.session.view.view_index
        if scene is None:
            return
        self._scene = scene
        self.layers.move_cameras(scene)
        if index is not None and index < scene.n_train:
            self.goto_view(index)

    def frame_scene(self) -> None:
        """Fit the whole foreground into the picture."""
        self.controller.frame(np.zeros(3), SCENE_RADIUS, smooth=True)

    def go_home(self) -> None:
        """Return to the first camera."""
        self.controller.reset(smooth=True)

    def under_mouse(self) -> bool:
        """Whether the mouse was over the picture, and nothing floated above it there, in the last frame of the window."""
        return dpg.is_item_hovered(self._drawlist)

    def take_keyboard(self) -> None:
        """Let no widget have the keyboard."""
        dpg.focus_item(dpg.get_item_parent(self._drawlist))

    # --- once a turn ------------------------------------------------------------------------------------------

    def update(self, dt: float) -> bool:
        """Move the camera, ask for pictures, draw; return whether the window must be redrawn."""
        self._move(dt)
        self._ask_for_picture()
        self._ask_for_boxes()
        shown = self._shown_camera()
        redraw = self.canvas.present(self.controller.camera, self.pointing.hovered, shown.position)
        sides = self._sides() if self.canvas.split or self.canvas.blinking else None
        blinks = self.canvas.other_shown if self.canvas.blinking else None
        quality = self.layers.quality if self.session.view.show_frusta else None
        return redraw | self._captions.refresh(
            self.frame, shown, self.rect, self.pointing.view, sides, blinks, self.canvas.legend, quality
        )

    def _sides(self) -> tuple[str, str]:
        """Return what is left and what is right of the split line, or what is shown in turn."""
        if self.canvas.photo_mode() in ("beside", "difference") and self.session.beside is not None:
            front, beside = model_names(self.session)
            return beside, front
        return "photo", "render"

    def after_frame(self) -> None:
        """Be told that the window was drawn."""
        self.canvas.after_frame()

    def fps(self) -> float:
        """Return new pictures per second over the last second."""
        now = self._clock()
        return sum(1 for moment in self._frame_times if now - moment < FPS_WINDOW_S) / FPS_WINDOW_S

    def _move(self, dt: float) -> None:
        view = self.session.view
        self.controller.fly_speed = view.fly_speed
        if view.fov_y_deg != self._fov_deg:
            self._fov_deg = view.fov_y_deg
            self.controller.set_fov(np.radians(view.fov_y_deg))
        self.moved = self.controller.update(dt)
        if self.moved:
            if not self._jumped:
                view.view_index = None
                if view.mode == "error":
                    view.mode = "colour"
            self._jumped = False
            self.scheduler.camera_changed()

    def _ask_for_picture(self) -> None:
        view, stats = self.session.view, self.session.stats
        difference = view.ground_truth == "difference"
        beside = (difference or view.ground_truth == "beside") and self.session.beside is not None
        shown = self.session.inspect.shown(self.session.scene)
        settings = (
            view.mode,
            view.colour_map,
            view.background,
            (view.mode == "error" or view.show_errors) and view.view_index,
            beside,
            view.show_errors,
            shown,
            difference,
            (difference or view.mode == "error" or view.show_errors) and view.error_top,
        )
        if settings != self._settings:
            self._settings = settings
            self.scheduler.setting_changed()
        self.scheduler.configure(view.utilisation, view.max_scale)
        if stats is not None:
            self.scheduler.step_took(stats.train_ms)
        decision = self.scheduler.poll(self.request_waiting())
        if decision is not None:
            camera = self.controller.camera.engine_camera(*self._pixels())
            self._request(
                ViewRequest(
                    decision.serial, camera, view.mode, view.colour_map, decision.scale, decision.moving,
                    view.background, view.view_index, self.canvas.takes_device_frames, beside,
                    view.show_errors, shown.levels, shown.crop, shown.crop_outside, shown.slice, difference and beside,
                    view.error_top,
                )
            )  # fmt: skip

    def _ask_for_boxes(self) -> None:
        view = self.session.view
        key = view.wire_levels if view.show_wireframe and self.session.scene is not None else None
        if key is not None and key and key != self._wire_key:
            limit = MAX_BOXES_SOFTWARE if self.canvas.software else MAX_BOXES
            self._send(GetBoxes(tuple(key), limit))
        self._wire_key = key

    def _shown_camera(self) -> Camera:
        if self.frame is not None:
            return self.frame.request.camera
        return self.controller.camera.engine_camera(*self._pixels())


def _default_home() -> ViewCamera:
    eye = np.array([1.1, -1.4, 0.8])
    return ViewCamera.looking_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), np.radians(50.0))


def _home(scene: SceneOpened) -> ViewCamera:
    """Return the view of a scene to begin with: its first camera, upright, turning about what it looks at."""
    if not scene.views:
        return _default_home()
    first = scene.views[0].camera
    distance = max(0.3, float(-first.position @ first.forward))
    target = first.position + distance * first.forward
    return ViewCamera.looking_at(first.position, target, scene.up, first.fov_y_rad)
