# SPDX-License-Identifier: MIT
"""Cameras that training has moved are where a front end draws them, and where photos are compared with pictures."""

from __future__ import annotations

from app.gui.overlay_layers import OverlayLayers
from app.gui.session_feed import apply_event
from app.session import Session
from engine import messages as m
from engine.cameras import Camera
from engine.messages import ViewRequest
from tests.worker_bench import Bench


def shifted(bench: Bench) -> tuple[Camera, ...]:
    """Let the method say that it moved every training camera a little to the side; return them."""
    cameras = []
    for view in bench.method.scene.train.views:
        pose = view.camera.world_from_cam.copy()
        pose[0, 3] += 0.25
        cameras.append(view.camera.moved(pose))
    bench.method.moved_cameras = lambda: tuple(cameras)
    return tuple(cameras)


def train(bench: Bench) -> None:
    """Train until the next record is due."""
    bench.do(m.Train())
    bench.turns(400)


def test_moved_cameras_are_told_while_training_and_the_front_end_takes_them(bench):
    train(bench)
    assert bench.of(m.CamerasMoved) == []
    cameras = shifted(bench)
    train(bench)
    told = bench.of(m.CamerasMoved)[-1]
    assert told.cameras == cameras
    session = Session()
    for event in bench.heard:
        apply_event(session, event)
    n = len(cameras)
    assert [view.camera for view in session.scene.views[:n]] == list(cameras)
    assert session.scene.views[n:] == bench.of(m.SceneOpened)[0].views[n:]
    layers = OverlayLayers()
    layers.open_scene(bench.of(m.SceneOpened)[0])
    layers.move_cameras(session.scene)
    assert layers.cameras[:n] == list(cameras)


def test_a_photo_is_compared_with_the_picture_of_its_moved_camera(bench):
    before = bench.method.scene.train.views[0].camera
    cameras = shifted(bench)
    legends = []
    for serial, camera in ((1, before), (2, cameras[0])):
        bench.worker.request_view(ViewRequest(serial, camera, mode="error", view_index=0))
        bench.worker.turn()
        legends.append(bench.worker.frame().legend)
    assert legends[0] is None and legends[1] is not None


def test_a_reset_puts_cameras_back_and_an_opened_run_shows_them_moved(bench):
    old = tuple(view.camera for view in bench.method.scene.train.views)
    cameras = shifted(bench)
    training = bench.worker._core.training
    assert [v.camera for v in training.opened().views[: len(old)]] == list(cameras)
    bench.do(m.Reset())
    assert bench.of(m.CamerasMoved)[-1].cameras == old


def test_the_scene_itself_stays_as_it_was_read(bench):
    shifted(bench)
    training = bench.worker._core.training
    assert training.scene_now() is not training.scene
    assert training.scene.train.views[0].camera is bench.method.scene.train.views[0].camera
