# SPDX-License-Identifier: MIT
"""Texts can be read in every theme, and safe cues are told apart by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from app.gui import colours, theme

THEMES = [("dark", False), ("dark", True), ("light", False), ("light", True)]
EACH = pytest.mark.parametrize(("name", "safe"), THEMES)
READABLE = 4.5  # WCAG 2 level AA, for text of any size
SEEN = 3.0  # the same, for lines and marks
TEXTS = [
    *((text, under) for text in ("TEXT", "MUTED") for under in ("BACKGROUND", "FLOATING", "RAISED")),
    *((cue, under) for cue in ("ACCENT", "GOOD", "WARNING", "BAD", "HELD_OUT") for under in ("BACKGROUND", "FLOATING")),
    ("TEXT", "RAISED_HOVER"), ("TEXT", "RAISED_ACTIVE"), ("TEXT", "ACCENT_DEEP"), ("TEXT", "PLATE"), ("MUTED", "PLATE"),
    ("ON_ACCENT", "PRIMARY"), ("ON_ACCENT", "PRIMARY_HOVER"), ("ON_ACCENT", "PRIMARY_ACTIVE"),
]  # fmt: skip
# Linear RGB as it looks without red or green cones; Machado, Oliveira and Fernandes 2009, severity 1.
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
APART = (
    12.0  # CIE76; 2.3 is just noticeable; the usual light theme's worst pair comes to 4 without green cones
)


@pytest.fixture(autouse=True)
def usual_colours() -> Iterator[None]:
    yield
    colours.choose("dark")


@EACH
@pytest.mark.parametrize(("over", "under"), TEXTS)
def test_every_text_can_be_read_on_what_it_stands_on(name, safe, over, under):
    known = colours.named(name, safe)
    assert colours.contrast(known[over], known[under]) >= READABLE


@EACH
def test_lines_of_plots_are_seen_on_the_background(name, safe):
    known = colours.named(name, safe)
    for line in ("ACCENT", *(f"PLOT_{n}" for n in range(1, 8))):
        assert colours.contrast(known[line], known["BACKGROUND"]) >= SEEN, line


@EACH
def test_no_two_names_have_one_value(name, safe):
    values = list(colours.named(name, safe).values())
    assert len(set(values)) == len(values), (
        "else a change of theme would not know which of the two a thing has"
    )


def _lab(rgb: np.ndarray) -> np.ndarray:
    xyz = rgb @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(np.clip(xyz / [0.9505, 1.0, 1.089], 1e-4, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _distance(a: colours.Rgba, b: colours.Rgba, cones: list[list[float]]) -> float:
    seen = []
    for rgb in (a, b):
        value = np.array(rgb[:3]) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        seen.append(_lab(np.clip(np.array(cones) @ linear, 0, 1)))
    return float(np.linalg.norm(seen[0] - seen[1]))


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize("cones", [PROTANOPIA, DEUTERANOPIA], ids=["protanopia", "deuteranopia"])
def test_safe_cues_differ_without_red_or_green_cones(name, cones):
    known = colours.named(name, True)
    for one, other in combinations(("ACCENT", "GOOD", "BAD", "HELD_OUT"), 2):
        assert _distance(known[one], known[other], cones) >= APART, (one, other)


def test_who_holds_a_colour_sees_it_change():
    held = {"text": theme.TEXT, "plots": theme.PLOT_COLOURS}
    changes = colours.choose("light")
    assert (
        held["text"] == colours.named("light")["TEXT"]
        and held["plots"][0] == colours.named("light")["ACCENT"]
    )
    assert changes[colours.named("dark")["TEXT"]] == colours.named("light")["TEXT"]
    assert colours.choose("light") == {}


def test_contrast_is_one_of_a_colour_with_itself_and_21_of_black_with_white():
    assert colours.contrast((9, 9, 9), (9, 9, 9)) == pytest.approx(1.0)
    assert colours.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
