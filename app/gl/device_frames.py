# SPDX-License-Identifier: MIT
"""Frames that are already on the card: into the window's textures if that works here, else copied, and why.

The decision is made once and kept: the first failure lets go of everything shared, clears the error, and from then on frames
come by way of the computer's memory. Nothing is tried where the window is drawn by something else than the NVIDIA card.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import moderngl
import numpy as np

from app.gl.context import GLError, HiddenContext
from engine.cuda.interop import Link, Provider, open_provider
from engine.messages import DeviceFrame

log = logging.getLogger(__name__)

SHARED = ("auto", "interop")  # values of --present that share textures
RGBA_BYTES, DEPTH_BYTES = 4, 4  # of a pixel
HYBRID = (
    "on a computer with two graphics chips choose the NVIDIA card for this program, on Linux by starting it with "
    "__NV_PRIME_RENDER_OFFLOAD=1 __GLX_VENDOR_LIBRARY_NAME=nvidia"
)


class DeviceFrames:
    """Puts frames of the card into textures. `reason` says why it does not; "" while it does or was not tried yet."""

    def __init__(self, wish: str, vendor: str, open_provider: Callable[[int], Provider]) -> None:
        self.reason = ""
        self._open_provider = open_provider
        self._provider: Provider | None = None
        self._links: dict[int, Link] = {}
        if wish not in SHARED:
            self.reason = "asked for"
        elif wish == "auto" and not vendor.lower().startswith("nvidia"):  # Mesa names the card as well
            self.reason = f"the window is drawn by {vendor}, not by the NVIDIA card; {HYBRID}"

    @property
    def wanted(self) -> bool:
        """Whether frames should stay on the card."""
        return not self.reason

    def show(self, frame: DeviceFrame, colour: int, depth: int) -> bool:
        """Fill two textures of the frame's size, by their OpenGL names; False: it has to be copied, see `reason`."""
        if self.reason:
            return False
        try:
            provider = self._provided(frame.device)
            frame.read_on(provider.stream)
            self._link(colour).copy(frame.rgba, frame.width * RGBA_BYTES, frame.height)
            self._link(depth).copy(frame.depth_z, frame.width * DEPTH_BYTES, frame.height)
        except Exception as error:  # each provider has its own
            self._give_up(error)
            return False
        return True

    def _provided(self, device: int) -> Provider:
        if self._provider is None:
            self._provider = self._open_provider(device)
        return self._provider

    def _link(self, texture: int) -> Link:
        if texture not in self._links:
            self._links[texture] = self._provider.link(texture)
        return self._links[texture]

    def forget(self, texture: int) -> None:
        """Let go of a texture that is about to be deleted."""
        link = self._links.pop(texture, None)
        if link is not None:
            try:
                link.close()
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Remember why, and leave nothing behind."""
        self.reason = f"the card's frames cannot be shared with the window ({error})"
        log.warning("no interop provider=%s error=%s", getattr(self._provider, "name", "none"), error)
        provider = self._provider
        self.close()
        if provider is not None:
            _quietly(provider.forget_errors)

    def close(self) -> None:
        """Let go of everything; before the textures are deleted."""
        links, self._links = self._links, {}
        for link in links.values():
            _quietly(link.close)
        provider, self._provider = self._provider, None
        if provider is not None:
            _quietly(provider.close)


def _quietly(action: Callable[[], None]) -> None:
    """Do something of which the failure changes nothing: the card's frames are given up already, or the window closes."""
    try:
        action()
    except Exception as error:
        log.debug("interop clean-up failed error=%s", error)


def device_frames_for(ctx: moderngl.Context, wish: str, interop: str) -> DeviceFrames:
    """Return what brings frames of the card into textures of a context; `interop` names the provider."""
    vendor = f"{ctx.info['GL_VENDOR']} {ctx.info['GL_RENDERER']}"
    return DeviceFrames(wish, vendor, lambda device: open_provider(interop, device))


def probe(frame: DeviceFrame, wanted: np.ndarray, interop: str = "cuda") -> str:
    """Return why a frame of the card cannot be shown in OpenGL without a copy, "" if it was: `wanted` [h,w,4] is its picture.

    Needs no window. Where a window is drawn by another chip than this context, it still has to be copied there.
    """
    try:
        hidden = HiddenContext()
    except GLError as error:
        return str(error)
    frames = device_frames_for(hidden.ctx, "interop", interop)
    size = (frame.width, frame.height)
    colour, depth = hidden.ctx.texture(size, 4), hidden.ctx.texture(size, 1, dtype="f4")
    try:
        if not frames.show(frame, colour.glo, depth.glo):
            return frames.reason
        same = np.array_equal(np.frombuffer(colour.read(), np.uint8).reshape(wanted.shape), wanted)
        return "" if same else "what arrived in the texture is not what was sent"
    finally:
        frames.close()
        hidden.close()
