# SPDX-License-Identifier: MIT
"""Blinking alternates two pictures that are both there: nothing is asked of the worker, nothing is uploaded again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.gui.canvas import Canvas
from app.gui.overlay_layers import OverlayLayers
from app.gui.photos import PhotoCache
from app.session import BesideModel, Session
from engine.messages import Beside, Frame, ViewRequest
from tests.fakes import FakeClock, camera_at

RGBA = np.zeros((2, 2, 4), np.uint8)


class FakePass:
    """Counts uploads, and keeps how far the other picture reached in each draw."""

    def __init__(self) -> None:
        self.frames = self.photos = 0
        self.depth = None

    def set_frame(self, rgba: Any, depth: Any) -> None:
        self.frames += 1

    def set_photo(self, photo: Any) -> None:
        self.photos += 1


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.now = 0.0
    return clock


@pytest.fixture
def canvas(clock: FakeClock) -> Canvas:
    session = Session(beside=BesideModel(Beside(2, "fake", "run")))
    session.view.ground_truth = "beside"
    canvas = Canvas(session, OverlayLayers(), PhotoCache(lambda index: None), clock)
    canvas._picture = FakePass()  # type: ignore[assignment]
    frame = Frame(1, ViewRequest(1, camera_at()), RGBA, np.ones((2, 2), np.float32), 5, 1.0)
    canvas.set_frame(replace(frame, beside=RGBA))
    return canvas


def test_both_are_shown_in_turn_at_the_chosen_rate(canvas: Canvas, clock: FakeClock) -> None:
    view = canvas._session.view
    view.blink, view.blink_hz = True, 2.0
    shown = []
    for _ in range(8):  # a second
        canvas.present(None, None, np.zeros(3))
        shown.append(canvas.other_shown)
        clock.sleep(0.125)
    assert shown == [False, False, True, True] * 2
    assert not canvas.split and canvas.blinking


def test_a_turn_uploads_nothing_and_is_drawn_only_when_it_comes(canvas: Canvas, clock: FakeClock) -> None:
    canvas._session.view.blink = True
    canvas.present(None, None, np.zeros(3))
    uploads, canvas.changed = canvas._picture.photos, False
    assert not canvas.present(None, None, np.zeros(3))
    clock.sleep(0.5)
    assert canvas.present(None, None, np.zeros(3)) and canvas.other_shown
    assert (canvas._picture.frames, canvas._picture.photos) == (1, uploads)


def test_without_blinking_the_split_line_is_back(canvas: Canvas, clock: FakeClock) -> None:
    view = canvas._session.view
    view.blink = True
    clock.sleep(0.5)
    canvas.present(None, None, np.zeros(3))
    view.blink = False
    canvas.present(None, None, np.zeros(3))
    assert not canvas.other_shown and canvas.split


def test_a_difference_fills_the_picture_once_its_frame_is_there(canvas: Canvas) -> None:
    canvas._session.view.ground_truth = "difference"
    assert canvas.photo_mode() == "off"  # the frame still holds the other model's picture
    canvas.set_frame(replace(canvas.frame, beside_legend=(0.0, 0.2, "mean difference")))
    assert canvas.photo_mode() == "difference" and canvas.legend == (0.0, 0.2, "mean difference")
    assert not canvas.split
