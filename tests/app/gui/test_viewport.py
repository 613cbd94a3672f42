# SPDX-License-Identifier: MIT
"""The viewport asks for what is looked at, and tells the panels what its picture's colours stand for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from app.gui import theme
from app.gui.photos import PhotoCache
from app.gui.viewport import Viewport
from app.inspection import Look, SlicePlane
from app.session import Session
from engine.messages import Frame, SceneOpened, TrainState, ViewRequest
from engine.region import Region

SCENE = SceneOpened(
    "lego", "lego", "blender", "svraster", (), 0, (), np.array([0.0, 0.0, 1.0]), np.eye(4), 0, "white", 0, "", {},
    can=frozenset({"levels", "crop", "slice"}),
)  # fmt: skip


@pytest.fixture
def asked() -> tuple[Viewport, list[ViewRequest]]:
    """A viewport of a scene that answers every request at once, and what it asked for."""
    requests: list[ViewRequest] = []
    session = Session(scene=SCENE)
    look = theme.Theme(theme.Sizes(1.0))
    clock = SimpleNamespace(now=0.0)
    viewport = Viewport(
        session,
        requests.append,
        lambda command: None,
        PhotoCache(lambda index: None),
        look,
        lambda: clock.now,
    )
    viewport._captions = SimpleNamespace(refresh=lambda *what: False)  # they need a window to write in
    viewport.clock = clock
    viewport.open_scene(SCENE)
    viewport.state_changed(TrainState.PAUSED)
    return viewport, requests


def answer(viewport: Viewport, requests: list[ViewRequest], legend: object = None) -> ViewRequest:
    """Turn until the picture that is shown is of the settings in force."""
    for _ in range(8):
        viewport.clock.now += 1.0
        count = len(requests)
        viewport.update(1.0)
        if len(requests) > count:
            request = requests[-1]
            rgba, depth = np.zeros((4, 4, 4), np.uint8), np.ones((4, 4), np.float32)
            viewport.on_frame(Frame(request.serial, request, rgba, depth, 1, 5.0, legend))
    return requests[-1]


def test_what_is_hidden_is_asked_for_anew_at_once(asked):
    viewport, requests = asked
    assert answer(viewport, requests).shown.everything
    region = Region((0, 0, 0), (0.1, 0.2, 0.3))
    viewport.session.inspect.look = Look((3, 5), region, True, True, SlicePlane("z", (0.0, 0.0, 1.0)), True)
    request = answer(viewport, requests)
    assert (request.levels, request.crop, request.crop_outside) == ((3, 5), region, True)
    assert request.slice.normal == (0.0, 0.0, 1.0)


def test_the_range_of_the_colours_is_that_of_the_picture_on_the_screen(asked):
    viewport, requests = asked
    answer(viewport, requests, (0.5, 2.0, "density"))
    assert viewport.session.legend == (0.5, 2.0, "density")
