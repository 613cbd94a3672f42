# SPDX-License-Identifier: MIT
"""A worker without an engine: a shaded ball over a gradient, rendered analytically, and scripted numbers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from engine.cameras import Camera, look_at
from engine.messages import (
    Command,
    Event,
    Frame,
    OpenScene,
    Pause,
    SceneOpened,
    StateChanged,
    Stats,
    Train,
    TrainState,
    ViewInfo,
    ViewRequest,
)
from engine.methods.common import StructureStats

UP = np.array([0.0, 0.0, 1.0])
RADIUS = 0.3


def ring(n: int = 24, distance: float = 1.4) -> tuple[ViewInfo, ...]:
    """Return views on a circle about the origin, every sixth held out."""
    views = []
    for i in range(n):
        angle = 2 * np.pi * i / n
        eye = np.array([distance * np.cos(angle), distance * np.sin(angle), 0.6])
        camera = Camera.from_fov(80, 60, 0.8, look_at(eye, np.zeros(3), UP))
        views.append(ViewInfo(f"view_{i:02d}.png", camera, i % 6 == 5))
    return tuple(sorted(views, key=lambda view: view.held_out))


def ball(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture [h,w,4] and the depth [h,w] of a lit ball at the origin."""
    origins, directions = camera.rays()
    b = np.sum(origins * directions, axis=-1)
    root = b**2 - np.sum(origins**2, axis=-1) + RADIUS**2
    t = -b - np.sqrt(np.maximum(root, 0.0))
    hit = (root > 0) & (t > 0)
    points = origins + t[..., None] * directions
    light = np.clip(points @ np.array([0.5, -0.4, 0.75]) / RADIUS, 0.08, 1.0)
    sky = np.linspace(0.30, 0.14, camera.height)[:, None, None] * np.array([0.8, 0.9, 1.1])
    rgb = np.where(hit[..., None], light[..., None] * np.array([0.95, 0.75, 0.5]), sky)
    rgba = np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=-1)
    depth = np.where(hit, t * (directions @ camera.forward), np.inf)
    return (np.clip(rgba, 0, 1) * 255).astype(np.uint8), depth.astype(np.float32)


class FakeWorker:
    """Answers at once, on the caller's thread; a "step" takes no time. Keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.requests: list[ViewRequest] = []
        self.view_waiting = False
        self._events: list[Event] = []
        self._frame: Frame | None = None
        self._stats: Stats | None = None
        self._began = time.monotonic()
        self._state = TrainState.EMPTY

    def send(self, command: Command) -> None:
        """Play the worker's part of the few commands that tests need."""
        self.sent.append(command)
        if isinstance(command, OpenScene):
            self._open()
            self._enter(TrainState.TRAINING if command.start else TrainState.PAUSED)
        elif isinstance(command, Train):
            self._enter(TrainState.TRAINING)
        elif isinstance(command, Pause):
            self._enter(TrainState.PAUSED)

    def _open(self) -> None:
        views = ring()
        self._events.append(
            SceneOpened(
                "ball", str(Path.cwd()), "fake", "svraster", views, 20, (), UP, np.eye(4), 0, "black", 1_000_000,
                "", {},
            )
        )  # fmt: skip

    def _enter(self, state: TrainState) -> None:
        self._state = state
        self._events.append(StateChanged(state))

    def request_view(self, request: ViewRequest) -> None:
        """Render it now."""
        self.requests.append(request)
        rgba, depth = ball(request.camera.scaled(request.scale))
        legend = None if request.mode == "colour" else (0.0, 2.0, "units")
        beside = np.ascontiguousarray(rgba[::-1]) if request.beside else None  # upside down
        self._frame = Frame(request.serial, request, rgba, depth, 1, 5.0, legend, beside=beside)

    def frame(self) -> Frame | None:
        """Return the newest picture once."""
        frame, self._frame = self._frame, None
        return frame

    def stats(self) -> Stats | None:
        """Return numbers that grow with time while it trains."""
        if self._state is TrainState.EMPTY:
            return None
        step = int(40 * (time.monotonic() - self._began)) if self._state is TrainState.TRAINING else 0
        levels = (0, 0, 0, 0, 0, 512, 20_000, 90_000, 60_000) + (0,) * 8
        structure = StructureStats(170_512, 200_000, levels, 61_000_000, 400_000, 0.02)
        losses = (("mse", 0.1 / (1 + 0.01 * step)), ("ssim", 0.02))
        return Stats(
            self._state, step, 10_000, step / 40, 40.0, 123.0, losses, 20.0 + np.log1p(step), structure, 61_000_000,
            24.0, 20.0, 0.87, 0.1, 28.0, 0.5,
        )  # fmt: skip

    def events(self) -> list[Event]:
        """Return what happened."""
        events, self._events = self._events, []
        return events

    def emit(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def photo(self, index: int) -> np.ndarray:
        """Return a checkerboard."""
        y, x = np.mgrid[:60, :80]
        return np.repeat(((x // 10 + y // 10) % 2)[..., None], 3, axis=2).astype(np.float32)
