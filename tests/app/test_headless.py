# SPDX-License-Identifier: MIT
"""What the terminal hears of the worker: the cause of its end, the failures that matter to what was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.headless import Console, Driver, RunError
from app.headless_render import export, write_picture
from app.jobs.orders import ExportOrder
from engine import messages as m
from engine.export.developing import Developed
from engine.shots import Film
from tests.fakes import camera_at

SCENE = m.SceneOpened(
    "grey", "grey", "fake", "fake", (m.ViewInfo("0.png", camera_at(), False),), 1, (), np.zeros(3), np.eye(4), 0,
    "white", 0, "runs/grey", {},
)  # fmt: skip


class ScriptedWorker:
    """Says one list of events after the other, then is dead."""

    def __init__(self, *script: list[m.Event]) -> None:
        self.script = list(script)
        self.sent: list[m.Command] = []

    def events(self) -> list[m.Event]:
        return self.script.pop(0) if self.script else []

    @property
    def alive(self) -> bool:
        return len(self.script) > 1

    def stats(self) -> None:
        return None

    def send(self, command: m.Command) -> None:
        self.sent.append(command)

    def emit(self, event: m.Event) -> None:
        pass

    def request_view(self, request: m.ViewRequest) -> None:
        pass

    def frame(self) -> Any:
        picture = np.zeros((4, 4, 4), np.uint8)
        return None if self.script else m.Frame(1, m.ViewRequest(1, camera_at()), picture, picture, 0, 1.0)


def driver_of(*script: list[m.Event]) -> Driver:
    return Driver(ScriptedWorker(*script), Console())  # type: ignore[arg-type]


def never() -> bool:
    return False


def test_the_cause_of_the_workers_end_is_heard_though_it_is_dead_by_then() -> None:
    fatal = m.Failed("The worker stopped", ("IndexError: kernels",), fatal=True)
    with pytest.raises(RunError, match="IndexError: kernels"):
        driver_of([], [fatal]).pump(never)


@pytest.mark.parametrize("what", ["Training could not start", "Training stopped", "The evaluation stopped"])
def test_what_a_command_is_for_ends_it_when_it_fails(what: str) -> None:
    with pytest.raises(RunError, match=what):
        driver_of([m.Failed(what, ("no",))], []).pump(never)


def test_where_the_run_is_saved_may_change() -> None:
    driver = driver_of([SCENE, m.RunFolderChanged("runs/grey-2")], [])
    driver.pump(lambda: driver.scene is not None)
    assert driver.scene.run_folder == "runs/grey-2"


def test_a_checkpoint_that_fails_is_no_reason_to_have_no_picture(tmp_path: Path) -> None:
    driver = driver_of([m.Failed("The checkpoint could not be saved", ("full",))], [])
    assert write_picture(driver, SCENE, tmp_path / "a.png").is_file()
    with pytest.raises(RunError, match="no buffer"):
        write_picture(
            driver_of([m.Failed("The view could not be rendered", ("no buffer",))], []), SCENE, tmp_path
        )


@pytest.mark.parametrize("error", [RunError("The worker ended."), KeyboardInterrupt()])
def test_an_export_that_is_left_keeps_only_whole_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("app.jobs.video.GOODBYE_S", 0.0)
    driver = driver_of([], [])

    def leave(done: Callable[[], bool], hear: Callable[[m.Event], Any]) -> None:
        (job,) = (command.job for command in driver.worker.sent)
        job.frames.put(m.Began("grey", 1, 0))
        job.frames.put((0, Developed(np.zeros((12, 12, 3), np.uint8))))
        end = time.monotonic() + 5.0
        while not list(tmp_path.rglob("*.png")):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.001)
        raise error

    monkeypatch.setattr(driver, "pump", leave)
    with pytest.raises(type(error)):
        export(driver, ExportOrder(tmp_path / "pictures", Film([camera_at()] * 3)))
    left = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert left == ["frame_00000.png", "job.json"], "the same command goes on from there"
