# SPDX-License-Identifier: MIT
"""Views are served between steps, cannot starve the training, and compare with photos only where they were taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine import worker_views
from engine.cameras import Camera
from engine.errors import Interrupted
from engine.messages import TrainState, ViewRequest
from tests.fakes import camera_at
from tests.worker_bench import Bench, request


def test_views_are_served_between_steps_and_the_newest_request_wins(bench: Bench) -> None:
    bench.do(m.Train())
    for serial in (1, 2, 3):
        bench.worker.request_view(request(serial))
    bench.turns(2)
    frame = bench.worker.frame()
    assert (frame.serial, len(bench.method.rendered)) == (3, 1)
    assert bench.worker.frame() is None  # taken
    assert bench.method.step == 1


def test_a_viewer_that_asks_without_pause_cannot_starve_the_training(bench: Bench) -> None:
    bench.do(m.Train())
    for serial in range(20):
        bench.worker.request_view(request(serial))
        bench.worker.turn()
    assert bench.method.step == 10
    assert len(bench.method.rendered) == 10


def test_a_view_is_scaled_and_has_depth_for_the_overlays(bench: Bench) -> None:
    bench.worker.request_view(request(4, scale=0.5))
    bench.worker.turn()
    frame = bench.worker.frame()
    assert frame.rgba.shape == (6, 6, 4)
    assert np.isinf(frame.depth_z[0]).all()
    assert (frame.depth_z[1:] == 2.0).all()
    assert frame.render_ms == pytest.approx(10.0)


def test_a_request_before_the_scene_is_served_when_it_is_open(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.worker.request_view(request(9))
    assert not bench.worker.turn()
    bench.open()
    bench.worker.turn()
    assert bench.worker.frame().serial == 9


def test_training_goes_on_after_a_view_fails_and_the_failure_is_told_once(bench: Bench) -> None:
    bench.do(m.Train())
    bench.method.fail_view = ValueError("no such buffer")
    for serial in range(6):
        bench.worker.request_view(request(serial))
        bench.turns(2)
    bench.method.fail_view = ValueError("another one")
    bench.worker.request_view(request(7))
    bench.turns(2)
    assert [e.chain[0] for e in bench.of(m.Failed)] == [
        "ValueError: no such buffer",
        "ValueError: another one",
    ]
    assert (bench.method.step, bench.state) == (7, TrainState.TRAINING)


def test_the_error_mode_compares_with_the_photo_only_where_it_was_taken(bench: Bench) -> None:
    wide = camera_at(0.1).resized(24, 12)
    wide = Camera(24, 12, wide.fx / 2, wide.fy, 12.0, 6.0, wide.world_from_cam)
    bench.worker.request_view(ViewRequest(1, wide, mode="error", view_index=1))
    bench.worker.turn()
    frame = bench.worker.frame()
    assert frame.legend is not None
    inside, outside = frame.rgba[6, 12, :3], frame.rgba[6, 1, :3]
    assert (inside != outside).any()  # 0.1 off inside the photo, nothing to compare with beside it
    bench.worker.request_view(ViewRequest(2, camera_at(0.55), mode="error", view_index=1))
    bench.worker.turn()
    assert bench.worker.frame().legend is None


class _Errors:
    """The error map of a method: nothing is known of the views but the last."""

    block = 4

    def of(self, view: int) -> np.ndarray:
        return np.full((3, 3), 0.04 if view == 1 else np.nan, dtype=np.float32)


def test_the_error_map_lies_over_the_picture_and_the_frame_says_whose_it_is(bench: Bench) -> None:
    bench.worker.request_view(ViewRequest(1, camera_at(0.1), error_map=True))
    bench.worker.turn()
    plain = bench.worker.frame()  # the method keeps no errors
    assert (plain.heat_of, plain.legend) == (None, None)
    bench.method.errors = _Errors()
    frames = []
    for serial, index in ((2, 1), (3, None), (4, 0)):
        bench.worker.request_view(ViewRequest(serial, camera_at(0.1), view_index=index, error_map=True))
        bench.worker.turn()
        frames.append(bench.worker.frame())
    # in it, next to it, in one that was not met yet
    assert [frame.heat_of for frame in frames] == [1, 1, None]
    assert frames[0].legend[:2] == (0.0, pytest.approx(0.2))
    assert (frames[0].rgba[6, 6, :3] != plain.rgba[6, 6, :3]).any()
    np.testing.assert_array_equal(frames[2].rgba, plain.rgba)


class _OnCard:
    """A method on a pretended card: the picture stays there."""

    card, step = "a card", 7

    def __init__(self) -> None:
        self.asked: list[tuple[int, object]] = []

    def render_on_card(self, camera: Camera, background: object) -> tuple[str, str]:
        self.asked.append((camera.width, background))
        return "rgba", "depth_z"


def test_a_picture_of_a_card_stays_there_and_counts_until_it_is_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, method = [1.0], _OnCard()

    def finish() -> None:
        now[0] += 0.25

    def kept(rgba: str, depth_z: str) -> m.DeviceFrame:
        assert (rgba, depth_z) == ("rgba", "depth_z")
        return m.DeviceFrame(6, 6, 1, 2, 0, lambda stream: None, lambda: None, finish)

    monkeypatch.setattr(worker_views, "device_frame", kept)
    asked = replace(request(5, scale=0.5), on_device=True, background=(0.0, 1.0, 0.0))
    frame = worker_views.render_frame(method, None, asked, lambda: now[0])
    assert method.asked == [(6, (0.0, 1.0, 0.0))]
    assert frame.on_device.wait is finish and frame.render_ms == 250.0 and frame.step == 7
    assert frame.rgba.shape == (6, 6, 4) and frame.depth_z.shape == (6, 6)


def test_a_picture_that_takes_long_is_given_up_for_a_newer_one_or_a_command_and_then_made(
    bench: Bench,
) -> None:
    method, render, asked = bench.method, bench.method.render, []
    method.slow_views, method.interrupt = True, None

    def slow(camera: Camera, *rest: Any, **named: Any) -> Any:
        for part in range(4):
            if not asked and part == 2:
                asked.append(bench.worker.send(m.SetOptions({})))  # while the picture is drawn
            if method.interrupt is not None and method.interrupt():
                raise Interrupted
        return render(camera, *rest, **named)

    method.render = slow
    bench.worker.request_view(ViewRequest(7, camera_at(0.1)))
    bench.worker.turn()
    assert bench.worker.frame() is None and not bench.of(m.Failed)
    bench.turns(2)  # the command, then the picture after all
    assert bench.worker.frame().serial == 7 and method.interrupt is None


def test_a_picture_that_was_given_up_does_not_come_back_in_place_of_a_newer_one(bench: Bench) -> None:
    method, render, serials = bench.method, bench.method.render, []
    method.slow_views, method.interrupt = True, None

    def slow(camera: Camera, *rest: Any, **named: Any) -> Any:
        if not serials:
            serials.append(bench.worker.request_view(ViewRequest(9, camera_at(0.5))))
        if method.interrupt():
            raise Interrupted
        return render(camera, *rest, **named)

    method.render = slow
    bench.worker.request_view(ViewRequest(8, camera_at(0.1)))
    bench.turns(4)
    assert bench.worker.frame().serial == 9
