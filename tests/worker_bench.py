# SPDX-License-Identifier: MIT
"""A worker without a thread on a bench: its clock, its method and every event at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import messages as m
from engine.messages import TrainState, ViewRequest
from engine.worker import Worker
from tests.fakes import FakeClock, FakeMethod, camera_at, load_fake_scene


class Bench:
    """A worker without a thread, its fake clock, its method, and every event so far."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.clock = FakeClock()
        self.method: FakeMethod
        self.runs = tmp_path / "runs"
        options.setdefault("scene_loader", load_fake_scene)
        self.worker = Worker(
            self.clock,
            runs_dir=self.runs,
            method_factory=self.make,
            cpu_clock=lambda: 2.0 * self.clock.now,
            **options,
        )
        self.heard: list[m.Event] = []

    def make(self, name: str, scene: Any, values: dict[str, Any], seed: int) -> FakeMethod:
        from engine.options import build

        self.method = FakeMethod(scene, build(FakeMethod.Config, values), seed, self.clock)
        return self.method

    def do(self, *commands: m.Command) -> list[m.Event]:
        """Send commands, let the worker obey them, return the events."""
        for command in commands:
            self.worker.send(command)
        for _ in commands:
            self.worker.turn()
        return self.events()

    def events(self) -> list[m.Event]:
        new = self.worker.events()
        self.heard += new
        return new

    def open(self, **options: Any) -> Bench:
        self.do(m.OpenScene("somewhere", "fake", **options))
        return self

    def turns(self, n: int) -> None:
        for _ in range(n):
            self.worker.turn()

    @property
    def state(self) -> TrainState:
        return self.worker.stats().state

    def of(self, kind: type) -> list[Any]:
        self.events()
        return [event for event in self.heard if isinstance(event, kind)]


def request(serial: int, **options: Any) -> ViewRequest:
    """A request for the view of the fakes' camera."""
    return ViewRequest(serial, camera_at(), **options)


def threaded(tmp_path: Path) -> Worker:
    """A worker of the fakes on its own thread; whoever starts it stops it."""

    def make(name: str, scene: Any, values: dict[str, Any], seed: int) -> FakeMethod:
        return FakeMethod(scene, FakeMethod.Config(), seed)

    worker = Worker(runs_dir=tmp_path, scene_loader=load_fake_scene, method_factory=make)
    worker.start()
    return worker
