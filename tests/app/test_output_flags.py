# SPDX-License-Identifier: MIT
"""The flags of `nerfviewer render` become what the window's export panel would ask for, or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.output_flags import OutputFlags
from engine.errors import UserError


@pytest.mark.parametrize(
    ("flags", "output", "path"),
    [
        ({}, "a.mp4", "a.mp4"),
        ({}, "a", "a"),
        ({"format": "gif"}, "a", "a.gif"),
        ({"format": "webp"}, "a.webp", "a.webp"),
        ({"format": "png"}, "a", "a"),
    ],
)
def test_the_output_gets_its_formats_suffix(flags: dict[str, str], output: str, path: str) -> None:
    assert OutputFlags(**flags).order(Path(output))["path"] == Path(path)


def test_names_become_those_of_the_engine() -> None:
    flags = OutputFlags(stereo="over-under", eye_distance=0.1, motion_blur=4, depth="npy", supersample=2)
    assert flags.film() == {"moments": 4, "shutter": 0.5, "projection": "over-under", "eye_distance": 0.1}
    order = flags.order(Path("a"))
    assert (order["depth"], order["supersample"], order["normals"]) == ("float32 .npy", 2.0, False)
    assert OutputFlags(equirectangular=True).film()["projection"] == "360"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"equirectangular": True, "stereo": "side-by-side"}, "exclude each other"),
        ({"mode": "x-ray"}, "--mode must be one of colour, "),
        ({"format": "gif"}, "--format gif does not fit"),
        ({"format": "png"}, "--format png does not fit"),
    ],
)
def test_what_does_not_fit_together_is_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made = OutputFlags(**flags)
        made.film()
        made.order(Path("a.mp4"))
