# SPDX-License-Identifier: MIT
"""What a person set once for all scenes: declared here, edited in the settings window, kept in settings.json.

The file holds only what differs from the defaults, so better defaults of a later version arrive.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import kept
from app.shortcuts import valid
from engine.errors import OptionError
from engine.methods.common import method_names
from engine.options import describe, differences, option, updated
from engine.render.colour_maps import COLOUR_MAPS

log = logging.getLogger(__name__)

VERSION = 1
MIN_SCALE, MAX_SCALE = 0.7, 3.0
BACKGROUNDS: dict[str, tuple[float, float, float] | None] = {
    "scene": None,
    "white": (1.0, 1.0, 1.0),
    "grey": (0.5, 0.5, 0.5),
    "black": (0.0, 0.0, 0.0),
}
SAFE_MAP = "cividis"  # reads the same with and without colour blindness


@dataclass(frozen=True)
class Appearance:
    """How the window looks."""

    theme: str = option("dark", "Dark or light window; pictures stay as they are.", choices=("dark", "light"))
    text_size: float = option(
        1.0, "Size of all text and of what holds it.", minimum=0.7, maximum=2.0, unit="x"
    )
    interface_scale: float = option(
        0.0,
        "Pixels of the screen for a pixel of an ordinary one; at the left end, what the desktop asks for.",
        minimum=0.0,
        maximum=MAX_SCALE,
    )
    safe_colours: bool = option(
        False,
        "Use colours that people with any colour vision can tell apart, in curves, frusta, levels and pictures.",
    )


@dataclass(frozen=True)
class Viewport:
    """How every scene is looked at first."""

    colour_map: str = option(
        "turbo", "Colour map of depth, error and the like at the start.", choices=COLOUR_MAPS
    )
    background: str = option(
        "scene", "What stands behind every scene at the start.", choices=tuple(BACKGROUNDS)
    )
    fly_speed: float = option(
        0.5, "Speed of flying at the start; Shift is faster.", minimum=0.02, maximum=5.0, unit="cubes/s"
    )
    frame_rate: int = option(
        60, "Most redraws of the window in a second.", minimum=15, maximum=240, unit="/s"
    )
    vertical_sync: bool = option(
        False,
        "Wait for the screen before each redraw: no tearing, slower on some machines; training never waits.",
    )


@dataclass(frozen=True)
class Mouse:
    """What the mouse does in the viewport."""

    buttons: str = option(
        "left orbits", "What the buttons do; the help window lists it.",
        choices=("left orbits", "left looks", "middle orbits"),
    )  # fmt: skip
    turn_speed: float = option(1.0, "How far a drag turns the camera.", minimum=0.2, maximum=4.0, unit="x")
    invert_horizontal: bool = option(False, "Let a drag to the right turn the other way round.")
    invert_vertical: bool = option(False, "Let a drag upwards turn the other way round.")


@dataclass(frozen=True)
class Training:
    """What a new training begins with."""

    method: str = option(
        "svraster", "Method for scenes that are opened in the window.", choices=method_names()
    )
    autosave: float = option(
        2.0,
        "Time between two checkpoints that are written by themselves.",
        minimum=0.5,
        maximum=120.0,
        unit="min",
    )


@dataclass(frozen=True)
class Output:
    """Where results go."""

    folder: str = option("", "Folder for videos and screenshots; empty means the folder of the run.")


@dataclass(frozen=True)
class Gamepad:
    """Flying by gamepad or 3D mouse."""

    enabled: bool = option(True, "Fly with a gamepad or a SpaceMouse while one is plugged in.")
    speed: float = option(
        1.0, "How fast sticks and the 3D mouse fly and turn.", minimum=0.1, maximum=5.0, unit="x"
    )


@dataclass(frozen=True)
class Settings:
    """All of them, by group."""

    appearance: Appearance = field(default_factory=Appearance)
    viewport: Viewport = field(default_factory=Viewport)
    mouse: Mouse = field(default_factory=Mouse)
    training: Training = field(default_factory=Training)
    output: Output = field(default_factory=Output)
    gamepad: Gamepad = field(default_factory=Gamepad)


def settings_file() -> Path:
    """Return where the settings are kept."""
    return kept.config_folder() / "settings.json"


def load(path: Path) -> tuple[Settings, dict[str, str]]:
    """Return the settings and the changed shortcuts {command id: chord} of a file.

    A value that does not serve costs a line in the log and stays at its default; so does the whole file if it cannot
    be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("version") != VERSION:
            raise ValueError(f"version {data.get('version')} instead of {VERSION}")
        values, keys = dict(data.get("settings", {})), dict(data.get("keys", {}))
    except FileNotFoundError:
        return Settings(), {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("settings ignored file=%s reason=%s", path, error)
        return Settings(), {}
    settings = Settings()
    for name, value in values.items():
        try:
            settings = updated(settings, {name: value})
        except OptionError as error:
            log.warning("setting ignored file=%s reason=%s", path, error)
    good = {command: chord for command, chord in keys.items() if valid(chord)}
    for command in keys.keys() - good.keys():
        log.warning("shortcut ignored file=%s command=%s chord=%r", path, command, keys[command])
    return settings, good


def save(settings: Settings, keys: dict[str, str], path: Path) -> bool:
    """Write what differs from the defaults; return whether that could be done."""
    data: dict[str, Any] = {"version": VERSION, "settings": differences(settings), "keys": keys}
    return kept.write_json(data, path, "settings")


def titles() -> dict[str, str]:
    """Return {group: its title in the settings window}."""
    return {
        "appearance": "Appearance",
        "viewport": "Viewport",
        "mouse": "Mouse",
        "training": "Training",
        "output": "Output",
        "gamepad": "Gamepad",
    }


NAMES = tuple(info.name for info in describe(Settings))
