# SPDX-License-Identifier: MIT
"""The viewport's picture: the newest frame, the photo beside it and the lines over both, drawn into a surface.

Lines are drawn with the camera of the frame that is shown, so they never swim against it, however late it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import dearpygui.dearpygui as dpg
import numpy as np

from app.gl.overlays import OverlayPass
from app.gl.present import PicturePass, Target
from app.gui import theme
from app.gui.layout import Rect
from app.gui.overlay_layers import OverlayLayers
from app.gui.photos import PhotoCache
from app.gui.surfaces import DrawnSurface, PlainSurface, Surface
from app.session import Session
from app.view.camera import ViewCamera
from engine.messages import Frame


class Canvas:
    """Draws when something changed; `present` once a turn."""

    def __init__(
        self,
        session: Session,
        layers: OverlayLayers,
        photos: PhotoCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frame: Frame | None = None
        self.changed = True  # what is shown is out of date
        self.other_shown = False  # while blinking: the photo or the model beside, not the render
        self._session, self._layers, self._photos, self._clock = session, layers, photos, clock
        self._surface: Surface | None = None
        self._picture: PicturePass | None = None
        self._overlays: OverlayPass | None = None
        self._photo_shown: tuple[tuple[int, int] | None, str, float] | None = None  # photo, mode, split
        self._parent: int | str = 0
        self._image: int | str | None = None
        self._image_size = (1, 1)  # in the window's units

    def build(self, drawlist: int | str) -> None:
        """Create the layer of a drawlist that the picture stands in."""
        self._parent = dpg.add_draw_layer(parent=drawlist)

    # --- the surface ------------------------------------------------------------------------------------------

    def attach(self, surface: Surface, width: int, height: int) -> None:
        """Present through a surface of that many pixels; the one of before is released with what belonged to it."""
        self.release()
        self._surface = surface
        self._picture = self._overlays = None
        if isinstance(surface, DrawnSurface):
            self._picture = PicturePass(surface.ctx, surface.device_frames)
            self._picture.clear(theme.BACKGROUND[:3])
            self._overlays = OverlayPass(surface.ctx)
            self._layers.attach(self._overlays)
            surface.hand_back()
        self._session.present, self._session.interop_reason = surface.kind, ""
        self._photo_shown = None
        if self.frame is not None:
            self._put(self.frame)
        surface.resize(width, height)
        self.changed = True

    def release(self) -> None:
        """Free what belongs to the surface's context."""
        if self._surface is None:
            return
        for thing in (self._picture, self._overlays):
            if thing is not None:
                thing.release()
        self._layers.attach(None)
        dpg.delete_item(self._parent, children_only=True)
        self._image = None
        self._surface.release()
        self._surface = None

    def place(self, rect: Rect, width: int, height: int) -> None:
        """Fill a rectangle of the window with that many pixels."""
        self._image_size = (rect.width, rect.height)
        if self._surface is not None:
            self._surface.resize(width, height)
        self.changed = True

    @property
    def software(self) -> bool:
        """Whether lines are drawn by the processor, so that many of them take long."""
        return isinstance(self._surface, DrawnSurface) and self._surface.software

    def after_frame(self) -> None:
        """Be told that the window was drawn."""
        if self._surface is not None and self._surface.after_frame():
            self.changed = True

    def picture(self) -> np.ndarray:
        """Return what is shown, [height,width,3] uint8."""
        return np.ascontiguousarray(self._surface.read()[..., :3])

    def _hand_back(self) -> None:
        if isinstance(self._surface, DrawnSurface):
            self._surface.hand_back()

    # --- what is shown ----------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Show nothing until the next frame."""
        self.frame = self._photo_shown = None
        if self._picture is not None:
            self._picture.clear(theme.BACKGROUND[:3])
            self._picture.set_photo(None)
        self._hand_back()
        self.changed = True

    def restyle(self) -> None:
        """Show nothing, and lines, in the colours of now; the next frame does the rest."""
        self._layers.restyle()
        if self.frame is None:
            self.clear()
        elif self.frame.step == 0:
            self.set_frame(self.frame)
        self.changed = True

    def set_frame(self, frame: Frame) -> None:
        """Show a new frame; nothing of a model that was never trained, whose fog would hide cameras, points and box."""
        if frame.step == 0:
            rgba = np.empty(frame.rgba.shape, np.uint8)
            rgba[:] = theme.BACKGROUND
            depth_z = np.full(frame.depth_z.shape, np.inf, np.float32)
            frame = replace(frame, rgba=rgba, depth_z=depth_z, legend=None, on_device=None)
        self._put(frame)
        self._hand_back()
        self.changed = True

    @property
    def takes_device_frames(self) -> bool:
        """Whether a frame may stay in the card's memory."""
        surface = self._surface
        shared = surface.device_frames if isinstance(surface, DrawnSurface) else None
        return shared is not None and shared.wanted

    def _put(self, frame: Frame) -> None:
        """Keep a frame and hand it to the picture pass; one of the card goes there directly, or else is copied."""
        if frame.on_device is not None:
            if self._picture is not None and self._picture.set_device_frame(frame.on_device):
                self.frame, self._session.present = frame, "interop"
                return
            frame = frame.on_host()
            self._session.present = self._surface.kind if self._surface is not None else self._session.present
        if isinstance(self._surface, DrawnSurface) and self._surface.device_frames is not None:
            self._session.interop_reason = self._surface.device_frames.reason
        self.frame = frame
        if self._picture is not None:
            self._picture.set_frame(frame.rgba, frame.depth_z)

    def photo_mode(self) -> str:
        """Return how much of something else is shown: "photo" or "split" of a capture view's photo, "beside" of the
        other model's picture left of the split, all of the "difference" of both models, or "off".
        """
        view, frame = self._session.view, self.frame
        if view.ground_truth in ("beside", "difference"):
            there = frame is not None and frame.beside is not None
            if not there or (frame.beside_legend is None) == (view.ground_truth == "difference"):
                return "off"  # the frame is of before
            return view.ground_truth
        return view.ground_truth if view.view_index is not None else "off"

    @property
    def split(self) -> bool:
        """Whether the split line is shown."""
        return self.photo_mode() in ("split", "beside") and not self.blinking

    @property
    def blinking(self) -> bool:
        """Whether two pictures are shown in turn. Both are there already, so that costs the worker nothing."""
        return self._session.view.blink and self.photo_mode() in ("photo", "split", "beside")

    @property
    def legend(self) -> tuple[float, float, str] | None:
        """The scale of the colours that are shown."""
        if self.frame is None:
            return None
        return self.frame.beside_legend if self.photo_mode() == "difference" else self.frame.legend

    def _blink(self) -> None:
        """Show the other one of the two when it is time."""
        rate = self._session.view.blink_hz
        other = self.blinking and int(2.0 * rate * self._clock()) % 2 == 1
        if other != self.other_shown:
            self.other_shown = other
            self.changed = True

    def _beside(self) -> np.ndarray:
        """Return the picture [h,w,3] of the model beside; nothing of one that was never trained, as of the open one."""
        picture, one = self.frame.beside[..., :3], self._session.beside
        untrained = one is not None and one.stats is not None and one.stats.step == 0
        if untrained and self.frame.beside_legend is None:
            return np.broadcast_to(np.array(theme.BACKGROUND[:3], np.uint8), picture.shape)
        return picture

    def present(self, camera: ViewCamera, hovered: int | None, eye: np.ndarray) -> bool:
        """Draw if anything changed; return whether the window must be redrawn. `eye [3]` is the frame's position."""
        if self._layers.refresh(self._session, hovered, eye):
            self._hand_back()
            self.changed = True
        self._follow_photo()
        self._blink()
        surface = self._surface
        if not self.changed or surface is None or not surface.ready:
            return self.changed
        self.changed = False
        if isinstance(surface, DrawnSurface):
            surface.paint(lambda target, width, height: self._draw(camera, target, width, height))
        elif isinstance(surface, PlainSurface):
            surface.show(np.array([[theme.BACKGROUND]], np.uint8) if self.frame is None else self.frame.rgba)
        self._show_image(surface)
        return True

    def _follow_photo(self) -> None:
        """Upload the photo when one is wanted and there."""
        if self._picture is None:
            return
        view, mode = self._session.view, self.photo_mode()
        if mode in ("beside", "difference"):
            photo, shown = self._beside(), (-1, self.frame.serial)
        else:
            photo = None if mode == "off" else self._photos.get(view.view_index)
            shown = None if photo is None else (view.view_index, id(photo))
        key = (shown, mode, view.split if self.split else float(self.blinking))
        if key == self._photo_shown:
            return
        if self._photo_shown is None or self._photo_shown[0] != shown:
            self._picture.set_photo(photo)
            self._hand_back()
        self._photo_shown = key
        self.changed = True

    def _draw(self, camera: ViewCamera, target: Target, width: int, height: int) -> None:
        """Picture, photo, lines, in this order, into the surface's target."""
        mode, split = self.photo_mode(), self._session.view.split
        whole = mode in ("beside", "difference")
        x, y, w, h = (0.0, 0.0, width, height) if whole else camera.photo_rect(width, height)
        until = {"off": -1.0, "photo": 2.0, "difference": 2.0}.get(mode, split)
        if self.blinking:
            until = 2.0 if self.other_shown else -1.0
        self._picture.draw(target, width, height, (x / width, y / height, w / width, h / height), until)
        only_photo = until > 1.0 and not whole
        if self.frame is not None and not only_photo and not self._session.timeline.preview:
            shown = self.frame.request.camera
            left = round(split * width) if mode == "split" and not self.blinking else 0
            names = self._layers.names()
            self._overlays.draw(
                target, width, height, shown, self._picture.depth, names, left, theme.SIZES.scale
            )

    def _show_image(self, surface: Surface) -> None:
        corner, uv = list(self._image_size), list(surface.uv_max)
        if self._image is not None and dpg.get_item_configuration(self._image)["texture_tag"] == surface.tag:
            dpg.configure_item(self._image, pmax=corner, uv_max=uv)
            return
        dpg.delete_item(self._parent, children_only=True)
        self._image = dpg.draw_image(surface.tag, [0, 0], corner, uv_max=uv, parent=self._parent)
