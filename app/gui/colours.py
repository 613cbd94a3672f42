# SPDX-License-Identifier: MIT
"""The window's colours by name, in a dark and a light set, each also for any colour vision.

A colour is one list that is changed in place when another set is chosen: whoever holds it, in a table or as a default,
holds the colour of now. What Dear PyGui copied before is brought along by `app.gui.restyle`.
The safe sets keep the hues that Masataka Okabe and Kei Ito published for colour-universal design, as bright or dark as
text needs on its background.
"""

from __future__ import annotations

from collections.abc import Iterable

Rgba = tuple[int, int, int, int]


class Colour(list[int]):
    """Red, green, blue, opacity, 0..255. Compares by what it is now; as a key it stands for its name."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | tuple) and tuple(self) == tuple(other)

    __hash__ = object.__hash__


_DARK: dict[str, Rgba] = {
    "BACKGROUND": (22, 24, 29, 255),
    "RAISED": (34, 37, 44, 255),
    "RAISED_HOVER": (45, 49, 58, 255),
    "RAISED_ACTIVE": (54, 59, 70, 255),
    "FAINT": (30, 33, 39, 255),
    "FLOATING": (28, 31, 37, 255),
    "LINE": (46, 50, 59, 255),
    "TEXT": (222, 225, 231, 255),
    "MUTED": (145, 152, 164, 255),
    "DISABLED": (92, 98, 109, 255),
    "ACCENT": (86, 163, 255, 255),
    "ACCENT_DEEP": (42, 92, 158, 255),
    "PRIMARY": (43, 94, 160, 255),
    "PRIMARY_HOVER": (55, 112, 186, 255),
    "PRIMARY_ACTIVE": (36, 80, 140, 255),
    "ON_ACCENT": (246, 249, 255, 255),
    "GOOD": (112, 200, 134, 255),
    "WARNING": (236, 183, 86, 255),
    "BAD": (239, 104, 96, 255),
    "HELD_OUT": (237, 183, 86, 255),
    "PLATE": (16, 18, 22, 205),
    "POINTED_AT": (255, 255, 255, 254),
    "SCENE_ACCENT": (86, 164, 255, 255),
    "SCENE_QUIET": (141, 148, 161, 255),
    "SCENE_HELD_OUT": (236, 183, 87, 255),
    "SCENE_BAD": (239, 104, 95, 255),
    "ROW": (255, 255, 255, 6),
    "GRID": (255, 255, 255, 18),
    "LEGEND": (22, 24, 29, 200),
    "DIM": (8, 9, 11, 150),
    "PLOT_1": (235, 183, 86, 255),
    "PLOT_2": (112, 200, 135, 255),
    "PLOT_3": (206, 133, 232, 255),
    "PLOT_4": (239, 104, 97, 255),
    "PLOT_5": (96, 205, 209, 255),
    "PLOT_6": (232, 146, 182, 255),
    "PLOT_7": (170, 178, 190, 255),
}
_LIGHT: dict[str, Rgba] = {
    "BACKGROUND": (243, 244, 247, 255),
    "RAISED": (226, 229, 235, 255),
    "RAISED_HOVER": (214, 218, 226, 255),
    "RAISED_ACTIVE": (202, 207, 217, 255),
    "FAINT": (234, 236, 241, 255),
    "FLOATING": (252, 252, 254, 255),
    "LINE": (206, 210, 219, 255),
    "TEXT": (28, 31, 38, 255),
    "MUTED": (84, 90, 101, 255),
    "DISABLED": (150, 155, 165, 255),
    "ACCENT": (20, 92, 190, 255),
    "ACCENT_DEEP": (160, 196, 242, 255),
    "PRIMARY": (24, 98, 198, 255),
    "PRIMARY_HOVER": (38, 112, 212, 255),
    "PRIMARY_ACTIVE": (16, 82, 174, 255),
    "ON_ACCENT": (254, 254, 255, 255),
    "GOOD": (16, 104, 46, 255),
    "WARNING": (132, 82, 0, 255),
    "BAD": (184, 32, 30, 255),
    "HELD_OUT": (133, 82, 0, 255),
    "PLATE": (250, 250, 252, 220),
    "POINTED_AT": (255, 255, 255, 254),
    "SCENE_ACCENT": (44, 136, 246, 255),
    "SCENE_QUIET": (128, 134, 146, 255),
    "SCENE_HELD_OUT": (226, 152, 24, 255),
    "SCENE_BAD": (230, 76, 66, 255),
    "ROW": (0, 0, 0, 9),
    "GRID": (0, 0, 0, 26),
    "LEGEND": (243, 244, 247, 210),
    "DIM": (60, 64, 74, 110),
    "PLOT_1": (176, 106, 0, 255),
    "PLOT_2": (20, 128, 58, 255),
    "PLOT_3": (140, 60, 172, 255),
    "PLOT_4": (200, 48, 44, 255),
    "PLOT_5": (0, 124, 132, 255),
    "PLOT_6": (186, 64, 116, 255),
    "PLOT_7": (100, 108, 120, 255),
}
_SAFE: dict[str, dict[str, Rgba]] = {
    "dark": {
        "ACCENT": (86, 180, 233, 255),
        "GOOD": (26, 176, 134, 255),
        "WARNING": (230, 159, 0, 255),
        "BAD": (226, 106, 20, 255),
        "HELD_OUT": (240, 228, 66, 255),
        "SCENE_ACCENT": (86, 180, 234, 255),
        "SCENE_HELD_OUT": (230, 158, 0, 255),
        "SCENE_BAD": (226, 106, 21, 255),
        "PLOT_1": (230, 159, 1, 255),
        "PLOT_2": (0, 158, 115, 255),
        "PLOT_3": (204, 121, 167, 255),
        "PLOT_4": (213, 94, 0, 255),
        "PLOT_5": (240, 228, 67, 255),
        "PLOT_6": (40, 136, 200, 255),
    },
    "light": {
        "ACCENT": (0, 92, 158, 255),
        "GOOD": (0, 106, 78, 255),
        "WARNING": (128, 86, 0, 255),
        "BAD": (164, 68, 0, 255),
        "HELD_OUT": (158, 48, 122, 255),
        "SCENE_ACCENT": (40, 140, 210, 255),
        "SCENE_HELD_OUT": (230, 158, 0, 255),
        "SCENE_BAD": (226, 106, 21, 255),
        "PLOT_1": (168, 112, 0, 255),
        "PLOT_2": (0, 128, 94, 255),
        "PLOT_3": (172, 84, 132, 255),
        "PLOT_4": (196, 82, 0, 255),
        "PLOT_5": (130, 122, 0, 255),
        "PLOT_6": (60, 140, 190, 255),
    },
}
NAMES = tuple(_DARK)
NOW: dict[str, Colour] = {name: Colour(value) for name, value in _DARK.items()}


def named(theme: str, safe: bool = False) -> dict[str, Rgba]:
    """Return the colours of "dark" or "light", with safe cues or the usual ones, as plain values."""
    return {"dark": _DARK, "light": _LIGHT}[theme] | (_SAFE[theme] if safe else {})


def choose(theme: str, safe: bool = False) -> dict[Rgba, Rgba]:
    """Make another set the one of now; return {colour before: colour now} of those that differ."""
    changes: dict[Rgba, Rgba] = {}
    for name, value in named(theme, safe).items():
        before = tuple(NOW[name])
        if before != value:
            changes[before] = value
            NOW[name][:] = value
    return changes


def contrast(over: Iterable[int], under: Iterable[int]) -> float:
    """Return the contrast ratio of two opaque colours, 1..21, as WCAG 2 defines it."""
    a, b = sorted((_luminance(over), _luminance(under)))
    return (b + 0.05) / (a + 0.05)


def _luminance(rgb: Iterable[int]) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in list(rgb)[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
