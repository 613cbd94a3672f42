# SPDX-License-Identifier: MIT
"""Which keys run which command: the registry's defaults, and what a person changed. All who show or hear keys ask here.

A chord is spelt as in the registry: "T", "Ctrl+Shift+O", "F6", "[". "" is: no key.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

FLY_KEYS = "WASDQE"  # held to fly; with Shift faster
NAMED_KEYS = (
    *string.ascii_uppercase, *string.digits, "[", "]", ".", ",", "<", ">", "/", "?", "-", "=", ";", "'", "\\", "`",
    "Tab", "Esc", "Space", "Delete", "Insert", "Home", "End", "Left", "Right", "Up", "Down",
    *(f"F{number}" for number in range(2, 13)),
)  # fmt: skip


class HasKey(Protocol):
    """What has a key: a command of the registry."""

    id: str
    label: str
    shortcut: str


_changed: dict[str, str] = {}  # command id -> chord; of the one window of this process


def use(changed: Mapping[str, str]) -> None:
    """Let these commands have other keys than the registry says, from now on; all others have the registry's."""
    _changed.clear()
    _changed.update(changed)


def changed() -> dict[str, str]:
    """Return {command id: chord} of what differs from the registry."""
    return dict(_changed)


def chord_of(command: HasKey) -> str:
    """Return the keys of a command as they are now, "" without any."""
    return _changed.get(command.id, command.shortcut)


def find(chord: str, commands: Iterable[Any]) -> Any | None:
    """Return the command behind a chord, or None; one that a person gave it comes before one of the registry."""
    having = [command for command in commands if chord and chord_of(command) == chord]
    return next((command for command in having if command.id in _changed), having[0] if having else None)


def valid(chord: Any) -> bool:
    """Whether a text is a chord as `app.gui.input` spells them, or none at all."""
    if not isinstance(chord, str):
        return False
    name = chord.removeprefix("Ctrl+").removeprefix("Shift+")
    return chord == "" or name in NAMED_KEYS


def refusal(chord: str) -> str | None:
    """Return in a sentence why no command can have a chord, or None."""
    key = chord.removeprefix("Shift+")
    if len(key) == 1 and key in FLY_KEYS:
        return f"{chord} cannot be a shortcut: W, A, S, D, Q and E fly, and Shift makes that faster."
    if not valid(chord):
        return (
            f"{chord} cannot be a shortcut: use a letter, a figure or another plain key, with Ctrl or Shift."
        )
    return None


def conflict(command: HasKey, chord: str, commands: Iterable[Any]) -> Any | None:
    """Return the other command that has a chord now, or None."""
    other = find(chord, commands)
    return None if other is None or other.id == command.id else other


def assigned(now: Mapping[str, str], command: HasKey, chord: str, commands: Iterable[Any]) -> dict[str, str]:
    """Return the changes after a command got a chord; a command that had it gets what this one had in exchange."""
    present = {c.id: now.get(c.id, c.shortcut) for c in commands}
    defaults = {c.id: c.shortcut for c in commands}
    before = present[command.id]
    for other, held in present.items():
        if chord and held == chord and other != command.id:
            present[other] = before
    present[command.id] = chord
    return {name: held for name, held in present.items() if held != defaults[name]}


def freed(now: Mapping[str, str], command: HasKey, commands: Iterable[Any]) -> dict[str, str]:
    """Return the changes after a command got its own keys back; whoever has them now loses them."""
    present = {name: chord for name, chord in now.items() if name != command.id}
    for other in commands:
        if (
            command.shortcut
            and other.id != command.id
            and present.get(other.id, other.shortcut) == command.shortcut
        ):
            present[other.id] = ""
    return {c.id: present[c.id] for c in commands if c.id in present and present[c.id] != c.shortcut}
