# SPDX-License-Identifier: MIT
"""A box in engine units and in the data's is the same box."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.scene_box import box_in_data, box_in_engine
from engine.conventions import similarity
from engine.datasets.box import box_of

MATRIX = similarity(5.0, np.array([1.0, -2.0, 0.5]))


def test_there_and_back_is_the_same_box():
    centre, edge = box_in_engine(MATRIX, *box_in_data(MATRIX, (0.1, 0.2, -0.3), 0.7))
    assert centre == pytest.approx((0.1, 0.2, -0.3)) and edge == pytest.approx(0.7)


def test_the_scene_s_own_box_is_the_engine_s_unit_cube():
    centre, edge = box_in_data(MATRIX, (0.0, 0.0, 0.0), 1.0)
    own_centre, own_edge = box_of(MATRIX)
    assert centre == pytest.approx(tuple(own_centre)) and edge == pytest.approx(own_edge) == 5.0
