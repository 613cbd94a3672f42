# SPDX-License-Identifier: MIT
"""A new window lies on the screen as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.gui.placing import placed

CODE = "from app.gui.placing import free_area; print(free_area())"


def test_a_window_that_fits_keeps_its_size_and_is_centred():
    assert placed(1440, 880, (0, 40, 1920, 1040)) == (240, 120, 1440, 880)


@pytest.mark.parametrize("area", [(0, 0, 1366, 728), (64, 27, 1280, 773), (-1920, 0, 1500, 900)])
def test_a_window_never_reaches_beyond_the_free_area(area):
    x, y, width, height = placed(1440, 880, area)
    assert area[0] < x and x + width < area[0] + area[2]
    assert area[1] < y and y + height < area[1] + area[3]
    assert abs(2 * x + width - 2 * area[0] - area[2]) <= 1


@pytest.mark.gl
def test_the_area_is_that_of_the_screen(display):
    env = os.environ | {"DISPLAY": display}
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", CODE], env=env, cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "(0, 0, 1600, 1000)", done.stderr
