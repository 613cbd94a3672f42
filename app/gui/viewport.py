# SPDX-License-Identifier: MIT
"""The viewport: the camera and its controller, requests to the worker, frames onto the screen, lines and texts over them.

The window's loop calls `update` once a turn and redraws if that returns True. Overlays are drawn with the camera of the
frame that is shown, so they never swim against it, however late it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.gl.overlays import OverlayPass
from app.gl.present import PicturePass, Target
from app.gui import theme
from app.gui.annotations import Annotations, Chip
from app.gui.layout import Rect
from app.gui.overlay_layers import OverlayLayers
from app.gui.photos import PhotoCache
from app.gui.surfaces import PlainSurface, Surface
from app.session import Session
from app.view.camera import ViewCamera
from app.view.controllers import CameraController
from app.view.frusta import pick_camera
from app.view.scheduler import FrameScheduler
from engine.cameras import Camera
from engine.conventions import opengl_from_opencv
from engine.messages import BoxesReady, Frame, GetBoxes, SceneOpened, TrainState, ViewRequest
from engine.render.colour_maps import colour_table

LEGEND_STEPS = 48
SCENE_RADIUS = 0.62  # of the ball that "frame scene" fits: a little more than the cube's inscribed one
SPLIT_GRAB_PX = 9
MAX_BOXES, MAX_BOXES_SOFTWARE = 200_000, 20_000
FPS_WINDOW_S = 1.0
_PLAIN = np.array([[theme.BACKGROUND]], np.uint8)


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
        self.rect = Rect(0, 0, 1, 1)
        self.pixel_scale = 1.0  # physical pixels per unit of `rect`
        self.hovered: int | None = None  # one of `layers.cameras`
        self._request, self._send, self._photos, self._clock = request, send, photos, clock
        self._surface: Surface | None = None
        self._picture: PicturePass | None = None
        self._overlays: OverlayPass | None = None
        self.frame: Frame | None = None
        self._frame_times: deque[float] = deque(maxlen=120)
        self._photo_shown: tuple[int, int] | None = None
        self._settings: Any = None
        self._wire_key: Any = None
        self._fov_deg = session.view.fov_y_deg
        self.moved = False  # in the last `update`
        self.request_waiting: Callable[[], bool] = lambda: (
            False
        )  # whether the worker has not begun the last one
        self._jumped = False
        self._dirty = True
        self._image: int | str | None = None
        self._look = look
        self._drawlist = 0
        self._annotations: Annotations | None = None

    # --- widgets ----------------------------------------------------------------------------------------------

    def build(self, parent: int | str) -> None:
        """Create the drawing area under `parent`."""
        self._drawlist = dpg.add_drawlist(1, 1, parent=parent)
        self._picture_layer = dpg.add_draw_layer(parent=self._drawlist)
        self._annotations = Annotations(self._drawlist, self._look)

    def attach(self, surface: Surface) -> None:
        """Present through a surface; the one of before, if any, is released with what belonged to it."""
        self.release()
        self._surface = surface
        self._picture = self._overlays = None
        if surface.ctx is not None:
            self._picture = PicturePass(surface.ctx)
            self._picture.clear(theme.BACKGROUND[:3])
            self._overlays = OverlayPass(surface.ctx)
            self.layers.attach(self._overlays)
        surface.hand_back()
        self.session.present = surface.kind
        self._photo_shown = None
        if self.frame is not None and self._picture is not None:
            self._picture.set_frame(self.frame.rgba, self.frame.depth_z)
        surface.resize(*self._pixels())
        self._dirty = True

    def release(self) -> None:
        """Free what belongs to the surface's context."""
        if self._surface is None:
            return
        for thing in (self._picture, self._overlays):
            if thing is not None:
                thing.release()
        self.layers.attach(None)
        dpg.delete_item(self._picture_layer, children_only=True)
        self._image = None
        self._surface.release()
        self._surface = None

    def place(self, rect: Rect) -> None:
        """Move to a rectangle of the window."""
        if rect == self.rect:
            return
        self.rect = rect
        dpg.configure_item(self._drawlist, width=rect.width, height=rect.height)
        self.controller.resize(rect.width, rect.height)
        self.scheduler.resized(*self._pixels())
        if self._surface is not None:
            self._surface.resize(*self._pixels())
        self._dirty = True

    def _pixels(self) -> tuple[int, int]:
        return max(1, round(self.rect.width * self.pixel_scale)), max(
            1, round(self.rect.height * self.pixel_scale)
        )

    # --- what happens -----------------------------------------------------------------------------------------

    def open_scene(self, scene: SceneOpened) -> None:
        """Show another scene, from its first camera."""
        home = _home(scene)
        self.controller.set_home(home)
        fov = home.effective_fov_y(*self._pixels())
        self._fov_deg = self.session.view.fov_y_deg = float(np.degrees(fov))
        self.layers.open_scene(scene)
        self._photos.clear()
        self.frame = None
        self._wire_key = self._photo_shown = self.hovered = None
        if self._picture is not None:
            self._picture.clear(theme.BACKGROUND[:3])
            self._picture.set_photo(None)
        self._hand_back()
        self.scheduler.structure_changed()
        self._dirty = True

    def state_changed(self, state: TrainState) -> None:
        """The worker is in another state."""
        self.scheduler.state_changed(state)

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
        self.frame = frame
        self._frame_times.append(self._clock())
        if self._picture is not None:
            self._picture.set_frame(frame.rgba, frame.depth_z)
            self._hand_back()
        self._dirty = True

    def goto_view(self, index: int) -> None:
        """Move into a capture view, bit for bit."""
        self.controller.jump(self.session.scene.views[index].camera)
        self.session.view.view_index = index
        self._jumped = True

    def frame_scene(self) -> None:
        """Fit the whole foreground into the picture."""
        self.controller.frame(np.zeros(3), SCENE_RADIUS, smooth=True)

    def go_home(self) -> None:
        """Return to the first camera."""
        self.controller.reset(smooth=True)

    # --- the mouse's questions --------------------------------------------------------------------------------

    def depth_at(self, x: float, y: float) -> float | None:
        """Return the depth of what is shown at a point of the viewport, None where nothing is."""
        if self.frame is None:
            return None
        height, width = self.frame.depth_z.shape
        column = min(max(int(x / self.rect.width * width), 0), width - 1)
        row = min(max(int(y / self.rect.height * height), 0), height - 1)
        depth = float(self.frame.depth_z[row, column])
        return depth if np.isfinite(depth) else None

    def hover(self, x: float, y: float) -> None:
        """Find the frustum under the mouse."""
        if not self.session.view.show_frusta or self.frame is None:
            self.hovered = None
            return
        camera = self.frame.request.camera
        scale = camera.width / self.rect.width
        self.hovered = pick_camera(
            self.layers.cameras, self.layers.frustum_size, camera, x * scale, y * scale
        )

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self.hovered = None

    def under_mouse(self) -> bool:
        """Whether the mouse was over the picture, and nothing floated above it there, in the last frame of the window."""
        return dpg.is_item_hovered(self._drawlist)

    def over_split(self, x: float) -> bool:
        """Whether the split line is under the mouse."""
        reach = self._look.sizes.px(SPLIT_GRAB_PX)
        return self._photo_mode() == "split" and abs(x - self.session.view.split * self.rect.width) <= reach

    def _photo_mode(self) -> str:
        view = self.session.view
        return view.ground_truth if view.view_index is not None else "off"

    # --- once a turn ------------------------------------------------------------------------------------------

    def update(self, dt: float) -> bool:
        """Move the camera, ask for pictures, draw; return whether the window must be redrawn."""
        self._move(dt)
        self._ask_for_picture()
        self._ask_for_boxes()
        if self.layers.refresh(self.session, self.hovered, self._shown_camera().position):
            self._hand_back()
            self._dirty = True
        self._follow_photo()
        redraw = self._annotate()
        surface = self._surface
        if self._dirty and surface is not None and surface.ready:
            self._dirty = False
            if isinstance(surface, PlainSurface):
                surface.show(_PLAIN if self.frame is None else self.frame.rgba)
            else:
                surface.paint(self._draw)
            self._show_image()
            redraw = True
        return redraw or self._dirty

    def after_frame(self) -> None:
        """Be told that the window was drawn."""
        if self._surface is not None and self._surface.after_frame():
            self._dirty = True

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
        settings = (view.mode, view.colour_map, view.background, view.mode == "error" and view.view_index)
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
                    view.background, view.view_index,
                )
            )  # fmt: skip

    def _ask_for_boxes(self) -> None:
        view = self.session.view
        key = view.wire_levels if view.show_wireframe and self.session.scene is not None else None
        if key is not None and key and key != self._wire_key:
            software = self._surface is not None and self._surface.software
            self._send(GetBoxes(tuple(key), MAX_BOXES_SOFTWARE if software else MAX_BOXES))
        self._wire_key = key

    def _follow_photo(self) -> None:
        """Upload the photo when one is wanted and there."""
        if self._picture is None:
            return
        view = self.session.view
        wanted = view.view_index if self._photo_mode() != "off" else None
        photo = None if wanted is None else self._photos.get(wanted)
        shown = None if photo is None else (wanted, id(photo))
        key = (shown, self._photo_mode(), view.split if self._photo_mode() == "split" else 0.0)
        if key == self._photo_shown:
            return
        if self._photo_shown is None or self._photo_shown[0] != shown:
            self._picture.set_photo(photo)
            self._hand_back()
        self._photo_shown = key
        self._dirty = True

    def _draw(self, target: Target, width: int, height: int) -> None:
        """Picture, photo, lines, in this order, into the surface's target."""
        x, y, w, h = self.controller.camera.photo_rect(width, height)
        until = {"off": -1.0, "photo": 2.0, "split": self.session.view.split}[self._photo_mode()]
        self._picture.draw(target, width, height, (x / width, y / height, w / width, h / height), until)
        if self.frame is not None and self._photo_mode() != "photo":
            camera = self.frame.request.camera
            left = round(self.session.view.split * width) if self._photo_mode() == "split" else 0
            self._overlays.draw(target, width, height, camera, self._picture.depth, self.layers.names(), left)

    def _show_image(self) -> None:
        surface = self._surface
        corner, uv = [self.rect.width, self.rect.height], list(surface.uv_max)
        if self._image is not None and dpg.get_item_configuration(self._image)["texture_tag"] == surface.tag:
            dpg.configure_item(self._image, pmax=corner, uv_max=uv)
            return
        dpg.delete_item(self._picture_layer, children_only=True)
        self._image = dpg.draw_image(surface.tag, [0, 0], corner, uv_max=uv, parent=self._picture_layer)

    def _hand_back(self) -> None:
        if self._surface is not None:
            self._surface.hand_back()

    def _annotate(self) -> bool:
        if self.session.scene is None:
            changed = self._annotations.gizmo(None, 0, 0)
            return self._annotations.chips([]) | self._annotations.split(None, 0) | changed
        width, height = self.rect.width, self.rect.height
        rotation = self.controller.camera.rotation
        if self.frame is not None:
            rotation = opengl_from_opencv(self.frame.request.camera.world_from_cam)[:3, :3]
        changed = self._annotations.gizmo(rotation, width, 0)
        changed |= self._annotations.chips(self._chips())
        split = self.session.view.split * width if self._photo_mode() == "split" else None
        changed |= self._annotations.split(split, height)
        legend, colours = None, None
        if self.frame is not None and self.frame.legend is not None:
            low, high, unit = self.frame.legend
            mode = self.frame.request.mode
            legend = (low, high, f"{mode.capitalize()} ({unit})" if unit else mode.capitalize())
            table = colour_table(self.frame.request.colour_map)
            colours = table[np.linspace(0, 255, LEGEND_STEPS).astype(int)]
        return self._annotations.legend(legend, colours, height) | changed

    def _chips(self) -> list[Chip]:
        px, scene, view = self._look.sizes.px, self.session.scene, self.session.view
        chips = []
        if view.view_index is not None and view.view_index < len(scene.views):
            info = scene.views[view.view_index]
            n_held_out = len(scene.views) - scene.n_train  # which stand behind the training views
            if info.held_out:
                place = f"held-out view {view.view_index - scene.n_train + 1} of {n_held_out}"
            else:
                place = f"training view {view.view_index + 1} of {scene.n_train}"
            chips.append(Chip(f"{info.name}   {place}", px(14), px(14)))
        hovered = self.layers.view_of(self.hovered)
        if hovered is not None:
            info = scene.views[hovered]
            pixels, _ = self._shown_camera().project(info.camera.position[None])
            scale = self.rect.width / self._shown_camera().width
            x, y = (float(v) * scale for v in pixels[0])
            label = f"{info.name}{'   held out' if info.held_out else ''}"
            chips.append(Chip(label, round(x) + px(14), round(y) - px(12)))
        return chips

    def _shown_camera(self) -> Camera:
        if self.frame is not None:
            return self.frame.request.camera
        return self.controller.camera.engine_camera(*self._pixels())

    def picture(self) -> np.ndarray:
        """Return the viewport as it is shown, [height,width,3] uint8."""
        return np.ascontiguousarray(self._surface.read()[..., :3])


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
