# SPDX-License-Identifier: MIT
"""Panels without a window: a Dear PyGui context, a fake worker, and a session as it looks while lego trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np
import pytest

from app.gui.panel import Panel, PanelContext
from app.gui.session_feed import apply_event, apply_stats
from app.session import Session
from engine import messages
from engine.cameras import Camera, look_at
from engine.messages import TrainState
from engine.methods.common import StructureStats

UP = np.array([0.0, 0.0, 1.0])


class Bench:
    """One panel, its session, and what it asked for."""

    def __init__(self) -> None:
        self.session = Session()
        self.sent: list[object] = []
        self.ran: list[str] = []
        self.done: list[tuple[str, Any]] = []
        self.panel: Panel
        dpg.add_window(tag="parent")

    def build(self, panel: Panel) -> Bench:
        self.panel = panel
        panel.build("parent", PanelContext(self.session, self.sent.append, self.ran.append, self._do))
        return self

    def _do(self, action: str, argument: Any) -> None:
        self.done.append((action, argument))

    def event(self, *events: messages.Event) -> None:
        """Let the session and the panel hear events, then refresh."""
        for event in events:
            apply_event(self.session, event)
            self.panel.on_event(event)
        self.refresh()

    def stats(self, stats: messages.Stats) -> None:
        apply_stats(self.session, stats)
        self.refresh()

    def refresh(self) -> None:
        self.panel.refresh(self.session)

    def tag(self, name: str) -> str:
        return f"{self.panel.id}/{name}"

    def text(self, name: str) -> Any:
        return dpg.get_value(self.tag(name))

    def shown(self, name: str) -> bool:
        return dpg.get_item_configuration(self.tag(name))["show"]

    def config(self, name: str, key: str) -> Any:
        return dpg.get_item_configuration(self.tag(name))[key]

    def tip(self, name: str) -> str:
        return dpg.get_value(self.tag(f"{name}-tip"))

    def press(self, name: str, value: Any = None) -> None:
        """Do what a click does: set the value if there is one, then call back as Dear PyGui would."""
        tag = self.tag(name)
        if value is not None:
            dpg.set_value(tag, value)
        callback = dpg.get_item_callback(tag)
        arguments = (tag, value, dpg.get_item_user_data(tag))
        code = callback.__code__
        count = code.co_argcount - (1 if hasattr(callback, "__self__") else 0)
        callback(*arguments[:count])

    def edit(self, name: str, value: Any) -> None:
        """Do what typing a value and leaving the widget does."""
        tag = self.tag(name)
        dpg.set_value(tag, value)
        registry = dpg.get_item_info(tag)["handlers"]
        (handler,) = dpg.get_item_children(registry, 1)
        dpg.get_item_callback(handler)()


@pytest.fixture
def bench() -> Iterator[Bench]:
    dpg.create_context()
    yield Bench()
    dpg.destroy_context()


@pytest.fixture
def lego() -> messages.SceneOpened:
    """Six training views and two held-out ones on a circle."""
    places = [np.array([2 * np.cos(a), 2 * np.sin(a), 1.0]) for a in np.arange(8) * np.pi / 4]
    cameras = [Camera.from_fov(400, 400, 0.69, look_at(place, np.zeros(3), UP)) for place in places]
    views = tuple(messages.ViewInfo(f"r_{i}.png", camera, i >= 6) for i, camera in enumerate(cameras))
    values = {"adapt.prune_threshold": 0.05, "adapt.every_steps": 100}
    return messages.SceneOpened(
        "lego", "scenes/lego", "blender", "svraster", views, 6, ("r_9.png is missing.",), UP, np.eye(4), 0, "white",
        1_920_000, "runs/lego", values,
    )  # fmt: skip


@pytest.fixture
def stats() -> messages.Stats:
    per_level = (0, 0, 0, 0, 0, 4512, 40_000, 160_000, *(0,) * 9)
    structure = StructureStats(204_512, 231_000, per_level, 61_200_000, 400_000, 0.0431)
    return messages.Stats(
        TrainState.TRAINING, 1240, 5000, 30.2, 41.2, 91.3, (("mse", 0.0012), ("distortion", 0.0)), 29.2, structure,
        812_000_000, 24.3, 11.2, 0.87, 0.13, 28.0, 0.5,
    )  # fmt: skip


@pytest.fixture
def evaluated() -> Callable[..., messages.Evaluated]:
    """Make an evaluation of the held-out views with given qualities."""

    def make(*psnr: float, step: int = 1200) -> messages.Evaluated:
        rows = tuple((f"r_{6 + i}.png", value, 0.9 + 0.01 * i) for i, value in enumerate(psnr))
        return replace(
            messages.Evaluated(step, 30.0, 0.0, 0.95, 204_512, rows), psnr=sum(psnr) / max(len(psnr), 1)
        )

    return make
