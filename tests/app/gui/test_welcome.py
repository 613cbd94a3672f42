# SPDX-License-Identifier: MIT
"""The start page's place."""

from __future__ import annotations

from app.gui.layout import Rect
from app.gui.welcome import centred


def test_what_begins_alone_stands_in_the_middle_and_never_beyond_the_window():
    assert centred(Rect(0, 28, 1280, 660), 400, 460) == Rect(440, 128, 400, 460)
    assert centred(Rect(10, 20, 300, 200), 400, 460) == Rect(10, 20, 300, 200)
